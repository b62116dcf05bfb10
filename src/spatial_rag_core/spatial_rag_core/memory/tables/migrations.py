"""Older versions of the memory file, brought up to date."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import json
from pathlib import Path
import sqlite3
from typing import Any

from spatial_rag_core.memory.file.translated_errors import parsed
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.tables.contexts import Contexts
from spatial_rag_core.memory.tables.rows import (
    cell_number,
    packed,
    picture_crc,
    record_type,
    Row,
    row_crc,
)
from spatial_rag_core.memory.tables.schema import (
    fixed_crc,
    new_generation,
    SCHEMA_VERSION,
    TABLES,
)

import numpy as np

_BATCH = 1000
_OLD_COLUMNS = ('seq, id, timestamp, x, y, z, qx, qy, qz, qw, h3_cell, vector, action, '
                'session, robot, map_id, labels, jpeg')


def read_old_meta(connection: sqlite3.Connection) -> dict[str, Any]:
    """Read meta of version 1, which has no check sum."""
    return dict(connection.execute('SELECT key, value FROM meta'))


def migrate(connection: sqlite3.Connection, path: Path) -> None:
    """
    Bring version 1 up to date: its memories keep number, id and all else; pictures stay in place.

    The caller holds a transaction, with foreign keys off: to drop the old table would take the
    pictures along. Raises JournalDamagedError for values that a sound file cannot hold.
    """
    for statement in TABLES.split(';\n')[:-1]:
        if any(f'TABLE {name} ' in statement for name in ('contexts', 'memories', 'changes')):
            connection.execute(statement.replace('TABLE memories', 'TABLE memories_2'))
    with parsed(path):
        count = _copy_memories(connection, path)
    last_seq = connection.execute(
        "SELECT max(seq) FROM sqlite_sequence WHERE name = 'memories'").fetchone()[0] or 0
    _replace_table(connection, last_seq)
    _renew_meta(connection, forgotten_count=last_seq - count)


def _copy_memories(connection: sqlite3.Connection, path: Path) -> int:
    contexts = Contexts(path)
    count = 0
    for rows in _old_rows(connection):
        numbers = {(session, robot, map_id, labels): contexts.number(
            connection, Context(session, robot, map_id, tuple(json.loads(labels))))
            for session, robot, map_id, labels in {row[13:17] for row in rows}}
        connection.executemany(
            'INSERT INTO memories_2 (seq, id, record, action, picture_crc, crc) '
            'VALUES (?, ?, ?, ?, ?, ?)', _new_rows(rows, numbers))
        count += len(rows)
    return count


def _old_rows(connection: sqlite3.Connection) -> Iterator[list[Row]]:
    seq = 0
    while rows := connection.execute(
            f'SELECT {_OLD_COLUMNS} FROM memories LEFT JOIN thumbnails USING (seq) '
            'WHERE seq > ? ORDER BY seq LIMIT ?', (seq, _BATCH)).fetchall():
        yield rows
        seq = rows[-1][0]


def _new_rows(rows: list[Row], contexts: Mapping[tuple[Any, ...], int]) -> Iterator[Row]:
    vectors = [np.frombuffer(row[11], '<f4') for row in rows]
    records = np.empty(len(rows), record_type(len(vectors[0])))
    records['seq'] = [row[0] for row in rows]
    records['timestamp'] = [row[2] for row in rows]
    records['position'] = [row[3:6] for row in rows]
    records['orientation'] = [row[6:10] for row in rows]
    records['cell'] = [cell_number(row[10]) for row in rows]
    records['vector'] = vectors
    records['context'] = [contexts[row[13:17]] for row in rows]
    for row, record in zip(rows, packed(records), strict=True):
        seq, memory_id, action = row[0], row[1], row[12]
        picture = picture_crc(seq, row[17] or b'')
        yield seq, memory_id, record, action, picture, row_crc(seq, memory_id, action, picture)


def _replace_table(connection: sqlite3.Connection, last_seq: int) -> None:
    connection.execute('DROP TABLE memories')
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'memories_2'")
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('memories_2', ?)",
                       (last_seq,))
    connection.execute('ALTER TABLE memories_2 RENAME TO memories')


def _renew_meta(connection: sqlite3.Connection, forgotten_count: int) -> None:
    """Memories that were taken away by hand are in a part of the change log that was pruned."""
    meta, pruned_to = read_old_meta(connection), int(forgotten_count > 0)
    connection.executemany('INSERT OR REPLACE INTO meta VALUES (?, ?)', [
        ('generation', new_generation()), ('forgotten_count', forgotten_count),
        ('changes_pruned_to', pruned_to), ('crc', fixed_crc(meta))])
    connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('changes', ?)",
                       (pruned_to,))
    connection.execute(f'PRAGMA user_version = {SCHEMA_VERSION}')
