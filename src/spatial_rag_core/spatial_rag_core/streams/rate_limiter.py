"""Lets events through as they come, at most so many a second."""

from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError


class RateLimiter:
    """
    Admit at most rate_hz events a second on average, by their own times.

    Time is cut into periods from the first event on. Each lets one event through, which may
    come half a period early or, where none else took its place, less than a period late; a
    later one begins its own. So a 30 Hz camera at 20 Hz gives 20 of its 30 frames (two of
    three), where a plain minimum gap would give 15. A 20 Hz camera loses no frame, with gaps or
    without, while its jitter spans at most half a period (25 ms from the earliest frame to the
    latest, seen from a steady grid). T seconds never hold more than rate_hz * T + 2.5 events.

    Times may be of any clock, and must not fall: where time jumps back, take a new limiter.
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
