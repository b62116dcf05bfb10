"""Leaves memory out of predictions where it makes them worse, until it helps again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.error_window import ErrorWindow, WindowFigures
from spatial_rag_core.streams.prediction_errors import Surprise

LEAST_FRAMES = 10
"""Fewer frames decide nothing, however few the window holds; nor tell how often they come."""


@dataclass(frozen=True)
class GateConfig:
    """
    When memory is left out; raises ConfigurationError.

    window_sec: over how long errors are summed [s].  leave_out_above, take_back_below: squared
    error with memory as a share of that without; what lies between the two changes nothing.
    min_frames: with fewer in the window nothing changes either. Where frames come so seldom that
    this is more than a fifth of what it holds, a fifth will do, but never less than LEAST_FRAMES.
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
        if self.min_frames < LEAST_FRAMES:
            raise ConfigurationError(
                f'min_frames must be >= {LEAST_FRAMES}, got {self.min_frames}')

    @property
    def window_ns(self) -> int:
        """Window in nanoseconds."""
        return round(self.window_sec * 1e9)


class MemoryGate:
    """
    Watches the errors with memory and without, whichever was published.

    is_open: whether memory belongs into what is published.  figures: of the window now.
    """

    def __init__(self, config: GateConfig = GateConfig()) -> None:
        self.config = config
        self.is_open = True
        self.figures = WindowFigures()
        self._window = ErrorWindow(config.window_ns)
        self._newest_ns: int | None = None
        self._gaps_ns: deque[int] = deque(maxlen=config.min_frames)

    def judge(self, surprise: Surprise) -> None:
        """Take in one more frame; where time was turned back the window begins anew."""
        if self._newest_ns is not None and surprise.stamp_ns > self._newest_ns:
            self._gaps_ns.append(surprise.stamp_ns - self._newest_ns)
        self._newest_ns = surprise.stamp_ns
        self._window.add(surprise)
        self.figures = self._window.figures()
        self._follow()

    @property
    def frames_needed(self) -> int:
        """It judges only with so many frames with memories in the window."""
        gap_ns = self._usual_gap_ns()
        if gap_ns is None:
            return self.config.min_frames
        fifth = -(-self.config.window_ns // (5 * gap_ns))  # rounded up
        return min(self.config.min_frames, max(LEAST_FRAMES, fifth))

    @property
    def least_window_sec(self) -> float:
        """So long the window must be for LEAST_FRAMES, as often as they come [s]; 0: unknown."""
        return LEAST_FRAMES * (self._usual_gap_ns() or 0) / 1e9

    def _usual_gap_ns(self) -> int | None:
        """The median time between frames, which a pause does not change; None: unknown."""
        if len(self._gaps_ns) < LEAST_FRAMES:
            return None
        return sorted(self._gaps_ns)[len(self._gaps_ns) // 2]

    def _follow(self) -> None:
        share = self.figures.relative_to_no_memory
        if self.figures.frames_with_memory < self.frames_needed or math.isnan(share):
            return
        if share > self.config.leave_out_above:
            self.is_open = False
        elif share < self.config.take_back_below:
            self.is_open = True
