"""Other poses for the same memories, as after a loop closure or when maps are merged."""

from __future__ import annotations

from collections.abc import Mapping
import sqlite3

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.file.snapshot import OnProgress
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.cell_numbers import cell_numbers
from spatial_rag_core.memory.tables.rows import Records
from spatial_rag_core.memory.upkeep.rigid_transform import RigidTransform as RigidTransform
from spatial_rag_core.records import MAX_COORDINATE_M

import numpy as np

_BATCH = 10_000


def reanchor(journal: Journal, transforms: RigidTransform | Mapping[str, RigidTransform],
             on_progress: OnProgress | None = None) -> int:
    """
    Move and turn the poses of all memories, or of each session in its own way.

    Returns how many were moved; those of sessions that are not named stay. H3 cells follow,
    latents and pictures stay. One transaction: whoever reads sees all old or all new, and then
    another journal.generation. It takes about as much space again until it is done.
    journal: a writer. Raises ConfigurationError for a session that the file does not know and
    where a position would come to lie beyond MAX_COORDINATE_M, JournalError.
    """
    total, done, moved, seq = journal.count, 0, 0, 0
    with journal.transaction() as connection:
        moves = _by_context(journal, connection, transforms)
        while len(records := journal.records_after(seq, _BATCH)):
            changed = _moved(records, moves, journal)
            journal.replace(changed)
            seq = int(records['seq'][-1])
            done, moved = done + len(records), moved + len(changed)
            if on_progress:
                on_progress(done, max(total, done))
        journal.renew_generation()
    return moved


def _by_context(journal: Journal, connection: sqlite3.Connection, transforms:
                RigidTransform | Mapping[str, RigidTransform]) -> dict[int, RigidTransform]:
    """The transform of each context, by its number; of those that stay there is none."""
    numbers = [row[0] for row in connection.execute('SELECT id FROM contexts')]
    table = {number: context.session for number, context in journal.contexts(numbers).items()}
    if isinstance(transforms, RigidTransform):
        return dict.fromkeys(table, transforms)
    known = sorted(set(table.values()))
    if unknown := sorted(set(transforms) - set(known)):
        raise ConfigurationError(
            f'{journal.path} has no session {unknown[0]!r}; its newest are '
            f'{", ".join(map(repr, known[-5:])) or "none"}')
    return {number: transforms[session] for number, session in table.items()
            if session in transforms}


def _moved(records: Records, moves: Mapping[int, RigidTransform], journal: Journal) -> Records:
    """Copies of the records that move, where they come to lie."""
    new = records[np.isin(records['context'], list(moves))]
    for number in np.unique(new['context']).tolist():
        chosen, move = new['context'] == number, moves[number]
        new['position'][chosen] = move.move(new['position'][chosen])
        new['orientation'][chosen] = move.turn(new['orientation'][chosen])
    _require_within(new, journal)
    new['cell'] = cell_numbers(journal.spec, new['position'][:, :2])
    return new


def _require_within(records: Records, journal: Journal) -> None:
    far = (np.abs(records['position']) > MAX_COORDINATE_M).any(axis=1)
    if far.any():
        bad = records[int(np.argmax(far))]
        raise ConfigurationError(
            f'memory {bad["seq"]} of {journal.path} would come to lie at '
            f'{tuple(bad["position"].tolist())} m, more than {MAX_COORDINATE_M:g} m from the map '
            'origin; check the transform. Nothing was moved')
