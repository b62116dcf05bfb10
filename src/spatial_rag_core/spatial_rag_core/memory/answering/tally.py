"""Figures of the memories that an index holds, kept as they come and go."""

from __future__ import annotations

import threading

from spatial_rag_core.memory.index import Context, IndexRows

import numpy as np
from numpy.typing import NDArray

_GONE = np.nan
_GONE_AT_LEAST = 1000  # before their rows are given back


class Tally:
    """
    Number, sessions, and oldest and newest memory, of what was added and not removed since.

    Counting is put off until it is asked for after something was removed: 3 ms for a million.
    One thread may change it while others ask.
    """

    def __init__(self) -> None:
        self._seqs: NDArray[np.int64] = np.empty(0, np.int64)
        self._times: NDArray[np.float64] = np.empty(0)  # Unix [s], _GONE where removed
        self._contexts: NDArray[np.int32] = np.empty(0, np.int32)
        self._used = self._gone = 0
        self._table: dict[int, Context] = {}
        self._sessions: set[str] = set()
        self._span: tuple[float, float] | None = None
        self._is_counted = True
        self._lock = threading.Lock()

    def add(self, rows: IndexRows) -> None:
        """Count memories; their sequence numbers ascend, also over calls."""
        if not len(rows.seqs):
            return
        with self._lock:
            first, self._used = self._used, self._used + len(rows.seqs)
            if self._used > len(self._seqs):
                self._resize(max(1024, 2 * self._used))
            part = slice(first, self._used)
            self._seqs[part], self._times[part] = rows.seqs, rows.timestamps
            self._contexts[part] = rows.contexts
            self._table.update(rows.context_table)
            self._count(part)

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Count them no more; unknown ones are passed over."""
        with self._lock:
            _, places = self._find(seqs)
            self._times[places] = _GONE
            self._gone += len(places)
            self._is_counted = self._is_counted and not len(places)
            if self._gone > self._used // 4 + _GONE_AT_LEAST:
                self._compress()

    def relabel(self, rows: IndexRows) -> None:
        """Take other contexts for memories that were added; others are passed over."""
        with self._lock:
            known, places = self._find(rows.seqs)
            self._contexts[places] = rows.contexts[known]
            self._table.update(rows.context_table)
            self._is_counted = False

    @property
    def count(self) -> int:
        """Memories."""
        with self._lock:
            return self._used - self._gone

    @property
    def session_count(self) -> int:
        """Sessions that memories belong to; those of no named session count as one."""
        with self._lock:
            self._recount()
            return len(self._sessions)

    @property
    def oldest_newest(self) -> tuple[float | None, float | None]:
        """Unix times [s]; None where there is nothing."""
        with self._lock:
            self._recount()
            return self._span or (None, None)

    def _find(self, seqs: NDArray[np.int64]) -> tuple[NDArray[np.bool_], NDArray[np.intp]]:
        """Which of them are there, and the rows of those."""
        held = self._seqs[:self._used]
        places = np.searchsorted(held, seqs)
        known = places < self._used
        known[known] = held[places[known]] == seqs[known]
        known[known] = ~np.isnan(self._times[places[known]])
        return known, places[known]

    def _resize(self, size: int) -> None:
        for name in ('_seqs', '_times', '_contexts'):
            column = getattr(self, name)
            grown = np.empty(size, column.dtype)
            grown[:min(size, len(column))] = column[:size]
            setattr(self, name, grown)

    def _compress(self) -> None:
        kept = ~np.isnan(self._times[:self._used])
        for column in (self._seqs, self._times, self._contexts):
            column[:kept.sum()] = column[:self._used][kept]
        self._used, self._gone = int(kept.sum()), 0

    def _recount(self) -> None:
        if not self._is_counted:
            self._sessions, self._span, self._is_counted = set(), None, True
            self._count(slice(0, self._used))

    def _count(self, part: slice) -> None:
        """Widen what is known by these rows."""
        times = self._times[part]
        there = ~np.isnan(times)
        if not there.any():
            return
        self._sessions.update(self._table[int(key)].session
                              for key in np.unique(self._contexts[part][there]))
        span = float(times[there].min()), float(times[there].max())
        low, high = self._span or span
        self._span = min(low, span[0]), max(high, span[1])
