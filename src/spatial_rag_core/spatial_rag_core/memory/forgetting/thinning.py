"""Which memories to forget where there are too many: what others tell as well goes first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from spatial_rag_core.memory.forgetting.redundancy import (
    divided,
    elimination,
    features,
    Order,
    Scales,
)
from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.journal import Journal

import h3
import numpy as np
from numpy.typing import NDArray

_BATCH = 10_000
_MAX_LOADED = 65_536
"""Latents of so many memories are in RAM at once; a larger place is divided by age first."""


def redundant_seqs(journal: Journal, excess: int,
                   is_cancelled: Callable[[], bool] = lambda: False) -> NDArray[np.int64]:
    """
    Sequence numbers of at most `excess` memories to forget, the most redundant first, int64 [n].

    A place is an H3 cell of a map; each keeps a memory at least, so there may be fewer than
    asked for. Memories with labels go only where none without can. Of two that are alike the
    older goes. The same memory gives the same answer. Time: that of reading the memory twice,
    and of comparing the memories of each place with each other (see redundancy.py).
    Raises JournalError.
    """
    if excess < 1:
        return np.empty(0, np.int64)
    overview = _Overview(journal, is_cancelled)
    scales = overview.scales(journal.spec.h3_resolution)
    chosen = _Chosen(excess)
    for seqs in overview.places():
        for place in _places(journal.index_rows(seqs.tolist())):
            points, spared = features(place, scales), _has_labels(place)
            for part in divided(points):
                if is_cancelled():
                    return chosen.seqs()
                chosen.add(place.seqs[part], elimination(
                    points[part], place.orientations[part], spared[part], excess, chosen.limit))
    return chosen.seqs()


class _Overview:
    """What is known of all memories without their latents: 20 bytes of each."""

    def __init__(self, journal: Journal, is_cancelled: Callable[[], bool]) -> None:
        parts: list[tuple[NDArray[np.int64], NDArray[np.uint64], NDArray[np.int64]]] = []
        total, squares = np.zeros(journal.spec.z_dim), 0.0
        maps: dict[str, int] = {}
        seq = 0
        while not is_cancelled() and len(
                (rows := journal.index_rows_after(seq, _BATCH)).seqs):
            seq = int(rows.seqs[-1])
            parts.append((rows.seqs, rows.cells, _maps(rows, maps)))
            total += rows.vectors.sum(axis=0, dtype=np.float64)
            squares += float(np.square(rows.vectors, dtype=np.float64).sum())
        columns = [np.concatenate(column) for column in zip(*parts, strict=True)] or [
            np.empty(0, np.int64)] * 3
        self._seqs, cells, map_numbers = columns
        self._order = np.lexsort((self._seqs, map_numbers, cells))
        self._cells, self._maps = cells[self._order], map_numbers[self._order]
        count = max(1, len(self._seqs))
        self._variance = max(0.0, squares / count - float(np.square(total / count).sum()))

    def scales(self, h3_resolution: int) -> Scales:
        """Units of redundancy in this memory; latents that are all equal have none, 1 will do."""
        return Scales(float(np.sqrt(2 * self._variance)) or 1.0,
                      h3.average_hexagon_edge_length(h3_resolution, 'm'))

    def places(self) -> Iterator[NDArray[np.int64]]:
        """Sequence numbers of whole places, several at a time while they are few."""
        is_new = (np.diff(self._cells) != 0) | (np.diff(self._maps) != 0)
        starts = np.concatenate([[0], 1 + np.flatnonzero(is_new), [len(self._order)]])
        first = 0
        for start, end in zip(starts[:-1].tolist(), starts[1:].tolist(), strict=True):
            if end - first > _BATCH and start > first:
                yield self._seqs[self._order[first:start]]
                first = start
            while end - first > _MAX_LOADED:
                yield self._seqs[self._order[first:first + _MAX_LOADED]]
                first += _MAX_LOADED
        if first < len(self._order):
            yield self._seqs[self._order[first:]]


def _maps(rows: IndexRows, numbers: dict[str, int]) -> NDArray[np.int64]:
    """Number of the map of each memory, int64 [N]."""
    keys, which = np.unique(rows.contexts, return_inverse=True)
    names = (rows.context_table[key].map_id for key in keys.tolist())
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)[which]


def _has_labels(rows: IndexRows) -> NDArray[np.bool_]:
    keys, which = np.unique(rows.contexts, return_inverse=True)
    return np.array([bool(rows.context_table[key].labels) for key in keys.tolist()],
                    np.bool_)[which]


def _places(rows: IndexRows) -> Iterator[IndexRows]:
    """The memories of each place that has more than one, the oldest first."""
    maps = _maps(rows, {})
    order = np.lexsort((rows.seqs, rows.timestamps, maps, rows.cells))
    ends = 1 + np.flatnonzero((np.diff(rows.cells[order]) != 0) | (np.diff(maps[order]) != 0))
    for members in np.split(order, ends):
        if len(members) > 1:
            yield _taken(rows, members)


def _taken(rows: IndexRows, which: NDArray[np.intp]) -> IndexRows:
    return IndexRows(
        rows.seqs[which], rows.cells[which], rows.vectors[which], rows.positions[which],
        rows.orientations[which], rows.timestamps[which], rows.contexts[which],
        rows.context_table)


class _Chosen:
    """The `count` memories that are to go first, of all that were compared."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.limit: tuple[bool, float] = (True, float('inf'))
        self._columns = (np.empty(0, np.bool_), np.empty(0), np.empty(0, np.int64))

    def add(self, seqs: NDArray[np.int64], order: Order) -> None:
        """Take in the victims of one place, seqs [n] by row."""
        spared, scores, all_seqs = (np.concatenate([old, new]) for old, new in zip(
            self._columns, (order.spared, order.scores, seqs[order.rows]), strict=True))
        self._columns = spared, scores, all_seqs
        if len(all_seqs) >= 2 * self.count:
            self._cut()

    def _cut(self) -> None:
        spared, scores, seqs = self._columns
        first = np.lexsort((seqs, scores, spared))[:self.count]
        self._columns = spared[first], scores[first], seqs[first]
        if len(first) == self.count:
            self.limit = bool(self._columns[0][-1]), float(self._columns[1][-1])

    def seqs(self) -> NDArray[np.int64]:
        """Return them, int64 [n], the first to go first."""
        self._cut()
        return self._columns[2]
