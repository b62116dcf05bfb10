from __future__ import annotations

import dataclasses

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.spatial.pose_arrays import poses_seen_from
from spatial_rag_core.training.latent_tracks import join_tracks, LatentTrack
from spatial_rag_core.training.map_memory import FenceConfig, MapMemory
from spatial_rag_core.training.windows import Windows, WindowSet

import numpy as np
import pytest

from .drives import drive, home, Z_DIM

STEPS, HISTORY = 5, 2
FENCE = FenceConfig(fence_sec=3.0, most=64)


def tracks(stride: int = 1) -> list[LatentTrack]:
    """One map driven thrice, one twice with a drive that is only remembered, one once."""
    garden = join_tracks([drive('garden', 50.0, 60 * stride, stride=stride, is_asked=False),
                          drive('garden', 80.0, 60 * stride, stride=stride, seed=8)])[0]
    return [home(stride), garden, drive('shed', 7.0, 80 * stride, stride=stride, seed=9)]


def window_set(stride: int = 1, every: int = 1) -> WindowSet:
    return WindowSet(tracks(stride), FENCE, STEPS, HISTORY, every)


def all_of(windows: WindowSet, foreign: np.ndarray | None = None) -> Windows:
    return windows.batch(np.arange(len(windows)), foreign)


@pytest.mark.parametrize('stride', [1, 4])
def test_no_window_sees_its_own_moment_its_future_or_the_last_seconds(stride: int) -> None:
    windows = window_set(stride)
    bank = all_of(windows).bank
    now = np.array([windows.tracks[number].stamps[start]
                    for number, start in zip(windows.maps, windows.starts, strict=True)])
    remembered_at = bank.z[:, :, 0].numpy()  # the first number of a latent is its time
    age = np.where(bank.mask.numpy(), now[:, None] - remembered_at, np.inf)
    assert age.min() >= FENCE.fence_sec - 1e-3  # float32
    assert bank.mask.any(dim=1).float().mean() > 0.4


@pytest.mark.parametrize('stride', [1, 4])
def test_foreign_memories_are_fenced_by_the_window_that_they_are_of(stride: int) -> None:
    windows = window_set(stride)
    others = np.random.default_rng(0).permutation(len(windows))
    borrowed, own = all_of(windows, others).bank, windows.batch(others).bank
    for name in ('z', 'mask', 'pose', 'action'):
        np.testing.assert_array_equal(getattr(borrowed, name), getattr(own, name))


def test_a_window_remembers_what_the_other_drives_of_its_map_saw() -> None:
    windows = window_set()
    garden = np.flatnonzero(windows.maps == 1)
    assert (windows.starts[garden] >= 60).all()
    rows = windows.bank_rows[garden[0]]
    assert set(rows[rows >= 0]) <= set(range(60))
    assert (rows >= 0).any()


@pytest.mark.parametrize('stride', [1, 4])
def test_a_window_is_slices_of_its_drive(stride: int) -> None:
    windows = window_set(stride)
    batch = all_of(windows)
    assert tuple(batch.z.shape) == (len(windows), STEPS + 1, Z_DIM)
    assert tuple(batch.history_a.shape) == (len(windows), HISTORY, 2)
    for row in range(0, len(windows), 7):
        track, start = windows.tracks[windows.maps[row]], int(windows.starts[row])
        ahead = slice(start, start + STEPS * stride + 1, stride)
        before = slice(start - HISTORY * stride, start, stride)
        assert len(set(track.drives[before.start:ahead.stop])) == 1
        np.testing.assert_array_equal(batch.z[row], track.z[ahead])
        np.testing.assert_array_equal(batch.actions[row], track.actions[ahead][:-1])
        np.testing.assert_array_equal(batch.history_z[row], track.z[before])
        np.testing.assert_array_equal(batch.history_a[row], track.actions[before])
        np.testing.assert_allclose(
            batch.poses[row], poses_seen_from(track.poses[start], track.poses[ahead]), atol=1e-6)


def test_every_step_of_every_drive_that_is_asked_about_begins_a_window() -> None:
    windows = window_set()
    room = 60 - STEPS - HISTORY
    assert len(windows) == 3 * room + room + 80 - STEPS - HISTORY


def test_a_bank_is_what_the_index_knows_as_seen_from_the_start() -> None:
    windows = window_set()
    bank = all_of(windows).bank
    for row in range(0, len(windows), 11):
        track, start = windows.tracks[windows.maps[row]], int(windows.starts[row])
        known = MapMemory(track).known_at(start, FENCE)
        mask = bank.mask[row].numpy()
        assert mask.tolist() == [True] * len(known) + [False] * (len(mask) - len(known))
        np.testing.assert_array_equal(bank.z[row][mask], track.z[known])
        np.testing.assert_array_equal(bank.action[row][mask], track.memory_actions[known])
        np.testing.assert_allclose(bank.pose[row][mask], poses_seen_from(
            track.poses[start], track.poses[known]), atol=1e-6)


def test_first_steps_are_those_of_the_batches() -> None:
    windows = window_set(stride=4)
    batch = all_of(windows)
    actions, poses = windows.first_steps
    np.testing.assert_array_equal(actions, batch.actions[:, 0])
    np.testing.assert_allclose(poses, batch.poses[:, 1], atol=1e-6)


@pytest.mark.parametrize('most', [1, 10, 1000])
def test_thinned_takes_evenly_and_leaves_the_rest_as_it_is(most: int) -> None:
    windows = window_set()
    fewer = windows.thinned(most)
    every = -(-len(windows) // most)
    assert len(fewer) == len(range(0, len(windows), every)) <= most
    thinned, whole = all_of(fewer), windows.batch(np.arange(0, len(windows), every))
    np.testing.assert_array_equal(thinned.z, whole.z)
    np.testing.assert_array_equal(thinned.bank.pose, whole.bank.pose)
    assert len(windows) == len(windows.bank_rows) == len(windows.starts)


def test_every_third_start_is_a_third_of_the_windows_of_each_map() -> None:
    some = window_set(every=3)
    assert len(some) == sum(len(track.starts(HISTORY, STEPS)[::3]) for track in tracks())


def test_without_history_there_are_no_steps_before() -> None:
    batch = all_of(WindowSet(tracks(), FENCE, STEPS, history=0))
    assert batch.history_z.shape[1:] == (0, Z_DIM)


@pytest.mark.parametrize('short', [
    [], [drive(count=7)], [home()], [drive(count=90, is_asked=False)]])
def test_drives_that_are_too_short_are_told_with_the_remedy(short: list[LatentTrack]) -> None:
    with pytest.raises(TrainingError, match='no drive has 103 steps in a row; record longer ones'):
        WindowSet(short, FENCE, steps=100, history=2)


def test_maps_with_commands_and_maps_without_are_told() -> None:
    shed = dataclasses.replace(drive('shed'), actions_from='past motion')
    with pytest.raises(TrainingError, match='commands on one map, past motion on another; collect '
                                            r'all of them anew, .* --actions motion'):
        WindowSet([home(), shed], FENCE, STEPS, HISTORY)


def test_maps_of_other_sizes_are_told() -> None:
    shed = drive('shed')
    with pytest.raises(TrainingError, match=r'actions of \[2, 3\] numbers .* one ACTION_DIM'):
        WindowSet([home(), dataclasses.replace(shed, actions=np.zeros((60, 3), 'f4'))], FENCE,
                  STEPS, HISTORY)
    with pytest.raises(TrainingError, match=r'z of \[4, 5\] numbers .* one encoder'):
        WindowSet([home(), dataclasses.replace(shed, z=np.zeros((60, 5), 'f4'))], FENCE, STEPS,
                  HISTORY)
