"""The rows of the embedded index and the directory of their cells, which change together."""

from __future__ import annotations

from spatial_rag_core.memory.cells.arena import Arena, PAGE_ROWS, Pages
from spatial_rag_core.memory.cells.directory import CellDirectory
from spatial_rag_core.memory.cells.ranking import Nearest, Ranking
from spatial_rag_core.memory.cells.row_filter import bounds_around, RowFilter
from spatial_rag_core.memory.index import IndexRows

import numpy as np
from numpy.typing import NDArray

CHUNK_PAGES = 2_048  # that are looked at in one go, so that other threads get their turn
SWEEP_AT = 4_096  # empty rows that are never worth a sweep
FIRST_REACH_M = 4.0  # of a search for the nearest pose; a turn counts for at most √6 m


class CellStore:
    """
    Memories by cell; one thread changes them while others search, see Arena.

    In IndexRows that come in and go out, contexts are numbers of a ContextBook.
    """

    def __init__(self, z_dim: int, resolution: int) -> None:
        self._shape = z_dim, resolution
        self.arena = Arena(z_dim)
        self.directory = CellDirectory(resolution)

    def add(self, memories: IndexRows, contexts: NDArray[np.int32]) -> None:
        """Take in memories with these contexts."""
        rows = self.directory.place(memories.cells, memories.positions, self.arena)
        self.arena.write(rows, memories, contexts)

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Forget memories; numbers that it does not hold are passed over."""
        rows, held = self.arena.find(np.unique(seqs))
        self.arena.erase(rows[held])
        self.directory.forget(rows[held])

    def relabel(self, seqs: NDArray[np.int64], contexts: NDArray[np.int32]) -> None:
        """Replace the contexts of memories that it holds."""
        rows, held = self.arena.find(seqs)
        self.arena.columns.contexts[rows[held]] = contexts[held]

    @property
    def is_worth_a_sweep(self) -> bool:
        """Whether many rows are empty, which take room and time."""
        empty = self.arena.size - self.arena.count
        return empty > SWEEP_AT and 4 * empty > self.arena.size

    def swept(self) -> CellStore:
        """Return a copy without the empty rows; who searches this one is not disturbed."""
        fresh, rows = CellStore(*self._shape), self.arena.live_rows()
        step = CHUNK_PAGES * PAGE_ROWS
        for start in range(0, len(rows), step):
            some, columns = rows[start:start + step], self.arena.columns
            fresh.add(IndexRows(
                columns.seqs[some], self.directory.cells_of(some), columns.vectors[some],
                np.stack(columns.places_of(some), axis=1), columns.orientations[some],
                columns.timestamps[some], columns.contexts[some], {}), columns.contexts[some])
        return fresh

    def nearest_on(self, pages: Pages, k: int, ranking: Ranking, wanted: RowFilter) -> Nearest:
        """Search all memories of the pages that are wanted."""
        nearest, columns = Nearest(k, ranking), self.arena.columns  # newer than the pages
        for start in range(0, len(pages), CHUNK_PAGES):
            nearest.offer(columns, wanted.rows(columns, pages[start:start + CHUNK_PAGES]))
        return nearest

    def nearest_of_all(self, k: int, ranking: Ranking, wanted: RowFilter) -> Nearest:
        """Search one by one."""
        pages = np.arange(self.arena.page_count, dtype=np.int32)
        return self.nearest_on(pages, k, ranking, wanted)

    def nearest_poses(self, place: tuple[float, float, float], k: int, ranking: Ranking,
                      wanted: RowFilter) -> Nearest:
        """
        Search in wider and wider boxes, until no place outside can be among the nearest.

        ranking: no less than the squared distance from `place` [m²].
        """
        reach, farthest = FIRST_REACH_M, self.directory.reach_from(place)
        while True:
            pages = self.directory.pages_within(bounds_around(place, reach))
            nearest = self.nearest_on(pages, k, ranking, wanted)
            if nearest.kth <= reach * reach or reach >= farthest:
                return nearest
            reach *= 2
