"""Lets events through as they come, at most so many a second."""

from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError


class RateLimiter:
    """
    Admit at most rate_hz events a second on average, each at the moment that it comes.

    Time is cut into periods, each lets one event through, which may come half a period early:
    a 30 Hz camera gives exactly 20 admitted frames a second (two of three), where a plain
    minimum gap would give 15, and a 20 Hz camera that jitters or stalls loses none of its own.
    """

    def __init__(self, rate_hz: float) -> None:
        if not 0.0 < rate_hz < math.inf:
            raise ConfigurationError(f'rate must be > 0 Hz, got {rate_hz}')
        self._period_ns = round(1e9 / rate_hz)
        self._due_ns: int | None = None

    def admit(self, now_ns: int) -> bool:
        """Whether the event at now_ns (monotonic clock) goes through."""
        if self._due_ns is None:
            self._due_ns = now_ns
        late_ns = now_ns - self._due_ns
        if late_ns < -(self._period_ns // 2):
            return False
        missed = max(0, late_ns // self._period_ns)  # a pause is not made up for
        self._due_ns += (missed + 1) * self._period_ns
        return True
