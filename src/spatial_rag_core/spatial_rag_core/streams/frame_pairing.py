"""Pairs each colour frame with the depth frame of the same moment."""

from __future__ import annotations

from collections import deque
import time
from typing import Generic, TypeVar

Color = TypeVar('Color')
Depth = TypeVar('Depth')


class FramePairing(Generic[Color, Depth]):
    """
    A colour frame waits at most wait_sec for a depth frame whose stamp lies within tolerance_sec.

    Only the newest colour frame waits: a newer one takes its place and waits for what is left
    of its time, or frames that come faster than wait_sec would wait for ever.
    """

    def __init__(self, tolerance_sec: float, wait_sec: float) -> None:
        self._tolerance_ns = round(tolerance_sec * 1e9)
        self._wait_ns = round(wait_sec * 1e9)
        self._depths: deque[tuple[int, Depth]] = deque(maxlen=8)
        self._waiting: tuple[int, Color, int] | None = None

    def add_depth(self, stamp_ns: int, depth: Depth) -> None:
        """Take in a depth frame."""
        self._depths.append((stamp_ns, depth))

    def add_color(self, stamp_ns: int, color: Color) -> bool:
        """Take in a colour frame; returns False where one that still waited was dropped."""
        before = self._waiting
        deadline_ns = before[2] if before else time.monotonic_ns() + self._wait_ns
        self._waiting = (stamp_ns, color, deadline_ns)
        return before is None

    def take(self) -> tuple[Color, Depth | None] | None:
        """The waiting frame with its depth, alone once it has waited long enough, or None."""
        if self._waiting is None:
            return None
        stamp_ns, color, deadline_ns = self._waiting
        depth = self._nearest(stamp_ns)
        if depth is None and time.monotonic_ns() < deadline_ns:
            return None
        self._waiting = None
        return color, depth

    def _nearest(self, stamp_ns: int) -> Depth | None:
        gap, depth = min(((abs(stamp - stamp_ns), depth) for stamp, depth in self._depths),
                         key=lambda pair: pair[0], default=(self._tolerance_ns + 1, None))
        return depth if gap <= self._tolerance_ns else None
