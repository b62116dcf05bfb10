"""Latents that are all the same though the pictures are not are found; nothing else is."""

from __future__ import annotations

from spatial_rag_core.streams.latent_spread import FEWEST, LatentSpread, relative_deviation

import numpy as np
import pytest

RNG = np.random.default_rng(0)
SECOND = 1_000_000_000


def views(count: int, contrast: float = 60.0) -> np.ndarray:
    return np.clip(RNG.normal(128.0, contrast, (count, 16, 16, 3)), 0, 255).astype(np.uint8)


def told(pictures: np.ndarray, z: np.ndarray, period_ns: int = SECOND) -> str | None:
    spread = LatentSpread()
    for number, (picture, latent) in enumerate(zip(pictures, z, strict=True)):
        spread.add(number * period_ns, picture, latent)
    return spread.collapse()


def same(count: int, noise: float = 0.0) -> np.ndarray:
    z = np.tile(RNG.normal(size=32), (count, 1)) + noise * RNG.normal(size=(count, 32))
    return z.astype(np.float32)


@pytest.mark.parametrize('z', [same(FEWEST), same(FEWEST, 1e-3), np.zeros((FEWEST, 32))])
def test_one_latent_for_unlike_pictures_is_told(z: np.ndarray) -> None:
    assert 'the latent has collapsed' in str(told(views(FEWEST), z))


def test_latents_that_differ_are_well() -> None:
    assert told(views(FEWEST), same(FEWEST, 0.05)) is None


def test_a_robot_that_stands_has_one_latent_and_is_well() -> None:
    assert told(views(FEWEST, contrast=0.0), same(FEWEST)) is None
    assert told(np.repeat(views(1), FEWEST, axis=0), same(FEWEST)) is None


def test_few_moments_are_not_judged_and_frames_of_one_moment_are_one() -> None:
    assert told(views(FEWEST - 1), same(FEWEST - 1)) is None
    assert told(views(5 * FEWEST), same(5 * FEWEST), SECOND // 20) is None


def test_a_relative_deviation_is_a_share_of_the_length() -> None:
    assert relative_deviation(np.float32([[1, 0], [-1, 0]])) == pytest.approx(1.0)
    assert relative_deviation(np.float32([[3, 4], [3, 4]])) == 0.0
    assert relative_deviation(np.zeros((4, 2), np.float32)) == 0.0
