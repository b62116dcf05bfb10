from __future__ import annotations

import math
import random

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.rate_limiter import RateLimiter

from hypothesis import given, settings
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


def test_a_20_hz_camera_that_jitters_loses_no_frame() -> None:
    jitter = random.Random(0)
    frames = [n * SECOND // 20 + jitter.randint(-12_000_000, 12_000_000) for n in range(1, 1000)]
    assert admitted(20.0, frames) == frames


@pytest.mark.parametrize('camera_hz', [25, 59.94, 100, 1000])
def test_a_faster_camera_is_thinned_to_the_rate_and_not_above(camera_hz: float) -> None:
    frames = [round(n * SECOND / camera_hz) for n in range(round(10 * camera_hz))]
    assert len(admitted(20.0, frames)) == pytest.approx(200, abs=1)


def test_a_slower_camera_loses_no_frame() -> None:
    frames = [n * SECOND // 15 for n in range(150)]
    assert admitted(20.0, frames) == frames


@settings(derandomize=True, deadline=None, database=None)
@given(st.lists(st.integers(0, 200_000_000), max_size=60), st.floats(1.0, 200.0))
def test_no_stretch_of_any_stream_holds_more_than_the_rate_and_one_event(
        gaps: list[int], rate_hz: float) -> None:
    stamps = [sum(gaps[:n + 1]) for n in range(len(gaps))]
    through = admitted(rate_hz, stamps)
    period = SECOND / rate_hz
    for i, first in enumerate(through):
        for j, last in enumerate(through[i:]):
            assert last - first >= (j - 1) * period - (j + 1)  # rounding to whole ns


def test_a_pause_is_not_made_up_for_by_a_burst() -> None:
    limiter = RateLimiter(20.0)
    assert limiter.admit(0)
    assert [limiter.admit(60 * SECOND + n * 1_000_000) for n in range(5)] == [True] + 4 * [False]


@pytest.mark.parametrize('rate_hz', [0.0, -1.0, math.inf, math.nan])
def test_a_rate_that_is_none_is_refused(rate_hz: float) -> None:
    with pytest.raises(ConfigurationError, match=f'rate must be > 0 Hz, got {rate_hz}'):
        RateLimiter(rate_hz)
