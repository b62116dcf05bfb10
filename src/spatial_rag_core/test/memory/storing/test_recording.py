from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.storing.recording import Recording

import pytest


def test_it_begins_with_a_session_of_its_own() -> None:
    recording = Recording()
    assert recording.is_on
    assert recording.session
    assert Recording('morning').session == 'morning'


def test_a_pause_tells_how_many_latents_it_left_out() -> None:
    recording = Recording()
    recording.skipped += 5
    assert recording.resume() == 0, 'there was no pause'
    recording.pause()
    recording.skipped += 2
    recording.pause()
    recording.skipped += 1
    assert not recording.is_on
    assert recording.resume() == 3
    assert recording.is_on


def test_a_session_that_has_ended_is_followed_by_none() -> None:
    recording = Recording('morning')
    recording.end()
    recording.begin_after_jump()
    assert (recording.session, recording.is_on) == ('', False)
    recording.pause()
    assert recording.begin('noon') == 'noon'
    assert not recording.is_on, 'a pause goes on'


def test_time_that_is_turned_back_twice_lengthens_no_name() -> None:
    recording = Recording('morning')
    recording.begin_after_jump()
    first = recording.session
    recording.begin_after_jump()
    assert first != recording.session
    assert len(first) == len(recording.session)
    assert first.startswith('morning-')


def test_each_word_is_written_once() -> None:
    recording = Recording(labels=('door', 'wet', 'door'))
    assert recording.labels == ('door', 'wet')


@pytest.mark.parametrize('labels', [('',), ('x' * 256,), 'door', tuple(map(str, range(101)))])
def test_what_is_no_word_is_refused(labels: tuple[str, ...]) -> None:
    with pytest.raises(ConfigurationError):
        Recording().set_labels(labels)


def test_a_name_that_is_too_long_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='256 characters'):
        Recording('x' * 256)
