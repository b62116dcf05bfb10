"""The index in Qdrant: cells and words choose there, the last bit is decided here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import itertools
from typing import NamedTuple, Protocol

from spatial_rag_core.memory.index import Context, IndexRows, Ranked, Views
from spatial_rag_core.memory.qdrant.filters import (
    admitted,
    AnyOf,
    Condition,
    conditions_of,
    region_of,
)
from spatial_rag_core.memory.qdrant.points import Places, Points, points_of, rows_among
from spatial_rag_core.memory.qdrant.ranking import (
    distances_of,
    is_certain,
    nearest,
    Question,
    question_of,
)
from spatial_rag_core.memory.qdrant.told_memories import ToldMemories
from spatial_rag_core.records import MemoryQuery, Vector
from spatial_rag_core.spatial.h3_cells import H3Grid

import numpy as np
from numpy.typing import NDArray

_SPARE = 8
_LEAST_SHARE, _MOST_AT_FIRST = 1e-3, 2000
_GROWTH = 4
_ATTEMPTS_BY_WORDS = 2


class Found(NamedTuple):
    """
    N points, nearest first.

    seqs int64 [N]; places PLACE [N]; vectors: latents float32 [N, z_dim]; told float64 [N]:
    Qdrant's own distances, ascending.
    """

    seqs: NDArray[np.int64]
    places: Places
    vectors: Vector
    told: NDArray[np.float64]


Find = Callable[[Question, Sequence[Condition], int, bool], Found]
"""Which vector to be near, what to satisfy, how many at most, and whether not approximately."""


class PointStore(Protocol):
    """The memories of one journal in a Qdrant, wherever that is; raises IndexUnavailableError."""

    @property
    def count(self) -> int:
        """Points it holds."""

    def put(self, points: Points) -> None:
        """Store points, or replace those of the same numbers."""

    def delete(self, seqs: Sequence[int]) -> None:
        """Remove points; numbers that it does not hold are passed over."""

    def set_context(self, seqs: Sequence[int], context: Context) -> None:
        """Replace the words of points; numbers that it does not hold are passed over."""

    def find(self, question: Question, conditions: Sequence[Condition], limit: int,
             is_exact: bool) -> Found:
        """At most `limit` points that satisfy all conditions, nearest first."""

    def seqs(self) -> NDArray[np.int64]:
        """Sequence numbers of all points, ascending; takes time in proportion to them."""

    def close(self) -> None:
        """Give back what it holds."""


class QdrantIndex:
    """
    Finds memories in a Qdrant; answers within a region are exact, also among equals.

    Qdrant chooses by cells, words and times, and ranks in float32. What it tells is measured
    again here, and more is asked for until the k nearest are certain.
    held: sequence numbers that the store holds already, ascending. They can be found from the
    first moment. All memories are told to add again all the same: those that it lacks are stored,
    and what it holds beside them goes.
    """

    def __init__(self, store: PointStore, grid: H3Grid,
                 held: NDArray[np.int64] | None = None) -> None:
        self.store = store
        self.last_seq = 0
        self._grid = grid
        self._unconfirmed = np.empty(0, np.int64) if held is None else held
        self._told = ToldMemories()

    @property
    def count(self) -> int:
        """Memories that can be found."""
        return self.store.count

    @property
    def cell_count(self) -> int:
        """H3 cells that hold at least one memory that was added."""
        return self._told.cell_count

    def add(self, rows: IndexRows) -> None:
        """Take in memories; sequence numbers ascend, also over calls."""
        if not len(rows.seqs):
            return
        self.last_seq = int(rows.seqs[-1])
        end = np.searchsorted(self._unconfirmed, self.last_seq, 'right')
        held, self._unconfirmed = self._unconfirmed[:end], self._unconfirmed[end:]
        self.remove(held[~np.isin(held, rows.seqs)])
        new = rows if not len(held) else rows_among(rows, ~np.isin(rows.seqs, held))
        if len(new.seqs):
            self.store.put(points_of(new, self._grid.frame, self._grid.resolution))
        self._told.add(rows.seqs, rows.cells)

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Forget memories; numbers that it does not hold are passed over."""
        if len(seqs):
            self._unconfirmed = self._unconfirmed[~np.isin(self._unconfirmed, seqs)]
            self._told.remove(seqs)
            self.store.delete(seqs.tolist())

    def relabel(self, rows: IndexRows) -> None:
        """Replace the context of memories that it holds; others are passed over."""
        for key in np.unique(rows.contexts).tolist():
            self.store.set_context(rows.seqs[rows.contexts == key].tolist(),
                                   rows.context_table[key])

    def views(self, seqs: NDArray[np.int64]) -> Views | None:
        """Return None: that is in the journal."""
        return None

    def search(self, query: MemoryQuery) -> list[Ranked]:
        """At most query.k memories, nearest first; equals by sequence number."""
        return search(self.store.find, query, self._grid)

    def close(self) -> None:
        """Give back what it holds."""
        self.store.close()



def search(find: Find, query: MemoryQuery, grid: H3Grid) -> list[Ranked]:
    """
    At most query.k points of those that `find` offers, nearest first; equals by number.

    Asks for more and more until nothing that was not offered can belong to the nearest. Times
    and heights are looked at here first: each costs Qdrant a microsecond a candidate, and most
    candidates pass. Where that does not do, they become conditions there.
    """
    region, question = region_of(query, grid), question_of(query)
    every = [*([] if region is None else [region.condition]), *conditions_of(query)]
    words = [each for each in every if isinstance(each, AnyOf)]
    share = 1.0 if region is None else max(region.share, _LEAST_SHARE)
    limit = max(query.k + _SPARE, min(round(1.5 * (query.k + 2) / share), _MOST_AT_FIRST))
    is_bounded = query.radius_m is not None or query.box is not None
    for attempt in itertools.count():
        found = find(question, words if attempt < _ATTEMPTS_BY_WORDS else every, limit, is_bounded)
        ranked = _ranked(found, query)
        if len(found.seqs) < limit or is_certain(ranked, query, float(found.told[-1])):
            return ranked
        limit *= _GROWTH
    raise AssertionError('there is no end to the points')


def _ranked(found: Found, query: MemoryQuery) -> list[Ranked]:
    if not len(found.seqs):
        return []
    keep = admitted(found.places, query)
    distances = distances_of(query, found.places[keep], found.vectors[keep])
    return nearest(found.seqs[keep], distances, query.k)
