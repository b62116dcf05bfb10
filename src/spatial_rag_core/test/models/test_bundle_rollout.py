from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.errors import LatentError
from spatial_rag_core.models.bundle import Bundle, save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.imagined import History, Imagined
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.models.relative_pose import seen_from
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig

import numpy as np
import pytest
import torch

from .transitions import FULL, poses, VARIANTS

TOLERANCE = {'rtol': 1e-5, 'atol': 1e-5}
Z, A, HISTORY, STEPS = 32, 2, 3, 4
Carried = tuple[WorldModel, Bundle]
every_carrier = pytest.mark.parametrize('carried', [
    'tiny', 'resnet18', *(f'tiny, {name}' for name in VARIANTS if name != 'full')], indirect=True)


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def bank(n: int, seed: int = 0) -> MemoryBank:
    return MemoryBank(draw(n, Z, seed=seed), poses(1, n, seed)[0].numpy(), draw(n, A, seed=seed))


def history(n: int) -> History:
    return History(draw(n, Z, seed=8), draw(n, A, seed=9))


def batched(array: np.ndarray | None, batch: int = 1) -> torch.Tensor | None:
    return None if array is None else torch.from_numpy(np.repeat(array[None], batch, axis=0))


def assert_same(one: Imagined, other: Imagined, rows: slice = slice(None)) -> None:
    for name in ('z', 'position', 'rotation', 'sigma', 'memory_rows', 'weights'):
        np.testing.assert_allclose(getattr(one, name), getattr(other, name)[rows], **TOLERANCE,
                                   err_msg=name)


@pytest.fixture(scope='module')
def carried(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Carried:
    """A model and its bundle; of an architecture and a variant."""
    architecture, _, variant = request.param.partition(', ')
    torch.manual_seed(0)
    model = WorldModel(WorldModelConfig(EncoderConfig(architecture), TransitionConfig(
        hidden_dim=64, **FULL | VARIANTS[variant or 'full'])))
    model.eval().requires_grad_(False)
    path = tmp_path_factory.mktemp('carried') / 'model.pt'
    save_bundle(model, path, trained=False, training={}, history=HISTORY)
    return model, Bundle.load(path, device='cpu')


@every_carrier
def test_a_rollout_equals_the_eager_models_with_and_without_bank_and_history(
        carried: Carried) -> None:
    model, loaded = carried
    z, plans = draw(Z), draw(2, STEPS, A, seed=1)
    for n in (0, 5, 40):
        for moments in (None, *range(HISTORY + 1)):
            given, past = bank(n), None if moments is None else history(moments)
            expected = model.rollout(
                batched(z, 2), torch.from_numpy(plans), batched(given.z, 2),
                torch.ones(2, n, dtype=torch.bool), batched(given.pose, 2),
                batched(given.action, 2), *(batched(part, 2) for part in (
                    (None, None) if past is None else (past.z, past.actions))))
            imagined = loaded.rollout(z, plans, given, past)
            k = min(expected.weights.shape[2], imagined.weights.shape[2])
            np.testing.assert_allclose(imagined.z, expected.z, **TOLERANCE)
            np.testing.assert_allclose(imagined.position, expected.position, **TOLERANCE)
            np.testing.assert_allclose(imagined.rotation, expected.rotation, **TOLERANCE)
            np.testing.assert_allclose(imagined.weights[..., :k], expected.weights[..., :k],
                                       **TOLERANCE)
            if loaded.metadata.transition['uncertainty']:
                np.testing.assert_allclose(imagined.sigma, (0.5 * expected.log_variance).exp(),
                                           **TOLERANCE)


@every_carrier
def test_a_prediction_equals_the_eager_models_with_and_without_its_optional_inputs(
        carried: Carried) -> None:
    model, loaded = carried
    z, a, given = draw(Z), draw(A, seed=1), bank(5)
    pose = given.pose if loaded.metadata.uses_memory_pose else None
    action = given.action if loaded.metadata.uses_memory_action else None
    for p, b in ((None, None), (pose, None), (None, action), (pose, action)):
        for past in (None, *map(history, range(HISTORY + 1))):
            expected = model.predict(
                batched(z), batched(a), batched(given.z), torch.ones(1, 5, dtype=torch.bool),
                batched(p), batched(b), *(batched(part) for part in (
                    (None, None) if past is None else (past.z, past.actions))))
            z_next = loaded.predict_next(z, a, given.z, p, b, past)
            np.testing.assert_allclose(z_next, expected[0], **TOLERANCE)


@pytest.mark.parametrize('carried', ['tiny', 'resnet18'], indirect=True)
def test_encoding_and_decoding_equal_the_eager_models(carried: Carried) -> None:
    model, loaded = carried
    rgb = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    expected = model.encode(torch.from_numpy(rgb).permute(0, 3, 1, 2) / 255.0).numpy()
    np.testing.assert_allclose(loaded.encode_images(rgb), expected, **TOLERANCE)
    np.testing.assert_allclose(loaded.encode_image(rgb[1]), expected[1], **TOLERANCE)
    shown = model.decode(torch.from_numpy(expected[:1]))[0].permute(1, 2, 0) * 255.0
    assert np.abs(loaded.decode_image(expected[0]) - shown.numpy()).max() <= 0.51


@pytest.mark.parametrize('carried', ['tiny', 'tiny, plain'], indirect=True)
def test_many_pictures_have_the_latents_that_each_has_alone(carried: Carried) -> None:
    loaded = carried[1]
    rgb = np.random.default_rng(0).integers(0, 256, (130, 20, 30, 3), np.uint8)
    alone = np.stack([loaded.encode_image(picture) for picture in rgb])
    np.testing.assert_allclose(loaded.encode_images(rgb), alone, rtol=1e-4, atol=1e-5)
    assert loaded.encode_images(rgb[:0]).shape == (0, Z)


def test_one_step_is_the_prediction_from_the_chosen_memories(rich: Bundle) -> None:
    z, plans = draw(6), draw(1, 1, A, seed=1)
    given = MemoryBank(draw(12, 6), poses(1, 12)[0].numpy(), draw(12, A))
    past = History(draw(3, 6, seed=8), draw(3, A, seed=9))
    imagined = rich.rollout(z, plans, given, past)
    rows = imagined.memory_rows[0, 0]
    rows = rows[rows >= 0]
    assert len(rows) == 4
    z_next = rich.predict_next(z, plans[0, 0], given.z[rows], given.pose[rows],
                               given.action[rows], past)
    np.testing.assert_allclose(imagined.z[0, 0], z_next, **TOLERANCE)


@pytest.mark.parametrize('carried', ['tiny, no pose', 'tiny, no action', 'tiny, no agreement'],
                         indirect=True)
def test_what_a_model_does_not_read_makes_no_difference_to_one_step(carried: Carried) -> None:
    loaded, z, plans, given = carried[1], draw(Z), draw(1, 1, A, seed=1), bank(5)
    imagined = loaded.rollout(z, plans, given)
    rows = imagined.memory_rows[0, 0]
    rows = rows[rows >= 0]
    assert len(rows) == 5
    reads = loaded.metadata
    z_next = loaded.predict_next(z, plans[0, 0], given.z[rows],
                                 given.pose[rows] if reads.uses_memory_pose else None,
                                 given.action[rows] if reads.uses_memory_action else None)
    np.testing.assert_allclose(imagined.z[0, 0], z_next, **TOLERANCE)


@pytest.mark.parametrize('carried', ['tiny, no agreement'], indirect=True)
def test_two_halves_with_the_first_as_history_are_the_whole(carried: Carried) -> None:
    loaded = carried[1]
    z, plans, given = draw(Z), draw(1, 2 * HISTORY, A, seed=1), bank(20)
    whole = loaded.rollout(z, plans, given)
    first = loaded.rollout(z, plans[:, :HISTORY], given)
    position, rotation = (torch.from_numpy(part[:, -1]) for part in (first.position,
                                                                     first.rotation))
    there = seen_from(position, rotation, torch.from_numpy(given.pose)[None])[0].numpy()
    past = History(np.concatenate([z[None], first.z[0, :-1]]), plans[0, :HISTORY])
    second = loaded.rollout(first.z[0, -1], plans[:, HISTORY:],
                            MemoryBank(given.z, there, given.action), past)
    np.testing.assert_allclose(np.concatenate([first.z, second.z], axis=1), whole.z,
                               rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        position.numpy() + second.position[0] @ rotation[0].numpy().T,
        whole.position[0, HISTORY:], rtol=1e-4, atol=1e-5)


@every_carrier
def test_plans_at_once_are_what_each_is_alone(carried: Carried) -> None:
    loaded, z, plans = carried[1], draw(Z), draw(5, STEPS, A, seed=1)
    together = loaded.rollout(z, plans, bank(20), history(2))
    for row in range(5):
        alone = loaded.rollout(z, plans[row:row + 1], bank(20), history(2))
        assert_same(alone, together, slice(row, row + 1))


@every_carrier
def test_an_empty_bank_is_no_bank(carried: Carried) -> None:
    loaded, z, plans = carried[1], draw(Z), draw(1, STEPS, A, seed=1)
    imagined = loaded.rollout(z, plans)
    assert_same(loaded.rollout(z, plans, MemoryBank.empty(Z, A)), imagined)
    assert (imagined.memory_rows == -1).all()
    assert not imagined.weights.any()


@pytest.mark.parametrize('carried', ['tiny', 'tiny, no memory'], indirect=True)
def test_the_rows_of_a_short_bank_lie_in_it(carried: Carried) -> None:
    loaded = carried[1]
    imagined = loaded.rollout(draw(Z), draw(3, STEPS, A, seed=1), bank(3))
    assert set(np.unique(imagined.memory_rows)) <= {-1, 0, 1, 2}
    assert np.array_equal(imagined.memory_rows >= 0, imagined.weights > 0)


@pytest.mark.parametrize('carried', ['tiny', 'tiny, sure'], indirect=True)
def test_a_model_without_an_uncertainty_says_so(carried: Carried) -> None:
    sigma = carried[1].rollout(draw(Z), draw(1, STEPS, A)).sigma
    assert sigma.shape == (1, STEPS)
    assert np.isfinite(sigma).all() == carried[1].metadata.transition['uncertainty']


@pytest.mark.parametrize('carried', ['tiny', 'tiny, from rest'], indirect=True)
def test_a_history_counts_where_the_state_is_carried(carried: Carried) -> None:
    loaded, z, plans = carried[1], draw(Z), draw(1, STEPS, A, seed=1)
    same = np.allclose(loaded.rollout(z, plans, None, history(2)).z, loaded.rollout(z, plans).z)
    assert same is not loaded.metadata.transition['carry_state']


def test_a_model_trained_without_history_leaves_it_out(bundle: Bundle) -> None:
    z, plans = draw(Z), draw(1, STEPS, A, seed=1)
    assert_same(bundle.rollout(z, plans, history=history(2)), bundle.rollout(z, plans))


def test_results_are_float32_and_rotations_are_rotations(bundle: Bundle) -> None:
    imagined = bundle.rollout(draw(Z), draw(2, STEPS, A, seed=1), bank(20))
    arrays: dict[str, Any] = vars(imagined)
    assert {a.dtype for name, a in arrays.items() if name != 'memory_rows'} == {
        np.dtype(np.float32)}
    assert imagined.memory_rows.dtype == np.int64
    turns = imagined.rotation @ imagined.rotation.swapaxes(2, 3)
    np.testing.assert_allclose(turns, np.broadcast_to(np.eye(3), turns.shape), atol=1e-5)


def test_latents_that_overflow_on_the_way_are_an_error(tmp_path: Path) -> None:
    model = WorldModel(WorldModelConfig(transition=TransitionConfig(memory=False)))
    torch.nn.init.constant_(model.imagination.transition.mlp[2].bias, 1e38)
    save_bundle(model, tmp_path / 'm.pt', trained=False, training={})
    loaded = Bundle.load(tmp_path / 'm.pt', device='cpu')
    assert np.isfinite(loaded.rollout(np.zeros(Z), np.zeros((1, 2, A))).z).all()
    with pytest.raises(LatentError, match='not finite; imagine fewer steps'):
        loaded.rollout(np.zeros(Z), np.zeros((1, 9, A)))
