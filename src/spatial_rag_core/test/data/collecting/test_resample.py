"""Frames of any camera come out at a steady rate, none of them twice."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from spatial_rag_core.data.collecting.resample import fitting_rate_hz, Slotted, SteadyGrid
from spatial_rag_core.errors import ConfigurationError

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

T0_NS = 1_700_000_000_000_000_000


def resampled(stamps_ns: Iterable[int], rate_hz: float) -> list[Slotted[int]]:
    grid: SteadyGrid[int] = SteadyGrid(rate_hz)
    chosen = [grid.offer(stamp_ns, number) for number, stamp_ns in enumerate(stamps_ns)]
    return [one for one in (*chosen, grid.finish()) if one is not None]


def camera(rate_hz: float, count: int, jitter_ms: float = 0.0) -> list[int]:
    draw = np.random.default_rng(0).uniform(-jitter_ms, jitter_ms, count) * 1e6
    return [T0_NS + round(number * 1e9 / rate_hz + draw[number]) for number in range(count)]


@pytest.mark.parametrize('rate_hz', [30.0, 60.0, 25.0, 20.0])
def test_a_faster_camera_gives_one_frame_for_each_moment(rate_hz: float) -> None:
    chosen = resampled(camera(rate_hz, round(10 * rate_hz)), 20.0)
    assert [one.slot for one in chosen] == list(range(len(chosen)))
    assert len(chosen) == pytest.approx(200, abs=2)
    assert len({one.item for one in chosen}) == len(chosen)


def test_a_camera_of_this_rate_keeps_its_frames_through_jitter_and_drift() -> None:
    chosen = resampled(camera(20.2, 2000, jitter_ms=8.0), 20.0)
    assert len(chosen) == 2000
    assert [one.slot for one in chosen] == list(range(2000))


def test_a_moment_without_a_frame_is_left_out_of_the_numbers() -> None:
    stamps = camera(20.0, 10)
    chosen = resampled(stamps[:4] + stamps[6:], 20.0)
    assert [one.slot for one in chosen] == [0, 1, 2, 3, 6, 7, 8, 9]


@given(st.lists(st.integers(1_000_000, 400_000_000), min_size=1, max_size=60),
       st.floats(2.0, 50.0))
def test_stamps_are_steady_enough_for_an_episode_whatever_comes(steps: list[int],
                                                                rate_hz: float) -> None:
    chosen = resampled(np.cumsum([T0_NS, *steps]).tolist(), rate_hz)
    slots = [one.slot for one in chosen]
    assert slots == sorted(set(slots))
    for before, after in pairwise(chosen):
        if after.slot == before.slot + 1:
            assert 0.5 < (after.steady_ns - before.steady_ns) / 1e9 * rate_hz < 1.5
    for one in chosen:
        assert abs(one.steady_ns - one.stamp_ns) <= 0.27 * 1e9 / rate_hz


@pytest.mark.parametrize(('source_hz', 'expected_hz'), [
    (30.0, 20.0), (20.0, 20.0), (19.2, 20.0), (15.0, 10.0), (10.0, 10.0), (7.0, 20 / 3),
    (float('inf'), 20.0)])
def test_a_slow_camera_gets_a_whole_part_of_the_rate(source_hz: float,
                                                     expected_hz: float) -> None:
    assert fitting_rate_hz(20.0, source_hz) == pytest.approx(expected_hz)


@pytest.mark.parametrize('rate_hz', [0.0, -1.0, float('nan'), float('inf')])
def test_a_rate_that_is_none_is_refused(rate_hz: float) -> None:
    with pytest.raises(ConfigurationError, match='rate_hz must be > 0'):
        SteadyGrid(rate_hz)
