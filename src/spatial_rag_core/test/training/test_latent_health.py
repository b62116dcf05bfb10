from __future__ import annotations

from collections.abc import Callable
import tracemalloc

from spatial_rag_core.training import latent_health as module
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.latent_health import (
    effective_rank,
    latent_health,
    place_figures,
)

import numpy as np
import pytest

MakeFrames = Callable[..., FrameSet]
RNG = np.random.default_rng(0)
Z = RNG.normal(size=(2000, 8)).astype(np.float32)


def test_independent_numbers_have_the_full_rank() -> None:
    assert effective_rank(Z) == pytest.approx(8.0, abs=0.1)
    assert latent_health(Z).warning is None


def test_copies_of_one_number_have_rank_one_and_are_called_collapsed() -> None:
    health = latent_health(np.repeat(Z[:, :1], 8, axis=1) + 0.001 * Z)
    assert health.effective_rank == pytest.approx(1.0, abs=0.1)
    assert health.warning is not None
    assert 'collapsed' in health.warning
    assert 'covariance_weight' in health.warning


@pytest.mark.parametrize(('numbers', 'is_collapsed'), [(3, True), (6, False)])
def test_latents_that_tell_as_much_as_a_pose_are_no_collapse(
        numbers: int, is_collapsed: bool) -> None:
    mixed = RNG.normal(size=(2000, numbers)) @ RNG.normal(size=(numbers, 32))
    warning = latent_health(mixed.astype(np.float32)).warning
    assert (warning is not None) == is_collapsed


def test_a_number_that_hardly_changes_is_found_even_after_scaling() -> None:
    scale = np.ones(8)
    scale[2] = 0.001
    health = latent_health(Z, scale)
    assert health.dead == 1
    assert health.warning is not None
    assert '1 of 8 numbers' in health.warning


def test_latents_that_are_not_finite_are_told() -> None:
    broken = Z.copy()
    broken[0, 0] = np.nan
    warning = latent_health(broken).warning
    assert warning is not None
    assert 'not finite' in warning


def test_constant_latents_have_no_rank() -> None:
    assert effective_rank(np.zeros((10, 4), np.float32)) == 0.0


def test_latents_that_are_the_place_find_it_again_and_random_ones_do_not(
        make_frames: MakeFrames) -> None:
    frames = make_frames(2, 60)
    known = place_figures(frames.poses.astype(np.float32), frames)
    lost = place_figures(RNG.normal(size=(120, 8)).astype(np.float32), frames)
    assert known.queries == 120  # each place was seen on both rounds
    assert known.recall_at_1 == 1.0
    assert known.near_far_auc > 0.98
    assert lost.recall_at_1 < 0.5
    assert lost.near_far_auc == pytest.approx(0.5, abs=0.1)


def test_a_view_of_the_same_moment_does_not_count(make_frames: MakeFrames) -> None:
    once = make_frames(1, 60).take(np.arange(30))
    assert place_figures(once.poses.astype(np.float32), once).queries < 10


def test_places_seen_once_give_no_figure(make_frames: MakeFrames) -> None:
    few = make_frames(1, 60).take(np.array([0, 10, 20]))
    assert np.isnan(place_figures(few.poses.astype(np.float32), few).recall_at_1)


def test_queries_in_chunks_find_what_queries_at_once_find(
        make_frames: MakeFrames, monkeypatch: pytest.MonkeyPatch) -> None:
    frames = make_frames(2, 60)
    z = RNG.normal(size=(120, 8)).astype(np.float32)
    at_once = place_figures(z, frames)
    monkeypatch.setattr(module, '_QUERIES_AT_ONCE', 7)
    assert place_figures(z, frames) == at_once


def test_of_a_long_map_some_views_are_asked_about_among_all(
        make_frames: MakeFrames, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, '_MOST_QUERIES', 10)
    frames = make_frames(2, 60)
    some = place_figures(frames.poses.astype(np.float32), frames)
    assert (some.queries, some.recall_at_1) == (20, 1.0)


def test_a_long_recording_takes_memory_by_its_views_not_by_their_pairs(
        make_frames: MakeFrames) -> None:
    frames = make_frames(1, 3000)
    z = RNG.normal(size=(3000, 8)).astype(np.float32)
    tracemalloc.start()
    place_figures(z, frames)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak_bytes < 4 * 3000 ** 2  # of all pairs not even the distances fit in
