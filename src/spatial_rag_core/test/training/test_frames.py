from __future__ import annotations

from collections.abc import Callable

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.training.frames import FrameSet

import numpy as np
import pytest

MakeFrames = Callable[..., FrameSet]
T = 6


def episode(map_id: str = '', proprio: int = 0, depth: bool = False) -> Episode:
    poses = np.zeros((T, 7))
    poses[:, 6] = 1.0
    return Episode('', np.zeros((T, 32, 32, 3), np.uint8), np.zeros((T, 2), np.float32), poses,
                   np.arange(T) / 5, 5.0, map_id=map_id,
                   depth_m=np.ones((T, 32, 32), np.float32) if depth else None,
                   proprio=np.ones((T, proprio), np.float32) if proprio else None)


def test_episodes_of_one_map_share_it_and_one_without_a_map_has_its_own() -> None:
    frames = FrameSet.from_episodes([episode('a'), episode('b'), episode('a'), episode(),
                                     episode()])
    assert frames.map_index[::T].tolist() == [0, 1, 0, 2, 3]
    assert frames.episode_index[::T].tolist() == [0, 1, 2, 3, 4]


def test_every_second_moment_is_half_the_frames() -> None:
    frames = FrameSet.from_episodes([episode('a')], every=2)
    assert len(frames) == T // 2
    assert frames.stamps.tolist() == [0.0, 0.4, 0.8]


def test_what_an_episode_does_not_have_is_unknown() -> None:
    frames = FrameSet.from_episodes([episode('a', 3, True), episode('a')], depth=True,
                                    proprio=True)
    assert frames.proprio is not None
    assert frames.depth_m is not None
    assert np.isfinite(frames.proprio[:T]).all()
    assert np.isnan(frames.proprio[T:]).all()
    assert (frames.depth_m[:T] == 1.0).all()
    assert (frames.depth_m[T:] == 0.0).all()


def test_robots_of_different_proprioception_do_not_mix() -> None:
    with pytest.raises(TrainingError, match=r'proprioception of \[2, 3\] numbers'):
        FrameSet.from_episodes([episode('a', 2), episode('a', 3)], proprio=True)


def test_no_episodes_are_refused_with_the_remedy() -> None:
    with pytest.raises(TrainingError, match='spatial-rag data generate'):
        FrameSet.from_episodes([])


def test_rows_that_do_not_fit_together_are_refused(make_frames: MakeFrames) -> None:
    with pytest.raises(TrainingError, match='120 pictures, but 7 rows of proprio'):
        make_frames(proprio=np.zeros((7, 2), np.float32))


@pytest.mark.parametrize('rgb', [
    np.zeros((4, 32, 48, 3), np.uint8), np.zeros((4, 32, 32), np.uint8),
    np.zeros((4, 32, 32, 3), np.float32)])
def test_only_square_pictures_of_bytes_are_taken(rgb: np.ndarray) -> None:
    rows = np.zeros(4, np.int64)
    with pytest.raises(TrainingError, match='square pictures uint8'):
        FrameSet(rgb, np.zeros((4, 7)), rows, rows, np.zeros(4))


def test_a_spread_sample_has_the_first_and_the_last(make_frames: MakeFrames) -> None:
    frames = make_frames(1, 50)
    assert frames.spread(5).stamps[[0, -1]].tolist() == [0.0, 49.0]
    assert frames.spread(50) is frames
