from __future__ import annotations

import math
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.memory_gate import GateConfig, MemoryGate
from spatial_rag_core.streams.prediction_errors import Surprise

import pytest


class Drive:
    """Frames that a gate judges."""

    def __init__(self, rate_hz: float = 20.0, **config: Any) -> None:
        self.gate = MemoryGate(GateConfig(**{'window_sec': 2.0, 'min_frames': 10, **config}))
        self.frame_ns, self.stamp_ns = round(1e9 / rate_hz), 0

    def go(self, frames: int, with_memory: float, without: float = 1.0,
           copying: float = 2.0) -> Drive:
        """Published is what the gate lets through."""
        for _ in range(frames):
            self.stamp_ns += self.frame_ns
            is_used = self.gate.is_open and not math.isnan(with_memory)
            self.gate.judge(Surprise(self.stamp_ns, 0, with_memory if is_used else without,
                                     with_memory, without, copying, math.nan))
        return self


def test_memory_that_makes_predictions_worse_is_left_out_until_it_helps_again() -> None:
    drive = Drive().go(40, with_memory=0.8)
    assert drive.gate.is_open
    drive.go(40, with_memory=1.5)
    assert not drive.gate.is_open
    drive.go(40, with_memory=0.8)
    assert drive.gate.is_open


def test_what_makes_no_difference_changes_nothing() -> None:
    for share in (0.99, 1.0, 1.02):
        drive = Drive().go(200, with_memory=share)
        assert drive.gate.is_open
        drive.go(100, with_memory=2.0).go(200, with_memory=share)
        assert not drive.gate.is_open, f'{share} is no help yet'


def test_errors_that_waver_about_a_threshold_do_not_switch_it_to_and_fro() -> None:
    drive = Drive().go(100, with_memory=2.0)
    states = set()
    for frame in range(200):
        drive.go(1, with_memory=1.03 if frame % 2 else 1.0)
        if frame > 50:
            states.add(drive.gate.is_open)
    assert states == {False}


def test_a_few_bad_frames_decide_nothing() -> None:
    assert Drive(min_frames=10).go(9, with_memory=9.0).gate.is_open
    assert not Drive(min_frames=10).go(10, with_memory=9.0).gate.is_open


@pytest.mark.parametrize(('window_sec', 'rate_hz'), [
    (10.0, 20.0), (10.0, 4.0), (10.0, 2.0), (10.0, 1.0), (1.0, 20.0), (0.5, 20.0), (600.0, 0.02)])
def test_memory_that_misleads_is_left_out_however_long_the_window_and_however_rare_the_frames(
        window_sec: float, rate_hz: float) -> None:
    drive = Drive(rate_hz, window_sec=window_sec, min_frames=40).go(200, with_memory=3.0)
    assert not drive.gate.is_open
    assert drive.gate.least_window_sec <= window_sec
    assert drive.go(200, with_memory=0.5).gate.is_open


@pytest.mark.parametrize(('rate_hz', 'needed'), [(20.0, 40), (10.0, 20), (5.0, 10), (2.0, 10)])
def test_at_the_defaults_it_decides_with_the_fortieth_frame_or_a_fifth_of_a_window(
        rate_hz: float, needed: int) -> None:
    drive = Drive(rate_hz, window_sec=10.0, min_frames=40).go(15, with_memory=math.nan)
    drive.go(needed - 1, with_memory=3.0)
    assert drive.gate.is_open
    assert not drive.go(1, with_memory=3.0).gate.is_open


def test_fewer_frames_do_where_few_come_but_not_where_they_pause() -> None:
    drive = Drive(2.0, window_sec=10.0, min_frames=40).go(20, with_memory=1.0)
    assert drive.gate.frames_needed == 10
    drive = Drive(20.0, window_sec=10.0, min_frames=40)
    for _ in range(5):
        drive.go(12, with_memory=1.0)
        drive.stamp_ns += 9_000_000_000
    assert drive.gate.frames_needed == 40
    assert drive.go(20, with_memory=3.0).gate.is_open


def test_at_few_frames_a_second_it_judges_also_where_only_some_have_memories() -> None:
    drive = Drive(2.0, window_sec=10.0, min_frames=40)
    for _ in range(20):
        drive.go(1, with_memory=3.0).go(1, with_memory=math.nan)
    assert not drive.gate.is_open


def test_a_window_that_holds_too_few_frames_decides_nothing_and_says_how_long_it_must_be() -> None:
    drive = Drive(2.0, window_sec=3.0, min_frames=40)
    assert drive.gate.least_window_sec == 0.0, 'nobody knows yet'
    assert drive.go(1000, with_memory=3.0).gate.is_open
    assert drive.gate.least_window_sec == pytest.approx(5.0)
    assert not Drive(2.0, window_sec=5.0).go(100, with_memory=3.0).gate.is_open


def test_frames_without_memories_leave_it_as_it_is() -> None:
    drive = Drive().go(40, with_memory=2.0).go(400, with_memory=math.nan)
    assert not drive.gate.is_open
    assert drive.gate.figures.frames_with_memory == 0
    assert math.isnan(drive.gate.figures.relative_to_no_memory)


def test_a_robot_that_stands_still_weighs_little() -> None:
    drive = Drive(window_sec=10.0).go(100, with_memory=0.9).go(60, with_memory=0.02, without=0.01)
    assert drive.gate.is_open


def test_the_figures_are_those_of_the_window() -> None:
    drive = Drive().go(100, with_memory=9.0, copying=1.0).go(100, with_memory=0.5)
    figures = drive.gate.figures
    assert (figures.frames, figures.frames_with_memory) == (41, 41)
    assert figures.relative_to_no_memory == pytest.approx(0.25)
    assert figures.relative_to_copying == pytest.approx(0.25 / 4.0, rel=0.7)


def test_where_nothing_moves_nothing_can_be_told() -> None:
    drive = Drive().go(60, with_memory=0.0, without=0.0, copying=0.0)
    assert drive.gate.is_open
    assert math.isnan(drive.gate.figures.relative_to_copying)


def test_memory_that_alone_is_wrong_is_left_out() -> None:
    assert not Drive().go(40, with_memory=0.5, without=0.0).gate.is_open


def test_time_that_is_turned_back_begins_a_new_window() -> None:
    drive = Drive().go(60, with_memory=0.5)
    drive.stamp_ns = 0
    assert drive.go(5, with_memory=0.5).gate.figures.frames == 5


@pytest.mark.parametrize(('config', 'reason'), [
    ({'window_sec': 0.0}, r'surprise_window_sec must be > 0 s, got 0\.0'),
    ({'take_back_below': 1.2}, r'at most leave_out_above, got 1\.2 and 1\.05'),
    ({'min_frames': 9}, 'min_frames must be >= 10, got 9')])
def test_a_setting_out_of_range_is_refused(config: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        GateConfig(**config)
