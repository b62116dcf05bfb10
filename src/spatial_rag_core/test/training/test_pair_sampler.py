from __future__ import annotations

from collections.abc import Callable

from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.pair_sampler import PairSampler, separations
from spatial_rag_core.training.perception_config import PerceptionConfig

import numpy as np
import pytest
import torch

MakeFrames = Callable[..., FrameSet]


def sampler(frames: FrameSet, **options: int) -> PairSampler:
    return PairSampler(frames, PerceptionConfig(**{'batch_size': 32, 'maps_per_batch': 2,
                                                   **options}), seed=0)


def test_distance_and_angle_are_those_of_the_poses() -> None:
    turned = np.array([[3.0, 4.0, 0.0, 0.0, 0.0, np.sin(0.35), np.cos(0.35)]])
    apart_m, angle = separations(np.array([[0.0, 0, 0, 0, 0, 0, 1]]), turned)
    assert apart_m[0, 0] == pytest.approx(5.0)
    assert angle[0, 0] == pytest.approx(0.7)
    opposite = turned * np.array([1, 1, 1, -1, -1, -1, -1])
    assert separations(turned, opposite)[1][0, 0] == pytest.approx(0.0, abs=1e-6)


def test_the_second_half_of_a_batch_shows_the_places_of_the_first(
        make_frames: MakeFrames) -> None:
    batch = sampler(make_frames()).draw(np.random.default_rng(0))
    pairs = batch.sameness[:16, 16:].diagonal()
    assert batch.rgb.shape == (32, 32, 32, 3)
    assert (pairs >= np.exp(-2.0)).all()  # at most near_m away, and turned by near_deg


def test_another_map_is_another_place_even_at_the_same_coordinates(
        make_frames: MakeFrames) -> None:
    frames = make_frames()
    sameness = sampler(frames)._sameness(np.array([0, 60]))
    assert frames.poses[0].tolist() == frames.poses[60].tolist()
    assert not sameness.any()


def test_sameness_falls_with_distance_and_with_angle(make_frames: MakeFrames) -> None:
    frames = make_frames(1, 60)
    rows = np.array([0, 30, 1, 2, 15])  # 30: the second round
    apart_m, angle = separations(frames.poses[rows[:1]], frames.poses[rows])
    expected = np.exp(-(apart_m[0] / 0.5) ** 2 - (np.degrees(angle[0]) / 20.0) ** 2)
    sameness = sampler(frames)._sameness(rows)[0]
    np.testing.assert_allclose(sameness[1:], expected[1:], atol=1e-6)
    assert sameness[1] == pytest.approx(1.0)
    assert 0.9 > sameness[2] > sameness[3] > sameness[4]


def test_a_picture_is_no_neighbour_of_itself(make_frames: MakeFrames) -> None:
    sameness = sampler(make_frames())._sameness(np.array([3, 3, 4]))
    assert not sameness.diagonal().any()
    assert sameness[0, 1] == 1.0  # drawn twice, it is changed at random twice


def test_a_view_without_neighbours_is_its_own_partner(make_frames: MakeFrames) -> None:
    frames = make_frames(1, 4)
    assert sampler(frames, maps_per_batch=1)._partners[:, 0].tolist() == [2, 3, 0, 1]
    alone = frames.take(np.array([0, 1]))
    assert sampler(alone, maps_per_batch=1)._partners[:, 0].tolist() == [0, 1]


def test_the_same_seed_draws_the_same_batch(make_frames: MakeFrames) -> None:
    one, two = (sampler(make_frames()).draw(np.random.default_rng(3)) for _ in range(2))
    assert torch.equal(one.rgb, two.rgb)
