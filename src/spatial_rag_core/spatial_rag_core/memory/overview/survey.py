"""What a memory file holds, session by session, read through once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
import math

from spatial_rag_core.memory.file.snapshot import OnProgress
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.rows import Records

import numpy as np
from numpy.typing import NDArray

_BATCH = 50_000

Extent = tuple[tuple[float, float], tuple[float, float], tuple[float, float]]


@dataclass(frozen=True)
class SessionFacts:
    """The memories of one session, robot and map; oldest and newest are Unix times [s]."""

    session: str
    robot: str
    map_id: str
    count: int
    oldest: float
    newest: float


@dataclass(frozen=True)
class Survey:
    """
    Figures of a whole memory.

    sessions: oldest first.  labels: word → memories that carry it, the most frequent first.
    oldest, newest: Unix times [s].  extent_m: lowest and highest x, y and z [m]. The three are
    None where the memory is empty.  cell_count: H3 cells that hold a memory.
    """

    count: int
    sessions: tuple[SessionFacts, ...]
    labels: Mapping[str, int]
    oldest: float | None
    newest: float | None
    extent_m: Extent | None
    cell_count: int


def survey(journal: Journal, on_progress: OnProgress | None = None) -> Survey:
    """Read a memory through, as it is at one moment; raises JournalError, for damage as well."""
    surveyor, seq = _Surveyor(), 0
    with journal.snapshot():
        while len(records := journal.records_after(seq, _BATCH)):
            numbers = np.unique(records['context']).tolist()
            surveyor.add(records, journal.contexts(numbers))
            seq = int(records['seq'][-1])
            if on_progress is not None:
                on_progress(surveyor.count, max(journal.count, surveyor.count))
        journal.require_all(surveyor.count)
    return surveyor.result()


class _Tally:
    """Number and time span of the memories of one context."""

    def __init__(self) -> None:
        self.count, self.oldest, self.newest = 0, math.inf, -math.inf

    def add(self, times: NDArray[np.float64]) -> None:
        self.count += len(times)
        self.oldest = min(self.oldest, float(times.min()))
        self.newest = max(self.newest, float(times.max()))

    def join(self, other: _Tally) -> None:
        self.count += other.count
        self.oldest = min(self.oldest, other.oldest)
        self.newest = max(self.newest, other.newest)


class _Surveyor:
    """Counts batch by batch."""

    def __init__(self) -> None:
        self.count = 0
        self._tallies: dict[Context, _Tally] = {}
        self._cells = np.empty(0, np.uint64)
        self._low, self._high = np.full(3, np.inf), np.full(3, -np.inf)

    def add(self, records: Records, contexts: Mapping[int, Context]) -> None:
        self.count += len(records)
        self._cells = np.union1d(self._cells, records['cell'])
        self._low = np.minimum(self._low, records['position'].min(axis=0))
        self._high = np.maximum(self._high, records['position'].max(axis=0))
        for number in np.unique(records['context']).tolist():
            times = records['timestamp'][records['context'] == number]
            self._tallies.setdefault(contexts[number], _Tally()).add(times)

    def result(self) -> Survey:
        sessions: dict[tuple[str, str, str], _Tally] = {}
        labels: Counter[str] = Counter()
        for context, tally in self._tallies.items():
            sessions.setdefault(context[:3], _Tally()).join(tally)
            labels.update(dict.fromkeys(context.labels, tally.count))
        facts = sorted((SessionFacts(*names, tally.count, tally.oldest, tally.newest)
                        for names, tally in sessions.items()), key=lambda one: one.oldest)
        return Survey(
            count=self.count, sessions=tuple(facts), labels=dict(labels.most_common()),
            oldest=min((one.oldest for one in facts), default=None),
            newest=max((one.newest for one in facts), default=None),
            extent_m=self._extent(), cell_count=len(self._cells))

    def _extent(self) -> Extent | None:
        if not self.count:
            return None
        x, y, z = zip(self._low.tolist(), self._high.tolist(), strict=True)
        return x, y, z

