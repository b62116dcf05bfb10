"""Leaves memory out of predictions where it makes them worse, until it helps again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.prediction_errors import Surprise

_MAX_FRAMES = 10_000


@dataclass(frozen=True)
class GateConfig:
    """
    When memory is left out; raises ConfigurationError.

    window_sec: over how long errors are summed [s].  leave_out_above, take_back_below: squared
    error with memory as a share of that without; what lies between the two changes nothing.
    min_frames: with fewer in the window nothing changes either.
    """

    window_sec: float = 10.0
    leave_out_above: float = 1.05
    take_back_below: float = 0.98
    min_frames: int = 40

    def __post_init__(self) -> None:
        if not 0.0 < self.window_sec < math.inf:
            raise ConfigurationError(f'surprise_window_sec must be > 0 s, got {self.window_sec}')
        if not 0.0 < self.take_back_below <= self.leave_out_above < math.inf:
            raise ConfigurationError(
                'take_back_below must be > 0 and at most leave_out_above, got '
                f'{self.take_back_below} and {self.leave_out_above}')
        if self.min_frames < 1:
            raise ConfigurationError(f'min_frames must be > 0, got {self.min_frames}')


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


class MemoryGate:
    """
    Watches the errors with memory and without, whichever was published.

    is_open: whether memory belongs into what is published.  figures: of the window now.
    """

    def __init__(self, config: GateConfig = GateConfig()) -> None:
        self.config = config
        self.is_open = True
        self.figures = WindowFigures()
        self._window: deque[Surprise] = deque(maxlen=_MAX_FRAMES)

    def judge(self, surprise: Surprise) -> None:
        """Take in one more frame; where time was turned back the window begins anew."""
        if self._window and surprise.stamp_ns < self._window[-1].stamp_ns:
            self._window.clear()
        self._window.append(surprise)
        oldest_ns = surprise.stamp_ns - round(self.config.window_sec * 1e9)
        while self._window[0].stamp_ns < oldest_ns:
            self._window.popleft()
        self.figures = _figures(self._window)
        self._follow()

    def _follow(self) -> None:
        share = self.figures.relative_to_no_memory
        if self.figures.frames_with_memory < self.config.min_frames or math.isnan(share):
            return
        if share > self.config.leave_out_above:
            self.is_open = False
        elif share < self.config.take_back_below:
            self.is_open = True


def _figures(window: deque[Surprise]) -> WindowFigures:
    with_memory = [one for one in window if not math.isnan(one.with_memory)]
    return WindowFigures(
        len(window), len(with_memory),
        _share([one.error for one in window], [one.copying for one in window]),
        _share([one.with_memory for one in with_memory],
               [one.without_memory for one in with_memory]))


def _share(errors: list[float], others: list[float]) -> float:
    """Sum of squares as a share of another; NaN where both are 0."""
    mine, theirs = (math.fsum(error * error for error in some) for some in (errors, others))
    if theirs > 0.0:
        return mine / theirs
    return math.inf if mine > 0.0 else math.nan
