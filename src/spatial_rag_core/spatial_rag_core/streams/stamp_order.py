"""Tells how each stamp of a stream stands to the ones before."""

from __future__ import annotations

from enum import Enum

JUMP_BACK_SEC = 0.5
"""A stamp that lies this far back or farther is not late: time was turned back."""
JUMP_AHEAD_SEC = 10.0
"""A stamp that lies this much farther ahead than it came later is no pause: time was set."""


class Step(Enum):
    """What a stamp is, seen from the newest one."""

    FORWARD = 'forward'
    REPEATED = 'repeated'
    LATE = 'late'
    JUMPED_BACK = 'jumped back'


class StampOrder:
    """Follows the stamps of one stream [ns]."""

    def __init__(self) -> None:
        self.newest_ns: int | None = None

    def follow(self, stamp_ns: int) -> Step:
        """Classify a stamp; a late one leaves the newest as it is."""
        newest = self.newest_ns
        if newest is None or stamp_ns > newest:
            self.newest_ns = stamp_ns
            return Step.FORWARD
        if stamp_ns == newest:
            return Step.REPEATED
        if newest - stamp_ns < JUMP_BACK_SEC * 1e9:
            return Step.LATE
        self.newest_ns = stamp_ns
        return Step.JUMPED_BACK


class JumpsAhead:
    """
    Finds that the stamps of a live stream ran away from the time in which they came.

    A stream that was silent for a while, or is played faster than it was recorded, jumps nowhere.
    """

    def __init__(self) -> None:
        self._lead_ns: int | None = None

    def follow(self, stamp_ns: int, arrived_ns: int) -> float:
        """
        By how much [s] time was set ahead with this stamp; 0.0: it was not.

        arrived_ns: by a clock that nobody sets, such as time.monotonic_ns().
        """
        before, self._lead_ns = self._lead_ns, stamp_ns - arrived_ns
        ahead_sec = 0.0 if before is None else (self._lead_ns - before) / 1e9
        return ahead_sec if ahead_sec >= JUMP_AHEAD_SEC else 0.0
