"""The embedded index: memories of one H3 cell lie together, answers within a region are exact."""

from __future__ import annotations

import threading

from spatial_rag_core.errors import LatentError
from spatial_rag_core.memory.cells.context_book import ContextBook
from spatial_rag_core.memory.cells.figures import CellFigures, figures_of
from spatial_rag_core.memory.cells.latent_search import FLAT_ROWS, LatentSearch, MOST_WANTED
from spatial_rag_core.memory.cells.ranking import Nearest, Ranking, ranking_of
from spatial_rag_core.memory.cells.row_filter import bounds_of, RowFilter
from spatial_rag_core.memory.cells.store import CellStore
from spatial_rag_core.memory.index import IndexRows, Ranked, Views
from spatial_rag_core.records import MemoryQuery
from spatial_rag_core.spatial.h3_cells import H3Grid

import faiss
import numpy as np
from numpy.typing import NDArray

TRIES = 3  # of a search, when what it found was forgotten under its hands


class CellIndex:
    """
    Finds memories by place first (H3 cells, then metres), then by latent or pose, exactly.

    Searches take no lock and wait for nobody: rows are written once, and a search that meets a
    memory which is being forgotten starts again.
    """

    def __init__(self, grid: H3Grid, z_dim: int) -> None:
        self._resolution = grid.resolution
        self._z_dim = z_dim
        self._store = CellStore(z_dim, grid.resolution)
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
        return self._latents.file_count > 0

    def settle(self) -> None:
        """Return when no inverted file is being made, see LatentSearch."""
        self._latents.wait()

    def add(self, rows: IndexRows) -> None:
        """
        Take in memories; sequence numbers ascend, also over calls.

        Raises LatentError where the latents have another length.
        """
        if not len(rows.seqs):
            return
        if rows.vectors.shape[1:] != (self._z_dim,):
            raise LatentError(f'latents have shape {list(rows.vectors.shape)}, expected '
                              f'[{len(rows.seqs)}, {self._z_dim}] (z_dim); index a memory with '
                              'the z_dim of its file')
        with self._changing:
            self._store.add(rows, self._contexts.numbers_of(rows.contexts, rows.context_table))
            self._last_seq = int(rows.seqs[-1])

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Forget memories; numbers that it does not hold are passed over."""
        with self._changing:
            self._store.remove(seqs)
            if self._store.is_worth_a_sweep:
                self._store = self._store.swept()

    def relabel(self, rows: IndexRows) -> None:
        """Replace the context of memories that it holds; others are passed over."""
        with self._changing:
            self._store.relabel(
                rows.seqs, self._contexts.numbers_of(rows.contexts, rows.context_table))

    def close(self) -> None:
        """Give back what it holds."""
        self._latents.close()
        with self._changing:
            self._store = CellStore(self._z_dim, self._resolution)

    def views(self, seqs: NDArray[np.int64]) -> Views | None:
        """Whence and when memories were seen; None where one of them was forgotten meanwhile."""
        arena = self._store.arena
        rows, is_held = arena.find(seqs)
        if not is_held.all():
            return None
        columns = arena.columns
        poses = np.column_stack([*columns.places_of(rows), columns.orientations.take(rows, 0)])
        return Views(poses, columns.timestamps.take(rows))

    def cell_figures(self) -> CellFigures:
        """Count the memories of each H3 cell, and when they were made."""
        store = self._store
        rows = store.arena.live_rows()
        return figures_of(store.directory.cells_of(rows), store.arena.columns.timestamps[rows])

    def search(self, query: MemoryQuery) -> list[Ranked]:
        """
        At most query.k memories, nearest first; equals by sequence number.

        Raises LatentError where the query's vector has another length.
        """
        faiss.omp_set_num_threads(1)  # of this thread: its workers spin where cores are busy
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
            nearest = store.nearest_on(pages, query.k, ranking, wanted)
        elif query.rank_by == 'pose' and query.pose is not None:
            nearest = store.nearest_poses(query.pose.position, query.k, ranking, wanted)
        else:
            nearest = (self._near_latents(store, query, ranking, wanted)
                       or store.nearest_of_all(query.k, ranking, wanted))
        return nearest.ranked(store.arena.columns)

    def _near_latents(self, store: CellStore, query: MemoryQuery, ranking: Ranking,
                      wanted: RowFilter) -> Nearest | None:
        """Search among candidates; None where few are wanted, or there are no candidates yet."""
        arena, vector = store.arena, query.vector
        if (vector is None or query.metric != 'l2' or query.k > MOST_WANTED
                or arena.count <= FLAT_ROWS):
            return None
        share = wanted.share(arena)
        if share * arena.count <= FLAT_ROWS:
            return None
        rows = self._latents.candidates(arena, vector, share)
        if rows is None:
            return None
        nearest = Nearest(query.k, ranking)
        nearest.offer(arena.columns, wanted.among(arena.columns, rows))
        return nearest if nearest.count >= query.k else None
