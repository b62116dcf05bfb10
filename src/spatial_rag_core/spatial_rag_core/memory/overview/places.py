"""Where and when memories were made, read from a memory file for a picture of it."""

from __future__ import annotations

from spatial_rag_core.memory.file.snapshot import OnProgress
from spatial_rag_core.memory.forgetting.selection import matching_seqs
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.overview.layout import Places
from spatial_rag_core.memory.tables.cell_numbers import cell_numbers
from spatial_rag_core.memory.tables.rows import Records
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import MemorySelection

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray

_BATCH = 50_000


def places_of(journal: Journal, selection: MemorySelection | None = None,
              on_progress: OnProgress | None = None) -> Places:
    """Read all memories, or those that are selected, of one moment; raises JournalError."""
    parts: list[Places] = []
    sessions: dict[str, int] = {}
    with journal.snapshot():
        chosen = None if selection is None else matching_seqs(journal, selection)
        seq = done = 0
        while len(records := journal.records_after(seq, _BATCH)):
            seq, done = int(records['seq'][-1]), done + len(records)
            if chosen is not None:
                records = records[np.isin(records['seq'], chosen)]
            parts.append(_places(journal, records, sessions))
            if on_progress is not None:
                on_progress(done, max(journal.count, done))
        journal.require_all(done)
    return _joined(parts, journal.spec)


def _places(journal: Journal, records: Records, sessions: dict[str, int]) -> Places:
    numbers, owner = np.unique(records['context'], return_inverse=True)
    table = journal.contexts(numbers.tolist())
    known = [sessions.setdefault(table[number].session, len(sessions))
             for number in numbers.tolist()]
    return Places(records['position'][:, :2].copy(), records['timestamp'].copy(),
                  np.array(known, np.int64)[owner], records['cell'].copy())


def _joined(parts: list[Places], spec: JournalSpec) -> Places:
    empty = Places(np.empty((0, 2)), np.empty(0), np.empty(0, np.int64), np.empty(0, np.uint64))
    positions, timestamps, sessions, cells = map(np.concatenate, zip(empty, *parts, strict=True))
    return Places(positions, timestamps, sessions, own_cells(spec, cells, positions))


def own_cells(spec: JournalSpec, cells: NDArray[np.uint64],
              positions: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Cells [N], those that are none of this memory's resolution reckoned from positions [m]."""
    foreign, cells = _foreign(cells, spec.h3_resolution), cells.copy()
    cells[foreign] = cell_numbers(spec, positions[foreign, :2])
    return cells


def _foreign(cells: NDArray[np.uint64], resolution: int) -> NDArray[np.bool_]:
    """Which are no cells of this resolution; other programs may write memories, too."""
    unique, owner = np.unique(cells, return_inverse=True)
    foreign = [not h3.is_valid_cell(cell) or h3.get_resolution(cell) != resolution
               for cell in unique.tolist()]
    return np.array(foreign, np.bool_)[owner]
