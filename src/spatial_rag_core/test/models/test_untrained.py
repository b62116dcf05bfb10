from __future__ import annotations

from pathlib import Path

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.bundle import Bundle, BundleMetadata
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.settings import Settings

import cv2
import numpy as np
import pytest
import torch


def create(path: Path, seed: int = 0, **settings: int | bool) -> BundleMetadata:
    return create_untrained_bundle(path, Settings(**settings), seed)


def scene(seed: int) -> np.ndarray:
    """Draw a floor, a wall and six boxes, uint8 [120, 160, 3]."""
    rng = np.random.default_rng(seed)
    rgb = np.full((120, 160, 3), rng.integers(60, 200, 3), np.uint8)
    rgb[rng.integers(50, 90):] = rng.integers(30, 160, 3)
    for _ in range(6):
        x, y, width, height = map(int, rng.integers((0, 0, 5, 5), (150, 110, 45, 45)))
        cv2.rectangle(rgb, (x, y), (x + width, y + height), rng.integers(0, 255, 3).tolist(), -1)
    return rgb


def test_the_same_settings_and_seed_give_the_same_model(tmp_path: Path) -> None:
    first, second = create(tmp_path / 'a.pt', 7), create(tmp_path / 'b.pt', 7)
    assert first.model_id == second.model_id
    assert create(tmp_path / 'c.pt', 8).model_id != first.model_id
    assert (first.trained, first.training) == (False, {'seed': 7})


def test_the_callers_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    create(tmp_path / 'a.pt')
    assert torch.equal(torch.rand(3), expected)


def test_the_number_of_threads_does_not_change_the_model(tmp_path: Path) -> None:
    one = create(tmp_path / 'a.pt')
    torch.set_num_threads(2)
    two = create(tmp_path / 'b.pt')
    torch.set_num_threads(1)
    assert one.model_id == two.model_id


@pytest.mark.parametrize('settings', [
    {'z_dim': 1, 'action_dim': 1, 'topk': 1, 'image_size': 32},
    {'z_dim': 300, 'action_dim': 7, 'image_size': 128},
    {'use_tiny_models': False},
])
def test_settings_shape_the_model(tmp_path: Path, settings: dict[str, int]) -> None:
    create(tmp_path / 'a.pt', **settings)
    bundle, wanted = Bundle.load(tmp_path / 'a.pt'), Settings(**settings)
    z = bundle.encode_image(scene(0))
    assert z.shape == (wanted.z_dim,)
    assert bundle.metadata.topk == wanted.topk
    assert bundle.metadata.architecture == ('tiny' if wanted.use_tiny_models else 'resnet18')
    assert bundle.decode_image(z).shape == (wanted.image_size, wanted.image_size, 3)
    z_next = bundle.predict_next(z, np.zeros(wanted.action_dim), [z, z])
    assert z_next.shape == (wanted.z_dim,)
    imagined = bundle.rollout(z, np.zeros((2, 3, wanted.action_dim)))
    assert imagined.z.shape == (2, 3, wanted.z_dim)


def test_latents_are_of_order_one(bundle: Bundle) -> None:
    z = np.stack([bundle.encode_image(scene(i)) for i in range(40)])
    assert 0.3 < z.std(axis=0).min() <= z.std(axis=0).max() < 2.0


def test_other_scenes_lie_farther_apart_than_one_scene_with_noise(bundle: Bundle) -> None:
    rng = np.random.default_rng(0)
    scenes = [scene(i) for i in range(40)]
    noisy = [np.clip(s + rng.normal(0.0, 5.0, s.shape), 0, 255).astype(np.uint8) for s in scenes]
    z = np.stack([bundle.encode_image(s) for s in scenes])
    again = np.stack([bundle.encode_image(s) for s in noisy])
    distance = np.linalg.norm(z[:, None] - again[None], axis=2)
    other = distance[~np.eye(40, dtype=bool)]
    assert other.min() > 2.0 * np.diag(distance).max()


def test_the_default_file_stays_below_5_megabytes(untrained_path: Path) -> None:
    assert untrained_path.stat().st_size < 5e6


@pytest.mark.parametrize('seed', [-1, 2 ** 32])
def test_a_seed_out_of_range_is_refused(tmp_path: Path, seed: int) -> None:
    with pytest.raises(ConfigurationError, match=f'seed must lie between .*, got {seed}'):
        create(tmp_path / 'a.pt', seed)
