from __future__ import annotations

import math
import random

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.rate_limiter import RateLimiter

from hypothesis import example, given, settings
from hypothesis import strategies as st
import pytest

SECOND = 1_000_000_000


def admitted(rate_hz: float, stamps: list[int]) -> list[int]:
    limiter = RateLimiter(rate_hz)
    return [stamp for stamp in stamps if limiter.admit(stamp)]


def test_of_a_30_hz_camera_two_frames_of_three_go_through_at_20_hz() -> None:
    frames = [n * SECOND // 30 for n in range(300)]
    numbers = [frames.index(stamp) for stamp in admitted(20.0, frames)]
    assert len(numbers) == 200
    assert [number % 3 for number in numbers[:6]] == [0, 1, 0, 1, 0, 1]


@pytest.mark.parametrize('numbers', [range(1, 1000), sorted(random.Random(1).sample(
    range(1, 1000), 500))], ids=['each frame', 'with gaps'])
def test_a_20_hz_camera_whose_jitter_spans_half_a_period_loses_no_frame(
        numbers: list[int]) -> None:
    jitter = random.Random(0)
    frames = [n * SECOND // 20 + jitter.randint(-12_500_000, 12_500_000) for n in numbers]
    assert admitted(20.0, frames) == frames


def test_more_jitter_than_that_may_cost_a_frame() -> None:
    early = 2 * SECOND // 20 - 25_000_001  # seen from the grid that the first frame begins
    assert admitted(20.0, [0, SECOND // 20, early]) == [0, SECOND // 20]


def test_frames_that_come_in_a_burst_after_a_stall_are_judged_by_their_own_times() -> None:
    stamps = [n * SECOND // 20 for n in range(10)]
    assert admitted(20.0, stamps) == stamps


@pytest.mark.parametrize('start_ns', [-SECOND, 0, 1_700_000_000 * SECOND])
def test_the_choice_does_not_depend_on_where_the_clock_begins(start_ns: int) -> None:
    frames = [n * SECOND // 30 for n in range(90)]
    shifted = admitted(20.0, [start_ns + stamp for stamp in frames])
    assert [stamp - start_ns for stamp in shifted] == admitted(20.0, frames)


@pytest.mark.parametrize('camera_hz', [25, 59.94, 100, 1000])
def test_a_faster_camera_is_thinned_to_the_rate_and_not_above(camera_hz: float) -> None:
    frames = [round(n * SECOND / camera_hz) for n in range(round(10 * camera_hz))]
    assert len(admitted(20.0, frames)) == pytest.approx(200, abs=1)


def test_a_slower_camera_loses_no_frame() -> None:
    frames = [n * SECOND // 15 for n in range(150)]
    assert admitted(20.0, frames) == frames


@settings(derandomize=True, deadline=None, database=None)
@given(st.lists(st.integers(0, 200_000_000), max_size=60), st.floats(1.0, 200.0))
@example([0, 199_000_000, 1_000_000, 50_000_000], 10.0)  # three within 51 ms at 10 Hz
def test_no_stretch_of_any_stream_holds_more_than_the_rate_and_two_and_a_half_events(
        gaps: list[int], rate_hz: float) -> None:
    stamps = [sum(gaps[:n + 1]) for n in range(len(gaps))]
    through = admitted(rate_hz, stamps)
    period = SECOND / rate_hz
    for i, first in enumerate(through):
        for j, last in enumerate(through[i:]):
            allowed = (last - first) / period + 2.5
            assert j + 1 <= allowed + 0.001  # rounding to whole ns


def test_a_pause_is_not_made_up_for_by_a_burst() -> None:
    limiter = RateLimiter(20.0)
    assert limiter.admit(0)
    assert [limiter.admit(60 * SECOND + n * 1_000_000) for n in range(5)] == [True] + 4 * [False]


@pytest.mark.parametrize('rate_hz', [0.0, -1.0, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(rate_hz: float) -> None:
    with pytest.raises(ConfigurationError, match=f'rate must be > 0 Hz, got {rate_hz}'):
        RateLimiter(rate_hz)
