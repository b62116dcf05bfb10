"""Which stored memories a selection means."""

from __future__ import annotations

from collections.abc import Iterator

from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.rows import Records
from spatial_rag_core.records import MemorySelection

import numpy as np
from numpy.typing import NDArray

_BATCH = 10_000


def matching_seqs(journal: Journal, selection: MemorySelection) -> NDArray[np.int64]:
    """Sequence numbers of the memories that are meant, int64 [n], ascending; of one moment."""
    with journal.snapshot():
        parts = [records['seq'][_matches(journal, records, selection)]
                 for records in _candidates(journal, selection)]
    return np.concatenate([np.zeros(0, np.int64), *parts])


def _candidates(journal: Journal, selection: MemorySelection) -> Iterator[Records]:
    if selection.ids:
        yield journal.records(list(journal.seqs_of(selection.ids).values()))
        return
    seq = 0
    while len(records := journal.records_after(seq, _BATCH)):
        yield records
        seq = int(records['seq'][-1])


def _matches(journal: Journal, records: Records, selection: MemorySelection) -> NDArray[np.bool_]:
    table = journal.contexts(np.unique(records['context']).tolist())
    meant = [number for number, context in table.items() if _is_meant(context, selection)]
    matches: NDArray[np.bool_] = np.isin(records['context'], meant)
    if selection.after is not None:
        matches &= records['timestamp'] >= selection.after
    if selection.before is not None:
        matches &= records['timestamp'] <= selection.before
    if selection.center is not None and selection.radius_m is not None:
        offsets = records['position'] - np.array(selection.center)
        matches &= np.linalg.norm(offsets, axis=1) <= selection.radius_m
    if selection.box is not None:
        matches &= (records['position'] >= np.array(selection.box.low)).all(axis=1)
        matches &= (records['position'] <= np.array(selection.box.high)).all(axis=1)
    return matches


def _is_meant(context: Context, selection: MemorySelection) -> bool:
    return (selection.session in (None, context.session)
            and selection.robot in (None, context.robot)
            and selection.map_id in (None, context.map_id)
            and set(selection.labels).issubset(context.labels))
