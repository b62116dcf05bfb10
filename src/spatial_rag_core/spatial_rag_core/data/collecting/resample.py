"""Frames of any camera to a steady rate: each moment takes the frame that is nearest to it."""

from __future__ import annotations

import math
from typing import Generic, NamedTuple, TypeVar

from spatial_rag_core.errors import ConfigurationError

Item = TypeVar('Item')

_FOLLOW = 0.05
"""
Part of a frame's distance from its moment by which the grid gives way.

So a camera of about this rate keeps all its frames, however its clock drifts (up to 2.5 %) and
wherever in its jitter the first frame lay.
"""


_MOST_UNSTEADY = 0.235
"""
A frame's stamp may lie so far from its moment [periods]; what is written is moved so near.

Twice this and what the grid gives way between two moments are less than a half: where steps
differ by more, episodes.py refuses them.
"""


class Slotted(NamedTuple, Generic[Item]):
    """
    A frame and the number of the moment that it stands for; moments are a period apart.

    stamp_ns: its own.  steady_ns: the same, moved towards its moment as far as need be.
    """

    slot: int
    stamp_ns: int
    steady_ns: int
    item: Item


class SteadyGrid(Generic[Item]):
    """
    Cuts time into moments, rate_hz a second, from the first frame on.

    A frame is given to the nearest moment, so no farther than half a period from it, and never
    to two; of several the nearest is kept. A moment without a frame has none: its number is left
    out. The stamps must ascend.
    """

    def __init__(self, rate_hz: float) -> None:
        if not 0 < rate_hz < math.inf:
            raise ConfigurationError(f'rate_hz must be > 0 Hz, got {rate_hz}')
        self._period_ns = 1e9 / rate_hz
        self._first_ns = 0
        self._shift_ns = 0.0
        self._best: Slotted[Item] | None = None

    def offer(self, stamp_ns: int, item: Item) -> Slotted[Item] | None:
        """Take in a frame; returns the one before, where this frame belongs to a later moment."""
        if self._best is None:
            self._first_ns, self._shift_ns = stamp_ns, 0.0
        slot = math.floor(self._offset_ns(stamp_ns) / self._period_ns + 0.5)
        if self._best is None or slot > self._best.slot:
            done, self._best = self._best, self._slotted(slot, stamp_ns, item)
            if done is not None:
                self._shift_ns += _FOLLOW * self._distance_ns(done.slot, done.stamp_ns)
            return done
        if abs(self._distance_ns(self._best.slot, stamp_ns)) < abs(
                self._distance_ns(self._best.slot, self._best.stamp_ns)):
            self._best = self._slotted(self._best.slot, stamp_ns, item)
        return None

    def finish(self) -> Slotted[Item] | None:
        """Return the last frame; the next one that is offered begins a new grid."""
        done, self._best = self._best, None
        return done

    def _slotted(self, slot: int, stamp_ns: int, item: Item) -> Slotted[Item]:
        most_ns = _MOST_UNSTEADY * self._period_ns
        far_ns = self._distance_ns(slot, stamp_ns)
        moved_ns = max(-most_ns, min(most_ns, far_ns)) - far_ns
        return Slotted(slot, stamp_ns, stamp_ns + round(moved_ns), item)

    def _offset_ns(self, stamp_ns: int) -> float:
        return stamp_ns - self._first_ns - self._shift_ns

    def _distance_ns(self, slot: int, stamp_ns: int) -> float:
        return self._offset_ns(stamp_ns) - slot * self._period_ns


def fitting_rate_hz(wanted_hz: float, source_hz: float) -> float:
    """
    Return wanted_hz, or the largest whole part of it that a source so slow can serve.

    20 Hz of a 12 Hz camera is 10 Hz: its frames would have to stand for two moments each.
    """
    return wanted_hz / max(1, math.ceil(wanted_hz / (source_hz * 1.05)))
