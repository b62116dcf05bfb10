"""The last latents and what was done at each, for a model that looks back."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Vector
from spatial_rag_core.streams.stamp_order import StampOrder, Step

import numpy as np

if TYPE_CHECKING:  # it brings torch, which no stream needs
    from spatial_rag_core.models.imagined import History

_MAX_MOMENTS = 1000
"""Beyond it the oldest are forgotten, whatever their stamps say."""


class LatentHistory:
    """
    Latents and actions of the newest moments, out of which those a step apart are taken.

    A step of the model is longer than the time between two frames. steps: how many it looks back
    (metadata.history); 0: nothing is kept.  step_sec: one step [s].
    Raises ConfigurationError for a value out of its range.
    """

    def __init__(self, steps: int, step_sec: float) -> None:
        if steps < 0 or not step_sec > 0.0:
            raise ConfigurationError(
                f'steps must be >= 0 and step_sec > 0, got {steps} and {step_sec} s')
        self._steps = steps
        self._step_ns = round(step_sec * 1e9)
        self._order = StampOrder()
        self._stamps: list[int] = []
        self._moments: list[tuple[Vector, Vector]] = []

    def __len__(self) -> int:
        return len(self._stamps)

    def add(self, stamp_ns: int, z: Vector, action: Vector) -> None:
        """
        Take in a moment: its latent, float32 [z_dim], and what was done, float32 [action_dim].

        A repeated stamp replaces, a late one is left out, and one from where time was turned
        back to (a looped bag, a reset simulator) begins anew.
        """
        step = self._order.follow(stamp_ns)
        if not self._steps or step is Step.LATE:
            return
        if step is Step.JUMPED_BACK:
            self._forget(len(self._stamps))
        if step is Step.REPEATED and self._stamps:
            self._moments[-1] = (z, action)
            return
        self._stamps.append(stamp_ns)
        self._moments.append((z, action))
        oldest_ns = stamp_ns - (self._steps + 1) * self._step_ns
        self._forget(max(bisect_left(self._stamps, oldest_ns),
                         len(self._stamps) - _MAX_MOMENTS))

    def at(self, stamp_ns: int) -> History | None:
        """
        Return the moments one, two, … steps before stamp_ns, oldest first; None: not even one.

        Each is the latent nearest in time, at most half of the mean time between two frames
        away; the first that is lacking ends it.
        """
        from spatial_rag_core.models.imagined import History
        rows = self._rows(stamp_ns)
        if not rows:
            return None
        chosen = [self._moments[row] for row in reversed(rows)]
        return History(np.array([z for z, _ in chosen]), np.array([a for _, a in chosen]))

    def _rows(self, stamp_ns: int) -> list[int]:
        """Rows of the moments, newest first."""
        if not self._stamps:
            return []
        tolerance_ns = self._tolerance_ns()
        rows: list[int] = []
        for step in range(1, self._steps + 1):
            row, gap_ns = self._nearest(stamp_ns - step * self._step_ns)
            if gap_ns > tolerance_ns:
                break
            rows.append(row)
        return rows

    def _tolerance_ns(self) -> int:
        """Half a frame's time, and at most a quarter of a step: no moment serves twice."""
        count = len(self._stamps)
        if count < 2:
            return -1
        half_a_frame = (self._stamps[-1] - self._stamps[0]) // (2 * (count - 1))
        return min(half_a_frame, self._step_ns // 4)

    def _nearest(self, stamp_ns: int) -> tuple[int, int]:
        """Row of the moment nearest to stamp_ns, and how far away it is [ns]."""
        row = bisect_left(self._stamps, stamp_ns)
        if row == len(self._stamps) or (
                row > 0 and stamp_ns - self._stamps[row - 1] <= self._stamps[row] - stamp_ns):
            row -= 1
        return row, abs(self._stamps[row] - stamp_ns)

    def _forget(self, count: int) -> None:
        """Forget the oldest so many."""
        if count > 0:
            del self._stamps[:count], self._moments[:count]
