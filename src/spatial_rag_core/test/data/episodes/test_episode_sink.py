"""Episodes are written behind the back of who makes them; a full disk is told and survived."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import time
from typing import Any

from spatial_rag_core.data.episodes import episode_sink, transaction_file
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.data.episodes.episode_sink import EpisodeSink
from spatial_rag_core.data.episodes.episode_writer import EpisodeWriter
from spatial_rag_core.errors import EpisodeError

import numpy as np
import pytest

append = EpisodeWriter.append


def episode(number: int, map_id: str = 'hall') -> Episode:
    poses = np.tile(np.array([0.0, 0, 0, 0, 0, 0, 1]), (4, 1))
    return Episode('', np.zeros((4, 8, 8, 3), np.uint8), np.zeros((4, 2), np.float32), poses,
                   number * 10.0 + np.arange(4) / 20, 20.0, map_id, session=str(number))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def sessions(path: Path) -> list[str]:
    with EpisodeReader(path) as reader:
        return [one.session for one in reader.all_facts()]


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the disk is full, as its last element says; it is tried again at once."""
    state = [True]

    def append_or_fail(writer: EpisodeWriter, *words: Any) -> str:
        if state[-1]:
            raise EpisodeError('no space left on device')
        return append(writer, *words)
    monkeypatch.setattr(EpisodeWriter, 'append', append_or_fail)
    monkeypatch.setattr(episode_sink, 'RETRY_SEC', 0.01)
    return state


def test_what_was_put_is_written_in_order_at_the_end_at_the_latest(tmp_path: Path) -> None:
    sink = EpisodeSink(tmp_path / 'out.h5', 'train', {}, max_waiting=10)
    for number in range(6):
        sink.put(episode(number))
    assert sink.close()
    assert (sink.stored, sink.lost, sink.backlog) == (6, 0, 0)
    assert sessions(tmp_path / 'out.h5') == list('012345')


def test_who_asks_how_many_there_are_never_disturbs_what_is_written(tmp_path: Path) -> None:
    sink = EpisodeSink(tmp_path / 'out.h5', 'train', {}, max_waiting=10)
    for number in range(10):
        sink.put(episode(number))
    counts = set()
    while sink.backlog:  # as a node's diagnostics ask, but without a pause
        counts.add(sink.count)
    assert sink.close()
    assert (sink.failure, sink.stored, sink.count) == (None, 10, 10)
    assert counts <= set(range(11))
    assert sessions(tmp_path / 'out.h5') == list('0123456789')


def test_a_full_disk_is_told_and_what_waited_is_written_when_there_is_room(
        full: list[bool], tmp_path: Path) -> None:
    sink = EpisodeSink(tmp_path / 'out.h5', 'train', {}, max_waiting=2)
    for number in range(5):
        sink.put(episode(number))
    wait_until(lambda: sink.failure is not None)
    assert 'no space left' in str(sink.failure)
    assert (sink.backlog, sink.lost) == (2, 3)
    full.append(False)
    wait_until(lambda: sink.failure is None and not sink.backlog)
    assert sink.close()
    assert sessions(tmp_path / 'out.h5') == ['3', '4']


@pytest.mark.usefixtures('full')
def test_the_end_does_not_wait_for_a_full_disk(tmp_path: Path) -> None:
    sink = EpisodeSink(tmp_path / 'out.h5', 'train', {})
    sink.put(episode(0))
    assert not sink.close(timeout_sec=10.0)
    assert sink.backlog == 1


def test_a_map_of_another_split_is_refused_at_birth(tmp_path: Path) -> None:
    sink = EpisodeSink(tmp_path / 'out.h5', 'train', {})
    sink.put(episode(0))
    assert sink.close()
    with pytest.raises(EpisodeError, match='map hall is in train already, test is asked for'):
        EpisodeSink(tmp_path / 'out.h5', 'test', {}, 'hall')


def test_an_episode_whose_append_failed_in_the_last_step_is_stored_once(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, failures = transaction_file._drop_log, [OSError(5, 'Input/output error')]

    def drop_and_fail(path: Path) -> None:
        real(path)
        if failures:
            raise failures.pop()
    path = tmp_path / 'episodes.h5'
    sink = EpisodeSink(path, 'train', {}, max_waiting=10)
    monkeypatch.setattr(transaction_file, '_drop_log', drop_and_fail)
    sink.put(episode(1))
    wait_until(lambda: sink.stored == 1)
    sink.put(episode(2))
    assert sink.close()
    assert not failures
    assert (sink.stored, sink.count, sink.lost) == (2, 2, 0)
    assert sessions(path) == ['1', '2']


@pytest.mark.parametrize('is_ending', [False, True])
def test_it_is_stored_once_however_often_the_last_step_fails_and_the_failure_passes(
        is_ending: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log stays, so that whoever reads fails as well."""
    real, failures = transaction_file._drop_log, [OSError(5, 'Input/output error')] * (
        1 if is_ending else 3)

    def fail(path: Path) -> None:
        if failures:
            raise failures.pop()
        real(path)
    monkeypatch.setattr(episode_sink, 'RETRY_SEC', 0.01)
    path = tmp_path / 'episodes.h5'
    sink = EpisodeSink(path, 'train', {}, max_waiting=10)
    monkeypatch.setattr(transaction_file, '_drop_log', fail)
    sink.put(episode(1))
    if not is_ending:
        wait_until(lambda: sink.stored == 1)
        sink.put(episode(2))
    assert sink.close()
    assert not failures
    assert sink.failure is None
    assert sessions(path) == (['1'] if is_ending else ['1', '2'])
    assert (sink.stored, sink.lost) == (sink.count, 0)


def test_an_episode_that_gave_way_to_newer_ones_but_was_stored_is_not_lost_nor_are_they(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, is_failing = transaction_file._drop_log, [True]

    def fail(path: Path) -> None:
        if is_failing[0]:
            raise OSError(5, 'Input/output error')
        real(path)
    monkeypatch.setattr(episode_sink, 'RETRY_SEC', 0.01)
    path = tmp_path / 'episodes.h5'
    sink = EpisodeSink(path, 'train', {}, max_waiting=2)
    monkeypatch.setattr(transaction_file, '_drop_log', fail)
    sink.put(episode(1))
    wait_until(lambda: sink.failure is not None)
    sink.put(episode(2))
    sink.put(episode(3))
    assert sink.lost == 1
    is_failing[0] = False
    assert sink.close()
    assert sessions(path) == ['1', '2', '3']
    assert (sink.stored, sink.count, sink.lost) == (3, 3, 0)
