"""H3 cells as hexagons, coloured by their memories, in chunks as memory_points.py does it."""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

from spatial_rag_core.memory.overview.layout import cell_corners, MAX_HEXAGONS, parents
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.view.memory_points import RECOLOR_GROWTH
from spatial_rag_core.view.palette import (
    blended,
    Colors,
    COUNT_COLORS,
    on_count_scale,
    shades_of,
)

import numpy as np
from numpy.typing import NDArray

HEXAGONS_IN_CHUNK = 100
_SHRUNK = 0.98  # so that neighbours do not touch
_HEIGHT_STEP_M, _BELOW_M = 0.1, 0.02


class Hexagon(NamedTuple):
    """Corners, float64 [5 to 10, 3] in the map frame [m], counter-clockwise from above."""

    corners: NDArray[np.float64]
    color: Colors


class CellHexagons:
    """
    The cells that hold memories, each beneath the lowest of them that it has held.

    Cells of a coarser resolution take their place where there are more than MAX_HEXAGONS. The
    place of a cell that was emptied goes to the next that is new.
    """

    def __init__(self, frame: LocalFrame, resolution: int) -> None:
        self._frame, self.resolution = frame, resolution
        self._changed: set[int] = set()
        self._clear()

    def _clear(self) -> None:
        self._slots: dict[int, int] = {}  # cell that holds memories → row of the arrays below
        self._free: deque[int] = deque()  # rows of none
        self._corners: list[NDArray[np.float64]] = []
        self._counts = np.empty(0, np.int64)
        self._lowest = np.empty(0)
        self._shades = np.empty(0, np.uint8)
        self._total = self._colored = 0

    @property
    def counts(self) -> NDArray[np.int64]:
        """Memories in each cell that holds any."""
        return self._counts[self._counts > 0]

    @property
    def chunk_count(self) -> int:
        """Chunks, some of which may be empty; what had a higher number before is empty."""
        return -(-len(self._counts) // HEXAGONS_IN_CHUNK)

    def add(self, cells: NDArray[np.uint64], heights: NDArray[np.float64]) -> None:
        """Count memories: their cells [N], and heights [N] [m]."""
        unique, owner = np.unique(parents(cells, self.resolution), return_inverse=True)
        lowest = np.full(len(unique), np.inf)
        np.minimum.at(lowest, owner, heights)
        lowest = np.floor(lowest / _HEIGHT_STEP_M) * _HEIGHT_STEP_M - _BELOW_M
        self._count_in(unique, np.bincount(owner, minlength=len(unique)), lowest)

    def remove(self, cells: NDArray[np.uint64]) -> None:
        """Count memories no more; cells that it does not hold are passed over."""
        for cell in parents(cells, self.resolution).tolist():
            if (row := self._slots.get(cell)) is not None:
                self._counts[row] -= 1
                self._total -= 1
                self._note(row)
                if not self._counts[row]:
                    self._free.append(self._slots.pop(cell))

    def take_changed(self) -> set[int]:
        """Numbers of the chunks that look different from when this was asked last."""
        if abs(self._total - self._colored) * RECOLOR_GROWTH >= max(self._colored, 1):
            self._color()
        changed, self._changed = self._changed, set()
        return changed

    def chunk(self, number: int) -> list[Hexagon]:
        """Return the hexagons of a chunk."""
        start = number * HEXAGONS_IN_CHUNK
        rows = np.arange(start, min(start + HEXAGONS_IN_CHUNK, len(self._counts)))
        rows = rows[self._counts[rows] > 0]
        colors = blended(COUNT_COLORS, self._shades[rows])
        return [Hexagon(np.column_stack([corners, np.full(len(corners), self._lowest[row])]),
                        color)
                for row, color in zip(rows.tolist(), colors, strict=True)
                for corners in [self._corners[row]]]

    def _count_in(self, cells: NDArray[np.uint64], counts: NDArray[np.int64],
                  lowest: NDArray[np.float64]) -> None:
        self._make_rows_for([cell for cell in cells.tolist() if cell not in self._slots])
        rows = np.array([self._slots[cell] for cell in cells.tolist()], np.intp)
        is_new_or_lower = (self._counts[rows] == 0) | (lowest < self._lowest[rows])
        self._counts[rows] += counts
        self._lowest[rows] = np.minimum(self._lowest[rows], lowest)
        self._total += int(counts.sum())
        for row in rows[is_new_or_lower].tolist():
            self._note(row)
        if len(self._slots) > MAX_HEXAGONS and self.resolution > 0:
            self._coarsen()

    def _make_rows_for(self, cells: list[int]) -> None:
        more = max(0, len(cells) - len(self._free))
        self._free.extend(range(len(self._counts), len(self._counts) + more))
        self._corners.extend([np.empty((0, 2))] * more)
        self._counts = np.append(self._counts, np.zeros(more, np.int64))
        self._lowest = np.append(self._lowest, np.empty(more))
        self._shades = np.append(self._shades, np.empty(more, np.uint8))
        for cell in cells:
            row = self._slots[cell] = self._free.popleft()
            self._corners[row] = _shrunk(cell_corners(cell, self._frame))
            self._lowest[row], self._shades[row] = np.inf, 0

    def _coarsen(self) -> None:
        """Begin anew with the parents of the cells."""
        cells, rows = np.array([*self._slots], np.uint64), [*self._slots.values()]
        counts, lowest = self._counts[rows], self._lowest[rows]
        self._changed.update(range(self.chunk_count))
        self.resolution -= 1
        self._clear()
        unique, owner = np.unique(parents(cells, self.resolution), return_inverse=True)
        joined = np.full(len(unique), np.inf)
        np.minimum.at(joined, owner, lowest)
        self._count_in(unique, np.bincount(owner, counts).astype(np.int64), joined)

    def _color(self) -> None:
        self._colored = self._total
        there = np.flatnonzero(self._counts)
        if not len(there):
            return
        shades = shades_of(on_count_scale(self._counts[there]))
        for row in there[shades != self._shades[there]].tolist():
            self._note(row)
        self._shades[there] = shades

    def _note(self, row: int) -> None:
        self._changed.add(row // HEXAGONS_IN_CHUNK)


def _shrunk(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    center = corners.mean(axis=0)
    smaller: NDArray[np.float64] = center + _SHRUNK * (corners - center)
    return smaller
