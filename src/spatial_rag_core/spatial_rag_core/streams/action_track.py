"""Actions come without a stamp: tells when each was taken, and which is still in force."""

from __future__ import annotations

from collections import deque
import time

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Vector


class ActionTrack:
    """
    The last seconds of published actions.

    Each is dated by the newest pose stamp that was known when it came: this places it on the
    frames' own time line, also where that is not this computer's (a bag, a simulator).
    """

    def __init__(self, timeout_sec: float = 1.0) -> None:
        if timeout_sec <= 0:
            raise ConfigurationError(f'action_timeout_sec must be > 0 s, got {timeout_sec}')
        self._timeout_ns = round(timeout_sec * 1e9)
        self._dated: deque[tuple[int, Vector]] = deque(maxlen=1000)
        self._newest: Vector | None = None
        self._arrived_ns = 0

    def add(self, action: Vector, pose_stamp_ns: int | None = None) -> None:
        """Take in an action; pose_stamp_ns: newest pose stamp [ns], None where not known."""
        self._newest, self._arrived_ns = action, time.monotonic_ns()
        if pose_stamp_ns is None:
            return
        while self._dated and self._dated[-1][0] > pose_stamp_ns:
            self._dated.pop()  # time was turned back
        self._dated.append((pose_stamp_ns, action))

    def newest(self) -> Vector | None:
        """The action in force now; None where none came within the timeout."""
        if time.monotonic_ns() - self._arrived_ns > self._timeout_ns:
            return None
        return self._newest

    def leading_to(self, stamp_ns: int) -> Vector | None:
        """The action that led to the frame of stamp_ns: the last one dated before it."""
        for dated_ns, action in reversed(self._dated):
            if dated_ns < stamp_ns:
                return action if stamp_ns - dated_ns <= self._timeout_ns else None
        return None
