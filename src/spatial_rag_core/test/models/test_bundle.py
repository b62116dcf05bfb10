from __future__ import annotations

from pathlib import Path
import threading

from spatial_rag_core.errors import BundleError, ConfigurationError, LatentError
from spatial_rag_core.models.bundle import Bundle, save_bundle
from spatial_rag_core.models.untrained import untrained_model
from spatial_rag_core.models.world_model import WorldModel
from spatial_rag_core.settings import Settings

import numpy as np
import pytest
import torch

TOLERANCE = {'rtol': 1e-5, 'atol': 1e-5}


def picture(height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def latents(n: int, z_dim: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, z_dim)).astype(np.float32)


@pytest.fixture(scope='module')
def eager() -> WorldModel:
    return untrained_model(Settings()).requires_grad_(False)


def test_encoding_equals_the_eager_model(bundle: Bundle, eager: WorldModel) -> None:
    rgb = torch.from_numpy(picture()).permute(2, 0, 1)[None] / 255.0
    z = bundle.encode_image(picture())
    assert (z.dtype, z.shape) == (np.float32, (32,))
    np.testing.assert_allclose(z, eager.encode(rgb)[0].numpy(), **TOLERANCE)


@pytest.mark.parametrize('n', [0, 1, 5, 8])
def test_predicting_with_padding_equals_the_eager_model_without(
        bundle: Bundle, eager: WorldModel, n: int) -> None:
    z, memories, action = latents(1)[0], latents(n, seed=1), np.array([0.5, -0.2], np.float32)
    expected = eager.predict(torch.from_numpy(z)[None], torch.from_numpy(action)[None],
                             torch.from_numpy(memories)[None], torch.ones(1, n, dtype=torch.bool))
    z_next = bundle.predict_next(z, action, memories)
    assert (z_next.dtype, z_next.shape) == (np.float32, (32,))
    np.testing.assert_allclose(z_next, expected[0].numpy(), **TOLERANCE)


def test_decoding_equals_the_eager_model_to_one_grey_level(
        bundle: Bundle, eager: WorldModel) -> None:
    z = latents(1)[0]
    rgb = bundle.decode_image(z)
    expected = eager.decode(torch.from_numpy(z)[None])[0].permute(1, 2, 0).numpy() * 255.0
    assert (rgb.dtype, rgb.shape) == (np.uint8, (64, 64, 3))
    assert np.abs(rgb - expected).max() <= 0.51


def test_a_rich_model_equals_the_eager_one_with_and_without_its_optional_inputs(
        rich: Bundle, rich_model: WorldModel) -> None:
    rgb = torch.from_numpy(picture()).permute(2, 0, 1)[None] / 255.0
    depth = np.full((64, 64), 2.0, np.float32)
    proprio = torch.tensor([[0.1, 0.2, 0.3]])
    for depth_m, body in ((None, None), (depth, None), (None, proprio), (depth, proprio)):
        expected = rich_model.encode(
            rgb, None if depth_m is None else torch.from_numpy(depth_m)[None, None], body)
        z = rich.encode_image(picture(), depth_m, None if body is None else body[0].numpy())
        np.testing.assert_allclose(z, expected[0].numpy(), rtol=1e-5, atol=1e-4)


def test_poses_and_actions_of_memories_reach_the_model(
        rich: Bundle, rich_model: WorldModel) -> None:
    z, memories = latents(1, 6)[0], latents(3, 6, seed=1)
    pose, actions = latents(3, 9, seed=2), latents(3, 2, seed=3)
    row = [torch.from_numpy(x)[None] for x in (z, np.zeros(2, np.float32), memories)]
    mask = torch.ones(1, 3, dtype=torch.bool)
    for p, a in ((None, None), (pose, None), (None, actions), (pose, actions)):
        expected = rich_model.predict(*row, mask,
                                      None if p is None else torch.from_numpy(p)[None],
                                      None if a is None else torch.from_numpy(a)[None])
        z_next = rich.predict_next(z, [0.0, 0.0], memories, p, a)
        np.testing.assert_allclose(z_next, expected[0].numpy(), **TOLERANCE)


def test_memories_beyond_topk_are_left_out(bundle: Bundle) -> None:
    z, memories = latents(1)[0], latents(20, seed=1)
    assert np.array_equal(bundle.predict_next(z, [0, 0], memories),
                          bundle.predict_next(z, [0, 0], memories[:8]))
    assert not np.allclose(bundle.predict_next(z, [0, 0], memories),
                           bundle.predict_next(z, [0, 0], memories[12:]))


def test_a_latent_that_overflows_is_an_error_and_not_a_message(tmp_path: Path) -> None:
    model = untrained_model(Settings())
    model.encoder.image_mean.zero_()
    for module in model.encoder.modules():  # black stays 0 up to the head, white overflows there
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
    torch.nn.init.constant_(model.encoder.head.weight, 3e38)
    metadata = save_bundle(model, tmp_path / 'm.pt', trained=False, training={})
    loaded = Bundle.load(tmp_path / 'm.pt', device='cpu')
    with pytest.raises(LatentError, match=f'encoder of model {metadata.model_id} .* not finite'):
        loaded.encode_image(np.full((8, 8, 3), 255, np.uint8))


def test_latents_of_another_author_are_refused(bundle: Bundle) -> None:
    bundle.require_author(bundle.model_id)
    with pytest.raises(BundleError, match=f'of model 0123, this bundle is {bundle.model_id}'):
        bundle.require_author('0123')


def test_results_are_plain_arrays_that_training_may_use(bundle: Bundle) -> None:
    z = bundle.encode_image(picture())
    weight = torch.ones(32, requires_grad=True)
    (weight * torch.from_numpy(z)).sum().backward()
    assert weight.grad is not None
    assert np.array_equal(weight.grad.numpy(), z)


def test_threads_that_share_a_bundle_get_what_one_thread_gets(bundle: Bundle) -> None:
    expected = [bundle.encode_image(picture(seed=i)) for i in range(4)]
    wrong: list[int] = []

    def encode(i: int) -> None:
        for _ in range(20):
            if not np.allclose(bundle.encode_image(picture(seed=i)), expected[i], **TOLERANCE):
                wrong.append(i)
    threads = [threading.Thread(target=encode, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_number_of_torch_threads_is_as_asked(untrained_path: Path) -> None:
    Bundle.load(untrained_path, num_threads=2)
    assert torch.get_num_threads() == 2
    Bundle.load(untrained_path)
    assert torch.get_num_threads() == 1
    with pytest.raises(ConfigurationError, match='num_threads must be > 0, got 0'):
        Bundle.load(untrained_path, num_threads=0)
