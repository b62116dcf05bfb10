"""Whether memories and pictures are as they were written, and can be what they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
import sqlite3
import struct

from spatial_rag_core.errors import JournalDamagedError
from spatial_rag_core.memory.file.snapshot import OnProgress
from spatial_rag_core.memory.tables.cell_numbers import misplaced
from spatial_rag_core.memory.tables.damaged_rows import DamagedTable, last_seq, Row
from spatial_rag_core.memory.tables.rows import (
    COLUMNS,
    is_sound,
    picture_crc,
    record_type,
    Records,
    row_crc,
    unpacked,
)
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import MAX_COORDINATE_M

import numpy as np
from numpy.typing import NDArray

Tell = Callable[[str], None]

_AT_ONCE = 10_000
_PICTURES_AT_ONCE = 500


def check_memories(connection: sqlite3.Connection, path: Path, spec: JournalSpec,
                   contexts: Collection[int], tell: Tell, on_progress: OnProgress,
                   only_damage: bool) -> int:
    """Tell what is wrong with memories and pictures; returns the memories that were read."""
    total = int(connection.execute('SELECT count(*) FROM memories').fetchone()[0])
    last, count, low = last_seq(connection, path), 0, 1
    memories = DamagedTable(connection, 'memories', 'seq', COLUMNS)
    pictures = DamagedTable(connection, 'thumbnails', 'seq', 'seq, jpeg')
    for rows in memories.rows(1, last, _AT_ONCE):
        _check_details(rows, spec, tell)
        records = _sound_records(rows, spec, path, tell)
        _check_contexts(records, contexts, tell)
        if not only_damage:
            _check_sense(records, spec, tell)
        _check_pictures(pictures, {row[0]: row[4] for row in rows}, low, rows[-1][0], tell)
        low, count = rows[-1][0] + 1, count + len(rows)
        on_progress(count, max(total, count))
    _check_pictures(pictures, {}, low, last, tell)
    for first, final in memories.lost:
        tell(f'memories {first} to {final} cannot be read')
    for first, final in pictures.lost:
        tell(f'pictures {first} to {final} cannot be read')
    return count


def _check_details(rows: Sequence[Row], spec: JournalSpec, tell: Tell) -> None:
    """Compare what is not in the record with its check sum; actions must be finite."""
    actions = {}
    for seq, memory_id, _, action, picture, crc in rows:
        try:
            is_whole = crc == row_crc(seq, memory_id, action, picture)
        except (AttributeError, TypeError, struct.error):
            is_whole = False
        if not is_whole:
            tell(f'memory {seq}: its id, action or picture mark is not what was written')
        elif action:
            actions[seq] = action
    for seq in _unusable(actions, spec.action_dim):
        tell(f'memory {seq}: its action is not {spec.action_dim} finite numbers')


def _unusable(actions: dict[int, bytes], action_dim: int) -> list[int]:
    wrong = [seq for seq, action in actions.items() if len(action) != 4 * action_dim]
    for seq in wrong:
        del actions[seq]
    values = np.frombuffer(b''.join(actions.values()), '<f4').reshape(-1, action_dim)
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    return [*wrong, *np.array(list(actions), np.int64)[bad].tolist()]


def _sound_records(rows: Sequence[Row], spec: JournalSpec, path: Path, tell: Tell) -> Records:
    try:
        return unpacked([(row[0], row[2]) for row in rows], spec.z_dim, path)
    except JournalDamagedError:
        pass
    sound = [is_sound(row[0], row[2], spec.z_dim) for row in rows]
    for row, is_whole in zip(rows, sound, strict=True):
        if not is_whole:
            tell(f'memory {row[0]} ({row[1]}): its pose, latent or context is not what was '
                 'written')
    return np.frombuffer(b''.join(row[2] for row, is_whole in zip(rows, sound, strict=True)
                                  if is_whole), record_type(spec.z_dim))


def _check_contexts(records: Records, contexts: Collection[int], tell: Tell) -> None:
    for seq in records['seq'][~np.isin(records['context'], list(contexts))].tolist():
        tell(f'memory {seq}: its context (session, robot, labels) is gone')


def _check_sense(records: Records, spec: JournalSpec, tell: Tell) -> None:
    """Sound records may still hold what should never have been written."""
    positions = records['position']
    with np.errstate(invalid='ignore', over='ignore'):
        lengths = np.linalg.norm(records['orientation'], axis=1)
        claims: dict[str, NDArray[np.bool_]] = {
            'its latent is not finite': np.isfinite(records['vector']).all(axis=1),
            'its timestamp is not finite': np.isfinite(records['timestamp']),
            'its position is not on the map': (np.abs(positions) <= MAX_COORDINATE_M).all(axis=1),
            'its orientation is no rotation': np.abs(lengths - 1.0) < 1e-6}
    for claim, holds in claims.items():
        for seq in records['seq'][~holds].tolist():
            tell(f'memory {seq}: {claim}')
    on_map = np.flatnonzero(claims['its position is not on the map'])
    for index in misplaced(spec, positions[on_map, :2], records['cell'][on_map]).tolist():
        record = records[on_map[index]]
        tell(f'memory {record["seq"]}: its H3 cell {record["cell"]:x} is not that of its '
             'position; `spatial-rag memory reanchor FILE --translate 0 0` makes the cells anew')


def _check_pictures(pictures: DamagedTable, expected: dict[int, int | None], low: int,
                    high: int, tell: Tell) -> None:
    """Compare the pictures numbered low to high with their check sums in the memories."""
    wanted = {seq for seq, crc in expected.items() if crc is not None}
    lost = len(pictures.lost)
    for part in pictures.rows(low, high, _PICTURES_AT_ONCE):
        for seq, jpeg in part:
            wanted.discard(seq)
            if seq not in expected:
                tell(f'picture {seq} belongs to no memory')
            elif not isinstance(jpeg, bytes) or picture_crc(seq, jpeg) != expected[seq]:
                tell(f'picture {seq} is not what was written')
    for first, final in pictures.lost[max(0, lost - 1):]:
        wanted -= set(range(first, final + 1)) if final - first < 10 * _AT_ONCE else wanted
    for seq in sorted(wanted):
        tell(f'picture {seq} is missing')
