"""Which moments a model that looks back is given."""

from __future__ import annotations

from itertools import pairwise

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.latent_history import LatentHistory

import numpy as np
import pytest

MS = 1_000_000
T0 = 1_700_000_000_000 * MS


def latent(value: float) -> np.ndarray:
    return np.full(4, value, np.float32)


def action(value: float) -> np.ndarray:
    return np.full(2, -value, np.float32)


def filled(stamps_ms: list[float], steps: int = 3, step_sec: float = 0.2) -> LatentHistory:
    """Each latent holds its own stamp [ms]."""
    history = LatentHistory(steps, step_sec)
    for stamp in stamps_ms:
        history.add(T0 + round(stamp * MS), latent(stamp), action(stamp))
    return history


def at(history: LatentHistory, stamp_ms: float) -> list[float]:
    """Stamps [ms] of the moments that it gives."""
    found = history.at(T0 + round(stamp_ms * MS))
    if found is None:
        return []
    np.testing.assert_array_equal(found.actions[:, 0], -found.z[:, 0])
    return [float(value) for value in found.z[:, 0]]


def every(period_ms: float, until_ms: float) -> list[float]:
    return [float(t) for t in np.arange(0.0, until_ms + 1e-6, period_ms)]


def test_of_a_stream_at_20_hz_it_gives_every_fourth_frame_oldest_first() -> None:
    assert at(filled(every(50.0, 1000.0)), 1000.0) == [400.0, 600.0, 800.0]


def test_latents_and_actions_come_as_float32_arrays() -> None:
    found = filled(every(50.0, 1000.0)).at(T0 + 1000 * MS)
    assert found is not None
    assert (found.z.dtype, found.z.shape) == (np.float32, (3, 4))
    assert (found.actions.dtype, found.actions.shape) == (np.float32, (3, 2))


def test_as_long_as_there_is_less_it_gives_less() -> None:
    stamps = every(50.0, 1000.0)
    assert [len(at(filled(stamps[:count]), stamps[count - 1])) for count in (1, 2, 4, 5, 9, 13)
            ] == [0, 0, 0, 1, 2, 3]


def test_the_present_itself_is_no_history() -> None:
    assert 200.0 not in at(filled([0.0, 200.0]), 200.0)
    assert at(filled([0.0, 500.0]), 500.0) == []


@pytest.mark.parametrize('jitter_ms', [0.0, 2.0, 10.0])
@pytest.mark.parametrize('period_ms', [20.0, 33.3, 50.0, 66.7, 100.0])
def test_each_moment_is_the_nearest_one_at_any_rate(period_ms: float, jitter_ms: float) -> None:
    rng = np.random.default_rng(0)
    stamps = [t + rng.uniform(-jitter_ms / 2, jitter_ms / 2) for t in every(period_ms, 3000.0)]
    found = at(filled(stamps), stamps[-1])
    for step, moment in enumerate(reversed(found), start=1):
        wanted = stamps[-1] - 200.0 * step
        assert abs(moment - wanted) <= min(abs(t - wanted) for t in stamps) + 0.01
        assert abs(moment - wanted) <= period_ms / 2 + jitter_ms
    assert len(set(found)) == len(found)
    assert len(found) == 3 or jitter_ms == 10.0


def test_it_ends_at_a_gap() -> None:
    stamps = [t for t in every(50.0, 1000.0) if not 500.0 < t < 700.0]
    assert at(filled(stamps), 1000.0) == [800.0]


def test_one_lost_frame_is_bridged_by_none_that_is_farther_than_half_a_frame() -> None:
    stamps = [t for t in every(50.0, 1000.0) if t != 600.0]
    assert at(filled(stamps), 1000.0) == [800.0]
    assert at(filled([t for t in every(50.0, 1000.0) if t != 650.0]), 1000.0) == [
        400.0, 600.0, 800.0]


def test_of_a_slow_stream_no_moment_serves_twice() -> None:
    for period_ms in (150.0, 250.0, 400.0, 1000.0):
        stamps = every(period_ms, 4000.0)
        found = at(filled(stamps), stamps[-1])
        assert all(150.0 <= later - earlier <= 300.0
                   for earlier, later in pairwise([*found, stamps[-1]])), period_ms


def test_time_that_runs_backwards_clears_it() -> None:
    history = filled(every(50.0, 1000.0))
    history.add(T0, latent(0.0), action(0.0))
    assert len(history) == 1
    assert at(history, 0.0) == at(history, 1000.0) == []
    for stamp in every(50.0, 250.0)[1:]:
        history.add(T0 + round(stamp * MS), latent(stamp), action(stamp))
    assert at(history, 250.0) == [50.0]


def test_a_late_latent_is_left_out_and_a_repeated_one_replaces() -> None:
    history = filled(every(50.0, 1000.0))
    history.add(T0 + 810 * MS, latent(810.0), action(810.0))
    assert at(history, 1000.0) == [400.0, 600.0, 800.0]
    history.add(T0 + 1000 * MS, latent(7.0), action(7.0))
    assert at(history, 1200.0)[-1] == 7.0


def test_it_holds_no_more_than_it_looks_back() -> None:
    assert len(filled(every(50.0, 60_000.0))) <= 4 * 4 + 1
    assert len(filled(every(0.1, 1000.0), steps=100)) <= 1000


def test_for_a_model_that_does_not_look_back_it_keeps_nothing() -> None:
    history = filled(every(50.0, 1000.0), steps=0)
    assert len(history) == 0
    assert history.at(T0 + 1000 * MS) is None


@pytest.mark.parametrize(('steps', 'step_sec'), [(-1, 0.2), (2, 0.0), (2, -1.0), (2, np.nan)])
def test_a_value_out_of_its_range_is_refused(steps: int, step_sec: float) -> None:
    with pytest.raises(ConfigurationError, match='steps must be >= 0 and step_sec > 0, got'):
        LatentHistory(steps, step_sec)


def test_before_the_first_moment_there_is_nothing_to_look_back_at() -> None:
    assert at(filled([]), 0.0) == []
