"""A store of schema version 1, as the first release wrote it."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
import json
from pathlib import Path
import sqlite3

from contents import memory_of, MODEL, SPEC

_TABLES = Path(__file__).parents[1] / 'tables' / 'version_1.sql'


def make(path: Path, numbers: range) -> None:
    """Make one with these memories."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(_TABLES.read_text())
        connection.execute('BEGIN')
        connection.executemany('INSERT INTO meta VALUES (?, ?)',
                               [*asdict(SPEC).items(), ('model_id', MODEL)])
        for number in numbers:
            _insert(connection, number)
        connection.execute('COMMIT')


def _insert(connection: sqlite3.Connection, number: int) -> None:
    memory = memory_of(number)
    values = (memory.id, memory.timestamp, *memory.position, *memory.orientation, memory.h3_cell,
              memory.vector.astype('<f4').tobytes(), memory.action.astype('<f4').tobytes(),
              memory.session, memory.robot, memory.map_id, json.dumps(memory.labels))
    cursor = connection.execute(
        'INSERT INTO memories (id, timestamp, x, y, z, qx, qy, qz, qw, h3_cell, vector, action, '
        f'session, robot, map_id, labels) VALUES ({", ".join("?" * 16)})', values)
    if memory.thumbnail:
        connection.execute('INSERT INTO thumbnails VALUES (?, ?)',
                           (cursor.lastrowid, memory.thumbnail))
