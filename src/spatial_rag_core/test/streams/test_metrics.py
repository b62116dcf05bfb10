from __future__ import annotations

import math

from spatial_rag_core.streams.metrics import LatencyWindow, p50_p99, RateWindow

import pytest

MS = 1_000_000


def ticked(window: RateWindow, stamps: range) -> RateWindow:
    for stamp in stamps:
        window.tick(stamp)
    return window


def test_a_steady_stream_has_its_rate() -> None:
    window = ticked(RateWindow(), range(0, 20_000 * MS, 50 * MS))
    assert window.rate_hz(20_000 * MS) == pytest.approx(20.0)
    assert window.count == 400


def test_only_the_newest_seconds_count() -> None:
    window = ticked(RateWindow(window_sec=2.0), range(0, 10_000 * MS, 100 * MS))
    ticked(window, range(10_000 * MS, 12_050 * MS, 25 * MS))
    assert window.rate_hz(12_050 * MS) == pytest.approx(40.0)


def test_the_rate_of_a_stopped_stream_falls_to_zero() -> None:
    window = ticked(RateWindow(), range(0, 10_000 * MS, 50 * MS))
    rates = [window.rate_hz(10_000 * MS + late * 500 * MS) for late in range(12)]
    assert rates[0] == pytest.approx(20.0)
    assert rates == sorted(rates, reverse=True)
    assert rates[3] < 17.0
    assert rates[-1] == 0.0


def test_one_event_or_none_is_no_rate() -> None:
    assert RateWindow().rate_hz(0) == 0.0
    assert ticked(RateWindow(), range(1)).rate_hz(1) == 0.0
    assert ticked(RateWindow(), range(1)).count == 1


def test_events_of_one_moment_do_not_divide_by_zero() -> None:
    window = RateWindow()
    window.tick(5)
    window.tick(5)
    assert window.rate_hz(5) == 0.0


def test_percentiles_are_those_of_the_newest_values() -> None:
    window = LatencyWindow(size=100)
    for value in (*range(1000, 2000), *range(1, 102)):
        window.add(float(value))
    p50, p99 = window.percentiles()
    assert (p50, p99) == (pytest.approx(51.5), pytest.approx(100.01))


def test_the_percentiles_of_nothing_are_nan() -> None:
    assert all(math.isnan(value) for value in (*LatencyWindow().percentiles(), *p50_p99([])))
    assert p50_p99([3.0]) == (3.0, 3.0)
