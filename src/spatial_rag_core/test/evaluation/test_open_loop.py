from __future__ import annotations

from spatial_rag_core.evaluation.gain_baselines import best_memory, nearest_memory
from spatial_rag_core.evaluation.open_loop import compare, open_loop, OpenLoop
from spatial_rag_core.evaluation.other_memories import (
    no_memory,
    other_maps_memory,
    random_memory,
    shuffled_memory,
)
from spatial_rag_core.models.imagination import Imagination, Rollout
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.training.latent_tracks import LatentTrack
from spatial_rag_core.training.map_memory import FenceConfig
from spatial_rag_core.training.windows import Windows, WindowSet

import numpy as np
import pytest
import torch

STEPS, LAP = 6, 80
HORIZONS = (1, 3, 6)


def loop_track(name: str, seed: int, laps: int = 3) -> LatentTrack:
    """Round and round a circle of 4 m; each place has its own latent."""
    count = laps * LAP
    angle = 2.0 * np.pi * np.arange(count) / LAP
    heading = angle + np.pi / 2
    zero = np.zeros(count)
    poses = np.stack([4.0 * np.cos(angle), 4.0 * np.sin(angle), zero, zero, zero,
                      np.sin(heading / 2), np.cos(heading / 2)], axis=1)
    z = np.random.default_rng(seed).normal(size=(LAP, 8)).astype(np.float32)
    speed = 2.0 * np.pi * 4.0 / LAP / 0.2
    actions = np.tile(np.array([speed, speed / 4.0], np.float32), (count, 1))
    return LatentTrack(name, np.tile(z, (laps, 1)), actions, poses, 1e9 + 0.2 * np.arange(count),
                       np.zeros(count, np.int64), np.ones(count, bool))


@pytest.fixture(scope='module')
def windows() -> WindowSet:
    tracks = [loop_track('a', 0), loop_track('b', 1)]
    return WindowSet(tracks, FenceConfig(fence_sec=5.0, reach_m=20.0), STEPS, 2, every=7)


@pytest.fixture(scope='module')
def network() -> Imagination:
    torch.manual_seed(0)
    net = Imagination(TransitionConfig(8, 2, hidden_dim=16, attention_heads=2)).eval()
    reckoning = net.transition.dead_reckoning
    with torch.no_grad():
        reckoning.weight.zero_()
        reckoning.bias.zero_()
        reckoning.weight[0, 0] = reckoning.weight[5, 1] = 0.2  # metres and radians of a step
    return net.requires_grad_(False)


def perfect(batch: Windows) -> Rollout:
    shape = batch.z[:, 1:].shape[:2]
    return Rollout(batch.z[:, 1:], batch.poses[:, 1:, :3], torch.eye(3).expand(*shape, 3, 3),
                   torch.zeros(shape), torch.zeros(*shape, 0, dtype=torch.int64),
                   torch.zeros(*shape, 0))


def copying(batch: Windows) -> Rollout:
    return perfect(batch)._replace(z=batch.z[:, :1].expand_as(batch.z[:, 1:]))


def test_the_truth_has_no_error_and_copying_has_that_of_copying(windows: WindowSet) -> None:
    for horizon in HORIZONS:
        assert compare(perfect, windows, HORIZONS).relative(horizon) == 0.0
        assert compare(copying, windows, HORIZONS).relative(horizon) == pytest.approx(1.0)
    assert compare(perfect, windows, HORIZONS).drift_m.max() == 0.0


def test_places_of_an_earlier_lap_count_as_revisited_and_no_others(windows: WindowSet) -> None:
    found = compare(copying, windows, HORIZONS)
    moment = windows.starts[:, None] + np.array(HORIZONS)
    # 5 s are 25 moments; a chord of 0.7 m is 2.3 moments, further ones are turned as well.
    assert found.is_revisited[moment >= LAP + 3].all()
    assert not found.is_revisited[moment < LAP - 5].any()


def test_the_nearest_memory_is_the_answer_where_the_robot_goes_round_in_circles(
        windows: WindowSet, network: Imagination) -> None:
    found = compare(nearest_memory(network), windows, HORIZONS)
    seen = found.is_revisited.all(axis=1)
    assert found.relative(6, seen) < 0.05
    assert compare(best_memory, windows, HORIZONS).relative(6, seen) == pytest.approx(0.0)


def test_the_best_memory_is_never_worse_than_copying(windows: WindowSet) -> None:
    found = compare(best_memory, windows, HORIZONS)
    assert (found.error <= found.copy_last + 1e-6).all()


def test_without_memories_the_nearest_memory_is_the_last_latent(
        windows: WindowSet, network: Imagination) -> None:
    found = compare(nearest_memory(network), windows, HORIZONS, no_memory)
    assert found.relative(3) == pytest.approx(1.0)


def test_another_maps_memories_are_of_another_map(windows: WindowSet) -> None:
    chosen = np.arange(10)
    own = windows.batch(chosen)
    bank = other_maps_memory(0)(windows, chosen, own)
    known = torch.from_numpy(windows.tracks[0].z[:LAP])
    apart = torch.cdist(bank.z[bank.mask], known).min(dim=1).values
    assert float(apart.min()) > 0.0


def test_shuffled_memories_are_the_own_ones_at_other_places(windows: WindowSet) -> None:
    chosen = np.flatnonzero(windows.starts > LAP)[:5]
    own = windows.batch(chosen)
    bank = shuffled_memory(0)(windows, chosen, own)
    assert torch.equal(bank.pose, own.bank.pose)
    assert torch.equal(bank.mask, own.bank.mask)
    assert not torch.equal(bank.z, own.bank.z)
    for row in range(len(chosen)):
        before, after = (part.z[row][own.bank.mask[row]] for part in (own.bank, bank))
        assert torch.equal(before.sum(1).sort().values, after.sum(1).sort().values)


def test_random_memories_scramble_every_field(windows: WindowSet) -> None:
    chosen = np.flatnonzero(windows.starts > LAP)[:5]
    own = windows.batch(chosen)
    bank = random_memory(0)(windows, chosen, own)
    size = bank.z.shape[1]
    for name in ('z', 'pose'):
        assert not torch.equal(getattr(bank, name), getattr(own.bank, name)[:, :size])


def test_a_model_is_measured_with_and_without_memory(
        windows: WindowSet, network: Imagination) -> None:
    own, empty = (open_loop(network, windows, HORIZONS, bank) for bank in (None, no_memory))
    assert own.error.shape == (len(windows), len(HORIZONS))
    assert not np.array_equal(own.error, empty.error)
    assert np.array_equal(own.copy_last, empty.copy_last)
    assert np.array_equal(own.is_revisited, empty.is_revisited)


def test_sums_by_map_make_the_same_relative_error(windows: WindowSet,
                                                  network: Imagination) -> None:
    found = open_loop(network, windows, HORIZONS)
    maps = found.by_map(['a', 'b'])
    error, copied = (sum(getattr(one.groups['all'], name)[6] for one in maps)
                     for name in ('error', 'copy_last'))
    assert error / copied == pytest.approx(found.relative(6))
    assert [one.map_id for one in maps] == ['a', 'b']


def test_joined_results_count_their_maps_on(windows: WindowSet) -> None:
    part = compare(copying, windows, HORIZONS)
    joined = OpenLoop.joined([part, part])
    assert joined.relative(3) == pytest.approx(part.relative(3))
    assert set(joined.maps) == {0, 1}
    assert len(joined.error) == 2 * len(part.error)
