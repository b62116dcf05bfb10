"""Lets events through as they come, at most so many a second."""

from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError


class RateLimiter:
    """
    Admit at most rate_hz events a second on average, by their own times.

    Time is cut into periods, each lets one event through, which may come half a period early.
    At 20 Hz, a 30 Hz camera gives exactly 20 admitted frames a second (two of three), where a
    plain minimum gap would give 15; a 20 Hz camera loses none while its frames lie on a steady
    grid, gaps allowed, with a jitter that spans at most half a period (25 ms from the earliest
    to the latest). Any T seconds hold at most rate_hz * T + 2.5 admitted events.

    The times may be of any clock, but must not fall: where time jumps back, take a new limiter.
    """

    def __init__(self, rate_hz: float) -> None:
        if not 0.0 < rate_hz < math.inf:
            raise ConfigurationError(f'rate must be > 0 Hz, got {rate_hz}')
        self._period_ns = round(1e9 / rate_hz)
        self._due_ns: int | None = None

    def admit(self, time_ns: int) -> bool:
        """Whether the event of that time goes through."""
        if self._due_ns is None:
            self._due_ns = time_ns
        late_ns = time_ns - self._due_ns
        if late_ns < -(self._period_ns // 2):
            return False
        missed = max(0, late_ns // self._period_ns)  # a pause is not made up for
        self._due_ns += (missed + 1) * self._period_ns
        return True
