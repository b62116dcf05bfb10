from __future__ import annotations

import dataclasses
from typing import Any

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.training.latent_tracks import join_tracks, LatentTrack

import numpy as np
import pytest

from .drives import drive, home


def test_drives_of_one_map_are_joined_in_order_of_time() -> None:
    late, early, other = drive(begin_sec=500.0), drive(begin_sec=100.0), drive('garden')
    first, second = join_tracks([late, other, early])
    assert (first.map_id, second.map_id) == ('home', 'garden')
    assert (np.diff(first.stamps) > 0).all()
    assert first.stamps[0] == 100.0
    assert first.drives.tolist() == [0] * 60 + [1] * 60


@pytest.mark.parametrize('stride', [1, 4])
def test_a_memorys_action_is_the_one_a_step_before_in_its_own_drive(stride: int) -> None:
    track = home(stride)
    for moment in range(len(track)):
        before = moment - stride
        same = before >= 0 and track.drives[before] == track.drives[moment]
        expected = track.actions[before] if same else np.zeros(2)
        np.testing.assert_array_equal(track.memory_actions[moment], expected)


def test_a_memorys_past_motion_is_its_own() -> None:
    track = dataclasses.replace(home(4), actions_from='past motion')
    begins = np.concatenate([track.drives[:4] == 0, track.drives[4:] != track.drives[:-4]])
    np.testing.assert_array_equal(track.memory_actions[~begins], track.actions[~begins])
    assert not track.memory_actions[begins].any()


def test_drives_with_commands_and_without_are_not_joined() -> None:
    with pytest.raises(TrainingError, match='one drive are commands, of another past motion; '
                                            'collect all of them anew, into another file, with '
                                            '--actions motion'):
        join_tracks([drive(), dataclasses.replace(drive(begin_sec=500.0),
                                                  actions_from='past motion')])


def test_a_drive_shorter_than_a_step_has_no_memory_actions() -> None:
    assert not drive(count=3, stride=4).memory_actions.any()


@pytest.mark.parametrize('stride', [1, 4])
@pytest.mark.parametrize(('before', 'after'), [(0, 1), (2, 5), (0, 59), (30, 30), (3, 200)])
def test_starts_are_all_moments_with_room_in_their_drive(stride: int, before: int,
                                                         after: int) -> None:
    track = home(stride)
    expected = [moment for moment in range(len(track)) if all(
        0 <= row < len(track) and track.drives[row] == track.drives[moment]
        for row in range(moment - before * stride, moment + after * stride + 1))]
    assert track.starts(before, after).tolist() == expected


def test_the_longest_drive_is_the_most_steps_that_give_a_start() -> None:
    for track in (home(1), home(4), drive(count=1), drive(count=7, stride=4)):
        assert len(track.starts(0, track.longest_drive))
        assert not len(track.starts(0, track.longest_drive + 1))


def test_what_is_only_remembered_is_not_asked_about() -> None:
    asked, remembered = drive(begin_sec=100.0), drive(begin_sec=0.0, count=90, is_asked=False)
    track = join_tracks([asked, remembered])[0]
    assert track.starts(0, 5).min() == 90
    assert track.longest_drive == 59
    assert join_tracks([remembered])[0].longest_drive == -1


@pytest.mark.parametrize(('parts', 'message'), [
    ((drive(), drive(begin_sec=5.0)), 'overlap in time; give each map episodes one after'),
    ((drive(), drive(begin_sec=100.0, stride=4)), '1 moments in a step, another 4; collect them'),
    ((drive(), dataclasses.replace(drive(begin_sec=100.0), actions=np.zeros((60, 3), 'f4'))),
     'actions of 2 and of 3 numbers; collect them with one ACTION_DIM'),
])
def test_drives_that_do_not_go_together_are_refused(parts: tuple[LatentTrack, ...],
                                                    message: str) -> None:
    with pytest.raises(TrainingError, match=f'map home: .*{message}'):
        join_tracks(parts)


@pytest.mark.parametrize('name', ['z', 'actions', 'poses', 'stamps', 'drives', 'is_asked'])
def test_rows_that_differ_are_refused(name: str) -> None:
    track: Any = drive()
    with pytest.raises(TrainingError, match=r'its rows differ, .*encode the episodes again'):
        dataclasses.replace(track, **{name: getattr(track, name)[:-1]})
