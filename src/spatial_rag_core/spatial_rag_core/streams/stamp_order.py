"""Tells how each stamp of a stream stands to the ones before."""

from __future__ import annotations

from enum import Enum

JUMP_BACK_SEC = 0.5
"""A stamp that lies this far back or farther is not late: time was turned back."""


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
