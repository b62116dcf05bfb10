"""Memories as points, coloured by age, in chunks of which only those are told that changed."""

from __future__ import annotations

from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.overview.layout import remembered_ages
from spatial_rag_core.view.palette import AGE_COLORS, blended, Colors, SHADES, shades_of

import numpy as np
from numpy.typing import NDArray

POINTS_IN_CHUNK = 500
RECOLOR_GROWTH = 64
"""Ages are reckoned anew once there is a memory more for so many: less moves no colour."""

_ROW = np.dtype([('seq', '<i8'), ('position', '<f8', (3,)), ('timestamp', '<f8'),
                 ('cell', '<u8'), ('shade', 'u1'), ('is_there', '?')])


class MemoryPoints:
    """
    The points of a memory, in the order in which they came, in chunks that are numbered from 0.

    Where less than half of those that came are left they move together, into chunks of other
    numbers: however long memories come and go, there are never many more rows than memories.

    Age goes from the oldest memory to the newest, in time that was remembered, as on the map of
    a memory (memory/overview/layout.py).
    """

    def __init__(self) -> None:
        self._rows = np.empty(0, _ROW)
        self._used = self._colored = self._count = 0
        self._changed: set[int] = set()

    @property
    def count(self) -> int:
        """Points that there are."""
        return self._count

    @property
    def chunk_count(self) -> int:
        """Chunks, some of which may be empty; what had a higher number before is empty."""
        return -(-self._used // POINTS_IN_CHUNK)

    @property
    def timestamps(self) -> NDArray[np.float64]:
        """Unix times [s], in the order of their coming."""
        times: NDArray[np.float64] = self._held()['timestamp']
        return times

    def seqs_between(self, after: float, before: float) -> NDArray[np.int64]:
        """Sequence numbers of the memories of a time [s], both ends included, by their time."""
        held = self._held()
        held = held[(held['timestamp'] >= after) & (held['timestamp'] <= before)]
        seqs: NDArray[np.int64] = held['seq'][np.argsort(held['timestamp'], kind='stable')]
        return seqs

    def _held(self) -> NDArray[np.void]:
        rows = self._rows[:self._used]
        held: NDArray[np.void] = rows[rows['is_there']]
        return held

    def add(self, rows: IndexRows) -> None:
        """Take in points; their sequence numbers ascend, also over calls."""
        first, self._used = self._used, self._used + len(rows.seqs)
        if self._used > len(self._rows):
            grown = np.empty(max(1024, 2 * self._used), _ROW)
            grown[:first] = self._rows[:first]
            self._rows = grown
        new = self._rows[first:self._used]
        new['seq'], new['position'] = rows.seqs, rows.positions
        new['timestamp'], new['cell'] = rows.timestamps, rows.cells
        new['shade'], new['is_there'] = SHADES - 1, True
        self._count += len(new)
        self._note(np.arange(first, self._used))

    def remove(self, seqs: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Take points away and return their cells; numbers that it lacks are passed over."""
        held = self._rows['seq'][:self._used]
        rows = np.searchsorted(held, seqs)
        rows = rows[(rows < self._used) & np.isin(seqs, held)]
        rows = rows[self._rows['is_there'][rows]]
        self._rows['is_there'][rows] = False
        self._count -= len(rows)
        self._note(rows)
        cells: NDArray[np.uint64] = self._rows['cell'][rows]
        if self._used > POINTS_IN_CHUNK and 2 * self._count < self._used:
            self._move_together()
        return cells

    def _move_together(self) -> None:
        self._changed.update(range(self.chunk_count))
        self._rows = self._held()
        self._used = len(self._rows)

    def take_changed(self) -> set[int]:
        """Numbers of the chunks that look different from when this was asked last."""
        if abs(self._count - self._colored) * RECOLOR_GROWTH >= max(self._colored, 1):
            self._color()
        changed, self._changed = self._changed, set()
        return changed

    def chunk(self, number: int) -> tuple[NDArray[np.float64], Colors]:
        """Positions of the points of a chunk, float64 [N, 3] in the map frame [m]; colours."""
        part = self._rows[number * POINTS_IN_CHUNK:(number + 1) * POINTS_IN_CHUNK][
            :max(0, self._used - number * POINTS_IN_CHUNK)]
        part = part[part['is_there']]
        return part['position'].copy(), blended(AGE_COLORS, part['shade'])

    def _color(self) -> None:
        rows = np.flatnonzero(self._rows['is_there'][:self._used])
        self._colored = len(rows)
        if not len(rows):
            return
        shades = shades_of(remembered_ages(self._rows['timestamp'][rows]))
        differ = shades != self._rows['shade'][rows]
        self._rows['shade'][rows] = shades
        self._note(rows[differ])

    def _note(self, rows: NDArray[np.intp]) -> None:
        self._changed.update(np.unique(rows // POINTS_IN_CHUNK).tolist())
