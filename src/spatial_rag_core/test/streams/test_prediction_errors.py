from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.prediction_errors import Foreseen, PredictionErrors

import numpy as np
import pytest

MS = 1_000_000


def z(*values: float) -> np.ndarray:
    return np.float32(values)


def foreseen(ms: int, value: float = 0.0, with_memory: float | None = None,
             uses_memory: bool = True) -> Foreseen:
    return Foreseen(ms * MS, z(0.0, 0.0),
                    None if with_memory is None else z(with_memory, with_memory),
                    z(value, value), uses_memory, 0.5)


@pytest.fixture
def errors() -> PredictionErrors:
    return PredictionErrors(step_sec=0.2)


def test_a_prediction_is_judged_by_the_frame_a_step_later(errors: PredictionErrors) -> None:
    for ms in range(0, 201, 50):
        errors.seen(ms * MS, z(0.0, 0.0))
        errors.add(foreseen(ms, value=float(ms), with_memory=1.0))
    surprise = errors.seen(250 * MS, z(3.0, 3.0))
    assert surprise is not None
    assert (surprise.stamp_ns, surprise.foreseen_from_ns) == (250 * MS, 50 * MS)
    assert surprise.without_memory == pytest.approx(47.0)
    assert surprise.with_memory == surprise.error == pytest.approx(2.0)
    assert surprise.copying == pytest.approx(3.0)
    assert surprise.expected == 0.5


def test_the_error_is_a_root_mean_square(errors: PredictionErrors) -> None:
    errors.add(foreseen(0))
    surprise = errors.seen(200 * MS, z(1.0, 7.0))
    assert surprise is not None
    assert surprise.error == pytest.approx(5.0)


def test_what_was_published_is_told_apart_from_what_was_left_out(
        errors: PredictionErrors) -> None:
    errors.add(foreseen(0, value=1.0, with_memory=2.0, uses_memory=False))
    surprise = errors.seen(200 * MS, z(0.0, 0.0))
    assert surprise is not None
    assert (surprise.error, surprise.with_memory, surprise.without_memory) == (1.0, 2.0, 1.0)


def test_without_memories_there_is_no_error_with_them(errors: PredictionErrors) -> None:
    errors.add(foreseen(0, value=1.0))
    surprise = errors.seen(200 * MS, z(0.0, 0.0))
    assert surprise is not None
    assert math.isnan(surprise.with_memory)
    assert surprise.error == surprise.without_memory == 1.0


@pytest.mark.parametrize('jitter_ms', [-20, 0, 20])
def test_of_several_the_nearest_moment_is_judged(errors: PredictionErrors, jitter_ms: int) -> None:
    for ms in (0, 50, 100):
        errors.add(foreseen(ms, value=float(ms)))
    surprise = errors.seen((250 + jitter_ms) * MS, z(50.0, 50.0))
    assert surprise is not None
    assert surprise.error == 0.0
    assert len(errors) == 1


def test_a_frame_that_nobody_foresaw_is_no_surprise(errors: PredictionErrors) -> None:
    assert errors.seen(0, z(0.0, 0.0)) is None
    errors.add(foreseen(0))
    assert errors.seen(100 * MS, z(0.0, 0.0)) is None
    assert errors.seen(251 * MS, z(0.0, 0.0)) is None, 'more than a quarter of a step away'
    assert len(errors) == 0


def test_each_prediction_is_judged_once(errors: PredictionErrors) -> None:
    errors.add(foreseen(0))
    assert errors.seen(190 * MS, z(0.0, 0.0)) is not None
    assert errors.seen(200 * MS, z(0.0, 0.0)) is None


def test_a_repeated_or_late_frame_judges_nothing(errors: PredictionErrors) -> None:
    errors.seen(200 * MS, z(0.0, 0.0))
    errors.add(foreseen(0))
    assert errors.seen(200 * MS, z(0.0, 0.0)) is None
    assert errors.seen(190 * MS, z(0.0, 0.0)) is None


def test_where_time_is_turned_back_nothing_of_before_is_judged(errors: PredictionErrors) -> None:
    errors.seen(9000 * MS, z(0.0, 0.0))
    errors.add(foreseen(9000))
    assert errors.seen(0, z(0.0, 0.0)) is None
    assert len(errors) == 0
    errors.add(foreseen(0))
    assert errors.seen(200 * MS, z(0.0, 0.0)) is not None


def test_a_step_of_no_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r'step_sec must be > 0 s, got 0\.0'):
        PredictionErrors(0.0)
