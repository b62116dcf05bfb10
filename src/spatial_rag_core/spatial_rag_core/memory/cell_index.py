"""The embedded index: memories of one H3 cell lie together, answers within a region are exact."""

from __future__ import annotations

import threading

from spatial_rag_core.memory.arena import Arena, PAGE_ROWS, Pages, Rows
from spatial_rag_core.memory.cell_directory import CellDirectory
from spatial_rag_core.memory.index import IndexRows, Ranked
from spatial_rag_core.memory.latent_search import FLAT_ROWS, LatentSearch, MOST_WANTED
from spatial_rag_core.memory.ranking import Nearest, Ranking, ranking_of
from spatial_rag_core.memory.row_filter import bounds_around, bounds_of, ContextBook, RowFilter
from spatial_rag_core.records import MemoryQuery
from spatial_rag_core.spatial.h3_cells import H3Grid

import numpy as np
from numpy.typing import NDArray

CHUNK_PAGES = 2_048  # that are looked at in one go, so that other threads get their turn
TRIES = 3  # of a search, when what it found was forgotten under its hands
SWEEP_AT = 4_096  # empty rows that are never worth a sweep
FIRST_REACH_M = 4.0  # of a search for the nearest pose; a turn counts for at most √6 m


class _Store:
    """The rows and the directory of their cells; replaced as one."""

    def __init__(self, z_dim: int, resolution: int) -> None:
        self.arena = Arena(z_dim)
        self.directory = CellDirectory(resolution)

    def add(self, memories: IndexRows, contexts: NDArray[np.int32]) -> None:
        rows = self.directory.place(memories.cells, memories.positions, self.arena)
        self.arena.write(rows, memories, contexts)

    def remove(self, seqs: NDArray[np.int64]) -> None:
        rows, held = self.arena.find(np.unique(seqs))
        self.arena.erase(rows[held])
        self.directory.forget(rows[held])

    def memories(self, rows: Rows) -> IndexRows:
        """Copies of what the rows hold; their contexts are numbers of the ContextBook."""
        columns = self.arena.columns
        return IndexRows(
            columns.seqs[rows], self.directory.cells_of(rows), columns.vectors[rows],
            np.stack(columns.places_of(rows), axis=1), columns.orientations[rows],
            columns.timestamps[rows], columns.contexts[rows], {})


class CellIndex:
    """
    Finds memories by place first (H3 cells, then metres), then by latent or pose, exactly.

    Searches take no lock and wait for nobody: rows are written once, and a search that meets a
    memory which is being forgotten starts again.
    """

    def __init__(self, grid: H3Grid, z_dim: int) -> None:
        self._resolution = grid.resolution
        self._z_dim = z_dim
        self._store = self._empty_store()
        self._contexts = ContextBook()
        self._latents = LatentSearch()
        self._changing = threading.Lock()
        self._last_seq = 0

    @property
    def count(self) -> int:
        """Memories that can be found."""
        return self._store.arena.count

    @property
    def last_seq(self) -> int:
        """Newest sequence number ever taken in; 0 where there is none."""
        return self._last_seq

    @property
    def cell_count(self) -> int:
        """H3 cells that hold at least one memory."""
        return self._store.directory.cell_count

    @property
    def is_approximate(self) -> bool:
        """Whether a query without a region is answered from an inverted file."""
        return self._latents.is_ready

    def settle(self) -> None:
        """Return when no inverted file is being made, see LatentSearch."""
        self._latents.wait()

    def add(self, rows: IndexRows) -> None:
        """Take in memories; sequence numbers ascend, also over calls."""
        if not len(rows.seqs):
            return
        with self._changing:
            numbers = self._contexts.numbers_of(rows.contexts, rows.context_table)
            self._store.add(rows, numbers)
            self._last_seq = int(rows.seqs[-1])

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Forget memories; numbers that it does not hold are passed over."""
        with self._changing:
            self._store.remove(np.asarray(seqs, np.int64))
            arena = self._store.arena
            if (empty := arena.size - arena.count) > SWEEP_AT and 4 * empty > arena.size:
                self._store = self._swept()

    def _swept(self) -> _Store:
        """Return a copy without the empty rows; searches go on in the old one meanwhile."""
        fresh, rows = self._empty_store(), self._store.arena.live_rows()
        for some in np.split(rows, range(CHUNK_PAGES * PAGE_ROWS, len(rows),
                                         CHUNK_PAGES * PAGE_ROWS)):
            memories = self._store.memories(some)
            fresh.add(memories, memories.contexts)
        return fresh

    def _empty_store(self) -> _Store:
        return _Store(self._z_dim, self._resolution)

    def relabel(self, rows: IndexRows) -> None:
        """Replace the context of memories that it holds; others are passed over."""
        with self._changing:
            arena = self._store.arena
            numbers = self._contexts.numbers_of(rows.contexts, rows.context_table)
            found, held = arena.find(rows.seqs)
            arena.columns.contexts[found[held]] = numbers[held]

    def close(self) -> None:
        """Give back what it holds."""
        self._latents.close()
        with self._changing:
            self._store = self._empty_store()

    def search(self, query: MemoryQuery) -> list[Ranked]:
        """
        At most query.k memories, nearest first; equals by sequence number.

        Raises LatentError where the query's vector has another length.
        """
        ranking = ranking_of(query, self._z_dim)
        for _ in range(TRIES):
            if (found := self._search(query, ranking)) is not None:
                return found
        with self._changing:
            return self._search(query, ranking) or []

    def _search(self, query: MemoryQuery, ranking: Ranking) -> list[Ranked] | None:
        """Search once; None where a memory that belongs to the answer was forgotten meanwhile."""
        store = self._store
        wanted = RowFilter(query, self._contexts.admitted(query))
        bounds = bounds_of(query)
        if bounds is not None:
            pages = store.directory.pages_within(bounds)
            nearest = _nearest_on(pages, store.arena, Nearest(query.k, ranking), wanted)
        elif query.rank_by == 'pose':
            nearest = _nearest_poses(store, query, ranking, wanted)
        else:
            nearest = self._nearest_latents(store, query, ranking, wanted)
        return nearest.ranked(store.arena.columns)

    def _nearest_latents(self, store: _Store, query: MemoryQuery, ranking: Ranking,
                         wanted: RowFilter) -> Nearest:
        """Search everywhere: among candidates where many are wanted, else one by one."""
        arena, nearest = store.arena, Nearest(query.k, ranking)
        if query.metric == 'l2' and query.k <= MOST_WANTED and arena.count > FLAT_ROWS:
            share = wanted.share(arena)
            assert query.vector is not None
            if share * arena.count > FLAT_ROWS and (
                    rows := self._latents.candidates(arena, query.vector, share)) is not None:
                nearest.offer(arena.columns, wanted.among(arena.columns, rows))
        if nearest.count >= query.k:
            return nearest
        pages = np.arange(arena.page_count, dtype=np.int32)
        return _nearest_on(pages, arena, Nearest(query.k, ranking), wanted)


def _nearest_poses(store: _Store, query: MemoryQuery, ranking: Ranking,
                   wanted: RowFilter) -> Nearest:
    """Search in wider and wider boxes, until no place outside can be among the nearest."""
    assert query.pose is not None
    place = query.pose.position
    reach, farthest = FIRST_REACH_M, store.directory.reach_from(place)
    while True:
        pages = store.directory.pages_within(bounds_around(place, reach))
        nearest = _nearest_on(pages, store.arena, Nearest(query.k, ranking), wanted)
        if nearest.kth <= reach * reach or reach >= farthest:
            return nearest
        reach *= 2


def _nearest_on(pages: Pages, arena: Arena, nearest: Nearest, wanted: RowFilter) -> Nearest:
    """Offer all memories of the pages that are wanted."""
    columns = arena.columns  # which are at least as new as the page numbers
    for start in range(0, len(pages), CHUNK_PAGES):
        nearest.offer(columns, wanted.rows(columns, pages[start:start + CHUNK_PAGES]))
    return nearest
