from __future__ import annotations

import dataclasses
from typing import Any

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.models.imagination import Imagination
from spatial_rag_core.models.relative_pose import rotation_of
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.training.dynamics import (
    DynamicsModule,
    fit_dead_reckoning,
    rotation_vectors,
)
from spatial_rag_core.training.dynamics_config import DynamicsConfig
from spatial_rag_core.training.fitting import FitOptions
from spatial_rag_core.training.latent_tracks import LatentTrack
from spatial_rag_core.training.map_memory import FenceConfig
from spatial_rag_core.training.train_dynamics import train_dynamics
from spatial_rag_core.training.window_batches import TrainingBatches
from spatial_rag_core.training.windows import WindowSet

import numpy as np
import pytest
import torch

from .drives import home, Z_DIM

CPU = FitOptions(accelerator='cpu', devices=1)
SMALL = TransitionConfig(Z_DIM, 2, hidden_dim=16, topk=4)
SHORT = DynamicsConfig(horizon=4, training_steps=4, batch_size=8, validate_every=2,
                       fence=FenceConfig(most=32))
VARIANTS: dict[str, dict[str, Any]] = {
    'everything': {'memory_action': True}, 'no memory': {'memory': False},
    'no pointer': {'pointer': False}, 'no displacement': {'displacement': False},
    'no state': {'carry_state': False}, 'no uncertainty': {'uncertainty': False},
    'once': {'lookup': 'once'},
    'the formula': {'lookup': 'latent', 'memory_pose': False, 'memory_action': False,
                    'pointer': False, 'displacement': False, 'uncertainty': False}}


@pytest.fixture(scope='module')
def windows() -> WindowSet:
    return WindowSet([home()], SHORT.fence, SHORT.horizon, SHORT.history)


@pytest.mark.parametrize('variant', VARIANTS)
def test_every_variant_has_a_finite_loss_that_teaches_all_that_it_uses(
        variant: str, windows: WindowSet) -> None:
    torch.manual_seed(0)
    transition = dataclasses.replace(SMALL, **VARIANTS[variant])
    module = DynamicsModule(transition, dataclasses.replace(SHORT, no_history_share=0.0))
    batch = next(iter(TrainingBatches(windows, module.config, 0)))
    loss, _ = module._loss(batch)
    assert torch.isfinite(loss)
    loss.backward()
    untaught = [name for name, each in module.named_parameters()
                if each.grad is None or not torch.isfinite(each.grad).all()]
    assert not untaught


def test_what_no_memory_slot_holds_does_not_matter(windows: WindowSet) -> None:
    module = DynamicsModule(SMALL, SHORT)
    batch = windows.batch(np.arange(60, 68))
    bank = batch.bank
    holes = ~bank.mask.clone()
    holes[:, 3:] = True
    spoilt = bank._replace(mask=~holes, z=bank.z.masked_fill(holes[:, :, None], torch.nan))
    plain = bank._replace(mask=~holes)
    assert torch.equal(module._loss(batch._replace(bank=spoilt))[0],
                       module._loss(batch._replace(bank=plain))[0])


def test_uncertainty_teaches_nothing_else(windows: WindowSet) -> None:
    batch = windows.batch(np.arange(8))
    gradients = []
    for weight in (0.0, 1.0):
        torch.manual_seed(0)
        module = DynamicsModule(SMALL, dataclasses.replace(SHORT, uncertainty_weight=weight))
        module._loss(batch)[0].backward()
        gradients.append({name: each.grad for name, each in module.network.named_parameters()
                          if 'log_variance' not in name})
    for name, without in gradients[0].items():
        assert torch.equal(without, gradients[1][name]), name


def test_rotation_vectors_undo_rotation_of() -> None:
    lot = torch.Generator().manual_seed(0)
    axis = torch.nn.functional.normalize(torch.randn(200, 3, generator=lot), dim=1)
    for angle in (0.0, 1e-9, 1e-5, 1e-3, 0.1, 1.0, 2.0, 3.0):
        torch.testing.assert_close(rotation_vectors(rotation_of(axis * angle)), axis * angle,
                                   rtol=1e-4, atol=1e-6)


def robot(count: int = 200, actions: np.ndarray | None = None) -> LatentTrack:
    """Each action (v, w) moves it 0.2 v ahead and 0.05 w to the left, then turns it 0.3 w."""
    drawn = np.random.default_rng(3).normal(size=(count, 2)) if actions is None else actions
    heading = np.concatenate([[0.0], np.cumsum(0.3 * drawn[:-1, 1])])
    ahead, left = 0.2 * drawn[:-1, 0], 0.05 * drawn[:-1, 1]
    cos, sin = np.cos(heading[:-1]), np.sin(heading[:-1])
    poses = np.zeros((count, 7))
    poses[1:, 0] = np.cumsum(cos * ahead - sin * left)
    poses[1:, 1] = np.cumsum(sin * ahead + cos * left)
    poses[:, 5], poses[:, 6] = np.sin(heading / 2), np.cos(heading / 2)
    return LatentTrack('plane', np.zeros((count, Z_DIM), np.float32), drawn.astype(np.float32),
                       poses, 0.2 * np.arange(count), np.zeros(count, np.int64),
                       np.ones(count, bool))


def test_dead_reckoning_is_recovered_from_motion() -> None:
    network = Imagination(SMALL)
    fit_dead_reckoning(network, WindowSet([robot()], SHORT.fence, 4, 0))
    expected = torch.zeros(6, 2)
    expected[0, 0], expected[1, 1], expected[5, 1] = 0.2, 0.05, 0.3
    reckoning = network.transition.dead_reckoning
    torch.testing.assert_close(reckoning.weight.detach(), expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(reckoning.bias.detach(), torch.zeros(6), rtol=0, atol=1e-5)


def test_a_robot_that_always_does_the_same_is_reckoned_too() -> None:
    network = Imagination(SMALL)
    fit_dead_reckoning(network, WindowSet([robot(20, np.ones((20, 2)))], SHORT.fence, 4, 0))
    reckoned = network.transition.dead_reckoning(torch.ones(1, 2)).detach()
    torch.testing.assert_close(reckoned, torch.tensor([[0.2, 0.05, 0.0, 0.0, 0.0, 0.3]]))


def posters(map_id: str, seed: int, laps: int = 3) -> LatentTrack:
    """
    Twelve places in a row, a metre apart, walked from end to end, each with its own picture.

    What the next picture is, nothing but having been there can tell.
    """
    lot = np.random.default_rng(seed)
    picture = lot.normal(size=(12, Z_DIM)).astype(np.float32)
    there = np.concatenate([np.arange(12), np.arange(10, 0, -1)])
    place = np.tile(there, laps)
    count = len(place)
    actions = np.zeros((count, 2), np.float32)
    actions[:-1, 0] = np.diff(place)
    poses = np.zeros((count, 7))
    poses[:, 0], poses[:, 6] = place, 1.0
    return LatentTrack(map_id, picture[place], actions, poses, np.arange(count, dtype=float),
                       np.zeros(count, np.int64), np.ones(count, bool))


def test_where_memory_tells_the_answer_it_is_learned_to_be_looked_up() -> None:
    config = DynamicsConfig(horizon=2, history=1, training_steps=140, batch_size=16,
                            learning_rate=1e-2, validate_every=140, no_memory_share=0.05,
                            wrong_map_share=0.0, fence=FenceConfig(fence_sec=3.0, most=32))
    parts = [[posters(f'map-{number}', number) for number in range(first, last)]
             for first, last in ((0, 8), (100, 104))]
    learned, unseen = (WindowSet(part, config.fence, 2, 1) for part in parts)
    errors = {memory: train_dynamics(
        dataclasses.replace(SMALL, memory=memory, topk=2), config, learned, unseen, 0,
        CPU).figures.best for memory in (True, False)}
    assert errors[True] < 0.5 * errors[False]


def test_the_same_seed_trains_the_same_and_leaves_the_callers_lot_alone(
        windows: WindowSet) -> None:
    state = torch.get_rng_state()
    one, two, other = (train_dynamics(SMALL, SHORT, windows, windows, seed, CPU).network
                       for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    pairs = list(zip(one.parameters(), two.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert not all(torch.equal(a, c) for a, _, c in pairs)
    assert not one.training
    assert not any(each.requires_grad for each in one.parameters())


@pytest.mark.parametrize('steps', range(1, 13))
def test_a_training_may_be_as_short_as_one_likes(steps: int, windows: WindowSet) -> None:
    config = dataclasses.replace(SHORT, training_steps=steps, validate_every=250, batch_size=2)
    assert train_dynamics(SMALL, config, windows, windows.thinned(4), 0, CPU).figures.steps == (
        steps)


def test_where_nothing_moves_the_error_is_finite() -> None:
    still = WindowSet([robot(20, np.zeros((20, 2)))], SHORT.fence, SHORT.horizon, 2)
    assert np.isfinite(train_dynamics(SMALL, SHORT, still, still, 0, CPU).figures.best)


@pytest.mark.parametrize('wrong', [{'z_dim': 5}, {'action_dim': 3}])
def test_windows_of_another_size_are_refused_with_the_remedy(wrong: dict[str, int],
                                                             windows: WindowSet) -> None:
    with pytest.raises(TrainingError, match=r'actions of 2 .*Z_DIM=4 and ACTION_DIM=2'):
        train_dynamics(dataclasses.replace(SMALL, **wrong), SHORT, windows, windows, 0, CPU)


@pytest.mark.parametrize(('values', 'message'), [
    ({'horizon': 0}, 'horizon must be > 0, got 0'),
    ({'history': -1}, 'history must be >= 0, got -1'),
    ({'wrong_map_share': 1.5}, r'wrong_map_share must lie in \[0, 1\], got 1.5'),
    ({'no_memory_share': 0.6, 'wrong_map_share': 0.6}, 'must not exceed 1 together'),
])
def test_a_configuration_is_checked_at_birth(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        DynamicsConfig(**values)
