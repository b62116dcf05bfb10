"""Rates and latencies over the last moments of a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
import threading

import numpy as np


class RateWindow:
    """Events a second over the newest window_sec, on a monotonic clock; from any thread."""

    def __init__(self, window_sec: float = 5.0) -> None:
        self._window_ns = round(window_sec * 1e9)
        self._stamps: deque[int] = deque()
        self._lock = threading.Lock()
        self.count = 0

    def tick(self, now_ns: int) -> None:
        """One event happened at now_ns."""
        with self._lock:
            self._stamps.append(now_ns)
            self.count += 1
            self._forget(now_ns)

    def rate_hz(self, now_ns: int) -> float:
        """Events a second; falls to 0.0 once the stream has stopped."""
        with self._lock:
            self._forget(now_ns)
            if len(self._stamps) < 2:
                return 0.0
            silent = now_ns - self._stamps[-1] > 1_000_000_000
            span = (now_ns if silent else self._stamps[-1]) - self._stamps[0]
            return (len(self._stamps) - 1) / (span / 1e9) if span > 0 else 0.0

    def _forget(self, now_ns: int) -> None:
        while self._stamps and self._stamps[0] < now_ns - self._window_ns:
            self._stamps.popleft()


class LatencyWindow:
    """The newest durations [ms]."""

    def __init__(self, size: int = 200) -> None:
        self._values: deque[float] = deque(maxlen=size)

    def add(self, duration_ms: float) -> None:
        """One more duration [ms]."""
        self._values.append(duration_ms)

    def percentiles(self) -> tuple[float, float]:
        """The p50 and p99 [ms]; NaN where nothing was measured."""
        return p50_p99(self._values)


def p50_p99(values: Iterable[float]) -> tuple[float, float]:
    """Median and 99th percentile; NaN for no values."""
    data = np.fromiter(values, np.float64)
    if not data.size:
        return float('nan'), float('nan')
    p50, p99 = np.percentile(data, (50, 99))
    return float(p50), float(p99)
