from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.spatial.pose_arrays import pose_distances_m2
from spatial_rag_core.training.latent_tracks import join_tracks, LatentTrack
from spatial_rag_core.training.map_memory import bank_rows, FenceConfig, MapMemory

from hypothesis import given, settings, strategies
import numpy as np
import pytest

from .drives import drive, home


def known_by_hand(track: LatentTrack, moment: int, fence: FenceConfig) -> list[int]:
    """What known_at says, one memory after the other."""
    before = track.stamps[moment] - fence.fence_sec
    old = [row for row in range(len(track)) if track.stamps[row] <= before]
    apart = pose_distances_m2(track.poses, track.poses)
    current = [row for row in old if not any(
        track.stamps[newer] > track.stamps[row] + 60.0 and apart[row, newer] < 0.15
        for newer in old)]
    position = track.poses[:, :3]
    near = [row for row in current
            if np.linalg.norm(position[row] - position[moment]) <= fence.reach_m]
    return sorted(near, key=lambda row: float(apart[row, moment]))[:fence.most]


@pytest.mark.parametrize('stride', [1, 4])
@pytest.mark.parametrize('fence', [
    FenceConfig(), FenceConfig(0.5, 1.0, 256), FenceConfig(2.0, 6.0, 7), FenceConfig(70.0)])
def test_it_knows_what_ten_lines_by_hand_know(stride: int, fence: FenceConfig) -> None:
    track = home(stride, drives=4)
    memory = MapMemory(track)
    for moment in range(0, len(track), 7 * stride):
        found, expected = memory.known_at(moment, fence), known_by_hand(track, moment, fence)
        assert set(found) == set(expected)
        apart = pose_distances_m2(track.poses[found], track.poses[[moment]])[:, 0]
        assert (np.diff(apart) >= -1e-6).all()


def test_replaced_views_take_no_room_from_others() -> None:
    still = [drive(begin_sec=100.0 * number, count=20) for number in range(4)]
    for part in still:  # three times the same views, then the robot stands among them
        part.poses[:] = still[0].poses
    track = join_tracks(still)[0]
    found = MapMemory(track).known_at(79, FenceConfig(most=10))
    assert len(found) == 10
    assert set(found) <= set(range(40, 60))


def test_the_newest_view_of_a_place_wins_as_soon_as_it_is_known() -> None:
    first, second, third = (drive(begin_sec=begin, count=5) for begin in (0.0, 100.0, 200.0))
    for part in (first, second, third):
        part.poses[:] = first.poses
        part.poses[:, 0] = np.arange(5.0)
    memory = MapMemory(join_tracks([first, second, third])[0])
    assert set(memory.known_at(5, FenceConfig())) == {0, 1, 2, 3, 4}
    assert set(memory.known_at(10, FenceConfig())) == {5, 6, 7, 8, 9}
    # 100.5 s are the fence's edge for 200.5 s and a fence of 100: three of the second are known.
    assert set(memory.known_at(12, FenceConfig(fence_sec=100.0))) == {3, 4, 5, 6, 7}


def test_tables_say_which_memories_there_are_and_minus_one_where_there_is_none() -> None:
    track, fence = home(), FenceConfig(most=8)
    (table,) = bank_rows([track], [np.array([0, 90])], fence)
    assert table.shape == (2, 8)
    assert (table[0] == -1).all()
    np.testing.assert_array_equal(table[1], MapMemory(track).known_at(90, fence))


@settings(max_examples=25, deadline=None)
@given(seed=strategies.integers(0, 2 ** 32 - 1), stride=strategies.sampled_from([1, 2, 4]),
       fence_sec=strategies.floats(0.05, 120.0), reach_m=strategies.floats(0.05, 10.0),
       most=strategies.integers(1, 300),
       pauses=strategies.lists(strategies.floats(0.1, 90.0), min_size=1, max_size=4))
def test_nothing_is_known_of_the_present_the_future_and_the_last_seconds(
        seed: int, stride: int, fence_sec: float, reach_m: float, most: int,
        pauses: list[float]) -> None:
    begins = np.cumsum(np.array(pauses) + 8.0)
    track = join_tracks([
        drive(begin_sec=float(begin), count=40, stride=stride, seed=seed + number,
              step_sec=0.2 * stride, is_asked=number % 2 == 0)
        for number, begin in enumerate(begins)])[0]
    fence, memory = FenceConfig(fence_sec, reach_m, most), MapMemory(track)
    for moment in np.random.default_rng(seed).integers(len(track), size=8):
        found = memory.known_at(int(moment), fence)
        assert (track.stamps[found] <= track.stamps[moment] - fence_sec).all()
        assert (np.linalg.norm(track.poses[found, :3] - track.poses[moment, :3], axis=1)
                <= reach_m + 1e-6).all()
        assert len(set(found)) == len(found) <= most
        assert set(found) == set(known_by_hand(track, int(moment), fence)) or (
            len(found) == most)  # the last of them may be one of equals


@pytest.mark.parametrize(('values', 'message'), [
    ((0.0, 6.0, 8), 'fence_sec and reach_m must be > 0, got 0.0 s'),
    ((5.0, -1.0, 8), '-1.0 m'), ((5.0, 6.0, 0), 'most must lie between 1 and 10000, got 0')])
def test_a_fence_is_checked_at_birth(values: tuple[float, float, int], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        FenceConfig(*values)
