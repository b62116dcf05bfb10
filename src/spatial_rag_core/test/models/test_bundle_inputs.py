from __future__ import annotations

from spatial_rag_core.errors import (
    ActionError,
    ConfigurationError,
    ImageError,
    InputError,
    LatentError,
    PoseError,
)
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.bundle_inputs import BundleInputs
from spatial_rag_core.models.imagined import bank_arrays, History, history_arrays
from spatial_rag_core.models.memory_bank import MemoryBank

import numpy as np
import pytest


def picture(height: int = 64, width: int = 64, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def inputs_of(bundle: Bundle) -> BundleInputs:
    return BundleInputs(bundle.metadata, bundle.device)


def latents(n: int, z_dim: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, z_dim)).astype(np.float32)


@pytest.mark.parametrize('size', [(1, 1), (1, 500), (33, 17), (480, 640)])
def test_a_picture_of_any_size_is_encoded(bundle: Bundle, size: tuple[int, int]) -> None:
    assert bundle.resize(picture(*size)).shape == (64, 64, 3)
    assert np.isfinite(bundle.encode_image(picture(*size))).all()


def test_the_feature_map_of_a_picture_is_a_32nd_of_its_size(bundle: Bundle) -> None:
    features = bundle.feature_map(picture(480, 640))
    assert features.shape == (512, 2, 2)
    assert np.isfinite(features).all()
    assert not np.array_equal(features, bundle.feature_map(picture(480, 640, seed=1)))


def test_a_view_into_another_array_is_encoded_like_its_copy_and_stays_as_it_was(
        bundle: Bundle) -> None:
    bgr = picture(80, 120)
    before = bgr.copy()
    bgr.flags.writeable = False
    view = bgr[::-2, ::3, ::-1]
    assert np.array_equal(bundle.encode_image(view), bundle.encode_image(view.copy()))
    assert np.array_equal(bgr, before)


def test_shrinking_averages_over_an_area(bundle: Bundle) -> None:
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::4] = 200
    assert np.unique(bundle.resize(stripes)).tolist() == [50]


@pytest.mark.parametrize(('rgb', 'message'), [
    (np.zeros((4, 4, 3), np.float32), 'must be an array of uint8, got float32'),
    ([[[0, 0, 0]]], 'must be an array of uint8, got list'),
    (np.zeros((4, 4), np.uint8), r'shape \[4, 4\], expected \[H, W, 3\]'),
    (np.zeros((4, 4, 4), np.uint8), r'shape \[4, 4, 4\], expected \[H, W, 3\]'),
    (np.zeros((0, 4, 3), np.uint8), r'no pixels, shape \[0, 4, 3\]'),
])
def test_what_is_not_an_rgb_picture_is_refused(
        bundle: Bundle, rgb: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        bundle.encode_image(rgb)


@pytest.mark.parametrize(('depth_m', 'message'), [
    (np.zeros((4, 4), np.uint16), 'depth_m must be an array of float32, got uint16'),
    (np.zeros((4, 4, 1), np.float32), r'shape \[4, 4, 1\], expected \[H, W\]'),
    (np.zeros((4, 0), np.float32), 'no pixels'),
])
def test_what_is_not_a_depth_picture_is_refused(
        rich: Bundle, depth_m: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        rich.encode_image(picture(), depth_m)


def test_a_hole_in_the_depth_stays_a_hole_of_its_size(rich: Bundle) -> None:
    depth_m = np.full((480, 640), 2.0, np.float32)
    depth_m[:7, :9] = np.nan
    resized = inputs_of(rich).depth(depth_m)
    assert resized is not None
    assert resized.shape == (1, 1, 64, 64)
    assert int(resized.isnan().sum()) == 1
    assert np.isfinite(rich.encode_image(picture(), depth_m)).all()


def test_an_edge_in_the_depth_gives_no_surface_between(rich: Bundle) -> None:
    depth_m = np.full((480, 640), 1.0, np.float32)
    depth_m[:, 325:] = 5.0
    resized = inputs_of(rich).depth(depth_m[::-1])
    assert resized is not None
    assert resized.unique().tolist() == [1.0, 5.0]


@pytest.mark.parametrize('proprio', [[1.0, 2.0], [1.0, 2.0, float('nan')], [[1.0, 2.0, 3.0]]])
def test_proprioception_of_another_length_or_not_finite_is_refused(
        rich: Bundle, proprio: list[float]) -> None:
    with pytest.raises(InputError, match='proprio must be 3 finite numbers'):
        rich.encode_image(picture(), None, proprio)


def test_an_input_that_the_model_does_not_have_is_refused(
        bundle: Bundle, plain: Bundle) -> None:
    with pytest.raises(ConfigurationError, match='no input depth_m; leave it out'):
        bundle.encode_image(picture(), np.zeros((64, 64), np.float32))
    with pytest.raises(ConfigurationError, match='no input proprio'):
        bundle.encode_image(picture(), None, [1.0])
    with pytest.raises(ConfigurationError, match='no input memory_pose'):
        plain.predict_next(latents(1)[0], [0, 0], latents(2), memory_pose=np.zeros((2, 9)))
    with pytest.raises(ConfigurationError, match='no input memory_action'):
        plain.predict_next(latents(1)[0], [0, 0], latents(2), memory_action=np.zeros((2, 2)))


def test_vectors_of_another_length_or_not_finite_are_refused(rich: Bundle) -> None:
    z, memories = latents(1, 6)[0], latents(3, 6)
    with pytest.raises(LatentError, match=r'shape \[5\], expected \[6\]'):
        rich.predict_next(z[:5], [0, 0], memories)
    with pytest.raises(ActionError, match=r'shape \[3\], expected \[2\]'):
        rich.predict_next(z, [0, 0, 0], memories)
    with pytest.raises(LatentError, match=r'memories has shape \[3, 5\], expected \[3, 6\]'):
        rich.predict_next(z, [0, 0], memories[:, :5])
    with pytest.raises(LatentError, match=r'memories has shape \[0\], expected \[0, 6\]'):
        rich.predict_next(z, [0, 0], [])
    with pytest.raises(LatentError, match='memories is not finite'):
        rich.predict_next(z, [0, 0], np.full((3, 6), np.inf, np.float32))
    with pytest.raises(PoseError, match=r'memory_pose has shape \[3, 4\], expected \[3, 9\]'):
        rich.predict_next(z, [0, 0], memories, np.zeros((3, 4)))
    with pytest.raises(ActionError, match=r'memory_action has shape \[3, 1\], expected \[3, 2\]'):
        rich.predict_next(z, [0, 0], memories, None, np.zeros((3, 1)))
    with pytest.raises(LatentError, match='not finite'):
        rich.decode_image([np.nan] * 6)


def moments(n: int) -> History:
    return History(latents(n, 6), latents(n, 2, seed=1))


@pytest.mark.parametrize(('actions', 'message'), [
    (np.zeros((3, 2)), r'shape \[3, 2\], expected \[B, T, 2\]'),
    (np.zeros((1, 3, 3)), r'shape \[1, 3, 3\], expected \[B, T, 2\]'),
    (np.zeros((1, 0, 2)), 'with B, T > 0; check the planner'),
    (np.zeros((0, 3, 2)), 'with B, T > 0; check the planner'),
    (np.full((1, 1, 2), np.nan), 'actions are not finite; check the planner'),
    (np.full((1, 1, 2), 1e300), 'actions are not finite; check the planner'),
    ([[[1.0, 2.0]], [[1.0]]], r'actions are no numbers \[B, T, 2\]'),
    ([[['left', 'right']]], r'actions are no numbers \[B, T, 2\]'),
])
def test_plans_of_another_shape_or_not_finite_are_refused(
        rich: Bundle, actions: np.ndarray, message: str) -> None:
    with pytest.raises(ActionError, match=message):
        rich.rollout(np.zeros(6), actions)


@pytest.mark.parametrize(('z_dim', 'action_dim'), [(5, 2), (6, 3)])
def test_a_bank_of_another_model_is_refused(rich: Bundle, z_dim: int, action_dim: int) -> None:
    with pytest.raises(LatentError, match=f'the bank has z_dim {z_dim} and action_dim '
                                          f'{action_dim}, this model 6 and 2; fill it'):
        rich.rollout(np.zeros(6), np.zeros((1, 1, 2)), MemoryBank.empty(z_dim, action_dim))


def test_a_history_of_another_model_or_not_finite_is_refused(rich: Bundle) -> None:
    wrong = [(History(latents(2, 5), latents(2, 2)), LatentError, r'shape \[2, 5\], .*\[C, 6\]'),
             (History(latents(2, 6)[0], latents(6, 2)), LatentError, r'shape \[3\], .*\[C, 6\]'),
             (History(latents(2, 6) * np.inf, latents(2, 2)), LatentError, 'start it anew'),
             (History(latents(2, 6), latents(2, 3)), ActionError, r'shape \[2, 3\], .*\[C, 2\]'),
             (History(latents(2, 6), latents(2, 2) * np.nan), ActionError, 'start it anew')]
    for history, error, message in wrong:
        with pytest.raises(error, match=message):
            rich.rollout(np.zeros(6), np.zeros((1, 1, 2)), history=history)
        with pytest.raises(error, match=message):
            rich.predict_next(np.zeros(6), [0, 0], latents(2, 6), history=history)


def test_a_history_needs_an_action_for_each_latent() -> None:
    with pytest.raises(LatentError, match='3 latents and 2 actions; give one action for each'):
        History(latents(3, 6), latents(2, 2))


@pytest.mark.parametrize(('n', 'slots'), [(0, 8), (1, 8), (8, 8), (9, 16), (100, 128)])
def test_a_bank_is_filled_up_to_a_power_of_two(n: int, slots: int) -> None:
    given = MemoryBank(latents(n, 6), latents(n, 9, 1).astype(np.float64), latents(n, 2, 2))
    z, mask, pose, action = bank_arrays(given, 6, 2)
    assert (z.shape, pose.shape, action.shape) == ((1, slots, 6), (1, slots, 9), (1, slots, 2))
    assert {z.dtype, pose.dtype, action.dtype} == {np.dtype(np.float32)}
    assert mask.tolist() == [[True] * n + [False] * (slots - n)]
    assert np.array_equal(z[0, :n], given.z)
    assert not z[0, n:].any()
    assert not pose[0, n:].any()


def test_only_the_newest_moments_of_a_history_count() -> None:
    z, actions = history_arrays(moments(5), 3, 6, 2)
    assert np.array_equal(z[0], moments(5).z[2:])
    assert np.array_equal(actions[0], moments(5).actions[2:])
    assert history_arrays(moments(2), 3, 6, 2)[0].shape == (1, 2, 6)
    assert history_arrays(None, 3, 6, 2)[1].shape == (1, 0, 2)
