"""Where the memories of the embedded index lie: columns of numbers, row by row, in pages."""

from __future__ import annotations

from collections.abc import Iterable
import math
import mmap
from typing import Any, NamedTuple

from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.records import Vector

import numpy as np
from numpy.typing import ArrayLike, NDArray

PAGE_BITS = 3
PAGE_ROWS = 1 << PAGE_BITS  # few, because many a cell holds few memories
HUGE_BYTES = 1 << 23  # of a column, from which on the machine's huge pages waste little

NOWHERE = (math.inf, math.inf, math.inf)

Rows = NDArray[np.int64]
"""Row numbers of the arena, int64 [n]."""
Places = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]
"""Coordinates x, y, z in the map frame [m], arrays of one shape."""
Pages = NDArray[np.int32]
"""Page numbers of the arena, int32 [n]: page p is the rows from p · PAGE_ROWS."""


class Columns(NamedTuple):
    """
    What is known of the memory in each row of an arena.

    A row without a memory has seq 0 and lies infinitely far away. vectors float32
    [capacity, z_dim]; orientations float32 [capacity, 4] (x, y, z, w); timestamps float64
    [capacity], Unix [s]; contexts int32 [capacity]; seqs int64 [capacity]; x, y, z float64
    [capacity / PAGE_ROWS, PAGE_ROWS], map frame [m].
    """

    vectors: Vector
    orientations: NDArray[np.float32]
    timestamps: NDArray[np.float64]
    contexts: NDArray[np.int32]
    seqs: NDArray[np.int64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]

    def places_on(self, pages: Pages) -> Places:
        """Coordinates on pages, three times float64 [n, PAGE_ROWS] [m]."""
        return (self.x.take(pages, axis=0), self.y.take(pages, axis=0),
                self.z.take(pages, axis=0))

    def places_of(self, rows: Rows) -> Places:
        """Coordinates of rows, three times float64 [n] [m]."""
        return self.x.take(rows), self.y.take(rows), self.z.take(rows)

    def put_places(self, rows: Rows, places: Iterable[ArrayLike]) -> None:
        """Set the coordinates of rows."""
        for coordinate, values in zip((self.x, self.y, self.z), places, strict=True):
            coordinate.reshape(-1)[rows] = values


class Arena:
    """
    Rows that are written once: a memory keeps its row, and no other memory ever gets it.

    So any number of threads may read beside one that changes it, without a lock. They take
    `columns` after they learnt row numbers, read `seqs` last, and where a number is 0 there the
    memory was forgotten meanwhile. Memories that are forgotten leave their rows empty; who owns
    the arena replaces it by a fresh one when these become many.
    """

    def __init__(self, z_dim: int) -> None:
        self.columns = Columns(
            np.empty((0, z_dim), np.float32), np.empty((0, 4), np.float32), np.empty(0),
            np.empty(0, np.int32), np.empty(0, np.int64),
            *(np.empty((0, PAGE_ROWS)) for _ in range(3)))
        self.size = 0
        self.count = 0
        self._order = (np.empty(0, np.int64), np.empty(0, np.int32))

    @property
    def page_count(self) -> int:
        """Pages that were taken."""
        return self.size // PAGE_ROWS

    @property
    def order(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """All sequence numbers ever written, ascending, and their rows; forgotten ones too."""
        return self._order

    def take_pages(self, number: int) -> int:
        """Set up empty pages at the end; returns the first one's number."""
        first, end = self.size, self.size + number * PAGE_ROWS
        self._reserve(end)
        self.columns.seqs[first:end] = 0
        for coordinate in (self.columns.x, self.columns.y, self.columns.z):
            coordinate[first // PAGE_ROWS:end // PAGE_ROWS] = np.inf
        self.size = end
        return first // PAGE_ROWS

    def _reserve(self, capacity: int) -> None:
        """Grow to twice the size, a column at a time, so that few bytes are held twice."""
        old = len(self.columns.seqs)
        if capacity <= old:
            return
        capacity = max(capacity, 2 * old, 32 * PAGE_ROWS)
        for name, column in self.columns._asdict().items():
            grown = _lazy(capacity // PAGE_ROWS if name in 'xyz' else capacity, column)
            grown[:len(column)] = column
            self.columns = self.columns._replace(**{name: grown})

    def write(self, rows: Rows, memories: IndexRows, contexts: NDArray[np.int32]) -> None:
        """Put memories, in ascending order of seq, into rows of pages that were taken."""
        columns = self.columns
        columns.vectors[rows] = memories.vectors
        columns.orientations[rows] = memories.orientations
        columns.timestamps[rows] = memories.timestamps
        columns.contexts[rows] = contexts
        columns.seqs[rows] = memories.seqs  # from here on a search of all pages finds them
        columns.put_places(rows, memories.positions.T)
        self._order = (_extended(self._order[0], memories.seqs), _extended(self._order[1], rows))
        self.count += len(rows)

    def erase(self, rows: Rows) -> None:
        """Make rows empty for good."""
        self.columns.seqs[rows] = 0  # first, because searches read it last
        self.columns.put_places(rows, NOWHERE)
        self.count -= len(rows)

    def find(self, seqs: NDArray[np.int64]) -> tuple[Rows, NDArray[np.bool_]]:
        """Return the row of each sequence number, and which are held; rows of others mislead."""
        known, rows = self._order
        if not len(known):
            return np.zeros(len(seqs), np.int64), np.zeros(len(seqs), np.bool_)
        found = rows.take(np.searchsorted(known, seqs), mode='clip').astype(np.int64)
        return found, (self.columns.seqs.take(found) == seqs) & (seqs != 0)

    def live_rows(self) -> Rows:
        """Rows of all memories in ascending order of seq."""
        rows = self._order[1]
        return np.asarray(rows[self.columns.seqs.take(rows) != 0], np.int64)


def _lazy(length: int, like: NDArray[Any]) -> NDArray[Any]:
    """
    Return an array of that many entries as those of `like`; what is not written takes no memory.

    It comes straight from the system and goes back there as soon as nobody reads it any more.
    """
    shape = (length, *like.shape[1:])
    size = math.prod(shape) * like.itemsize
    buffer = mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if size >= HUGE_BYTES and hasattr(mmap, 'MADV_HUGEPAGE'):  # Linux
        buffer.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(buffer, like.dtype).reshape(shape)


def _extended(column: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """Return a longer view of the column's buffer where there is room, of a larger one if not."""
    size, needed = len(column), len(column) + len(values)
    buffer: NDArray[Any] = column if column.base is None else column.base
    if needed > len(buffer):
        buffer = np.empty(max(needed, 2 * len(buffer), 1024), column.dtype)
        buffer[:size] = column
    buffer[size:needed] = values
    return buffer[:needed]
