from __future__ import annotations

import math

from spatial_rag_core.streams import error_window
from spatial_rag_core.streams.error_window import ErrorWindow, WindowFigures
from spatial_rag_core.streams.prediction_errors import Surprise

import numpy as np
import pytest

WINDOW_NS = 1_000_000_000


def naive(frames: list[Surprise]) -> WindowFigures:
    def share(mine: list[float], theirs: list[float]) -> float:
        above, below = (math.fsum(error * error for error in some) for some in (mine, theirs))
        return above / below if below else math.inf if above else math.nan

    both = [one for one in frames if not math.isnan(one.with_memory)]
    return WindowFigures(
        len(frames), len(both),
        share([one.error for one in frames], [one.copying for one in frames]),
        share([one.with_memory for one in both], [one.without_memory for one in both]))


def surprise(stamp_ns: int, errors: list[float]) -> Surprise:
    error, with_memory, without_memory, copying = errors
    return Surprise(stamp_ns, 0, error, with_memory, without_memory, copying, math.nan)


def test_running_sums_are_those_of_all_frames_to_the_bit() -> None:
    """After errors a million million times as large have gone, too."""
    chance, window, frames = np.random.default_rng(0), ErrorWindow(WINDOW_NS), []
    for number, scale in enumerate(10.0 ** chance.integers(-12, 12, 3000)):
        errors = (scale * chance.random(4)).tolist()
        if chance.random() < 0.3:
            errors[1] = math.nan
        if number % 500 > 400:
            errors = [0.0] * 4
        frames.append(surprise(number * 50_000_000 + int(chance.integers(20_000_000)), errors))
        window.add(frames[-1])
        frames = [one for one in frames if one.stamp_ns >= frames[-1].stamp_ns - WINDOW_NS]
        assert repr(window.figures()) == repr(naive(frames))


@pytest.mark.parametrize('error', [5e-324, 1e-160, 1e38, 1.0 / 3.0])
def test_errors_of_any_size_go_as_they_came(error: float) -> None:
    window = ErrorWindow(WINDOW_NS)
    window.add(surprise(0, [error] * 4))
    window.add(surprise(1, [2.0, 2.0, 1.0, 1.0]))
    window.add(surprise(WINDOW_NS + 1, [2.0, 2.0, 1.0, 1.0]))
    assert window.figures() == WindowFigures(2, 2, 4.0, 4.0)


def test_there_are_never_more_frames_than_there_is_room_for(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(error_window, 'MAX_FRAMES', 3)
    window = ErrorWindow(WINDOW_NS)
    for stamp_ns, error in enumerate((9.0, 9.0, 2.0, 2.0, 2.0)):
        window.add(surprise(stamp_ns, [error, error, 1.0, 1.0]))
    assert window.figures() == WindowFigures(3, 3, 4.0, 4.0)
