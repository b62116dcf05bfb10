"""Errors of predictions, summed over the newest frames."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math

from spatial_rag_core.streams.prediction_errors import Surprise

MAX_FRAMES = 10_000
"""Beyond it the oldest are left out, however long the window is."""

_ONE = 1 << 1074
"""Each double is a whole number of parts of it, so that sums of these lose nothing."""


@dataclass(frozen=True)
class WindowFigures:
    """
    Sums over the newest frames.

    frames, frames_with_memory: how many, and for how many there were memories.
    relative_to_copying: squared error of what was published as a share of that of copying.
    relative_to_no_memory: squared error with memory as a share of that without. Below 1 is
    better; NaN: nothing to compare with.
    """

    frames: int = 0
    frames_with_memory: int = 0
    relative_to_copying: float = math.nan
    relative_to_no_memory: float = math.nan


class ErrorWindow:
    """
    The frames of the newest window_ns [ns]; where time is turned back it begins anew.

    A frame costs the same however many there are: what goes is subtracted from the sums, which
    are whole numbers, so that nothing of a large error is left in them once it is gone.
    """

    def __init__(self, window_ns: int) -> None:
        self._window_ns = window_ns
        self._frames: deque[Surprise] = deque()
        self._clear()

    def _clear(self) -> None:
        self._frames.clear()
        self._with_memory = 0
        self._sums = [0, 0, 0, 0]

    def add(self, surprise: Surprise) -> None:
        """Take in one more frame; its errors are finite, with_memory may be NaN."""
        if self._frames and surprise.stamp_ns < self._frames[-1].stamp_ns:
            self._clear()
        self._frames.append(surprise)
        self._count(surprise, 1)
        oldest_ns = surprise.stamp_ns - self._window_ns
        while self._frames[0].stamp_ns < oldest_ns or len(self._frames) > MAX_FRAMES:
            self._count(self._frames.popleft(), -1)

    def _count(self, surprise: Surprise, sign: int) -> None:
        errors = [surprise.error, surprise.copying]
        if not math.isnan(surprise.with_memory):
            self._with_memory += sign
            errors += [surprise.with_memory, surprise.without_memory]
        for number, error in enumerate(errors):
            self._sums[number] += sign * _parts(error * error)

    def figures(self) -> WindowFigures:
        """What there is to tell of the frames now."""
        error, copying, with_memory, without_memory = self._sums
        return WindowFigures(len(self._frames), self._with_memory, _share(error, copying),
                             _share(with_memory, without_memory))


def _parts(value: float) -> int:
    """Return value times _ONE; the value is finite."""
    numerator, denominator = value.as_integer_ratio()  # a power of two, at most _ONE
    return numerator * (_ONE // denominator)


def _share(mine: int, theirs: int) -> float:
    """One sum as a share of another; NaN where both are 0."""
    if theirs > 0:
        return (mine / _ONE) / (theirs / _ONE)
    return math.inf if mine > 0 else math.nan
