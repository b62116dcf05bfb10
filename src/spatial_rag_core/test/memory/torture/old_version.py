"""A store of schema version 1, as the first release wrote it."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
import json
from pathlib import Path
import sqlite3

from spatial_rag_core.memory.journal_schema import APPLICATION_ID

from contents import memory_of, MODEL, SPEC

_TABLES = f"""
PRAGMA journal_mode = WAL;
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE memories (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    timestamp REAL NOT NULL,
    x REAL NOT NULL, y REAL NOT NULL, z REAL NOT NULL,
    qx REAL NOT NULL, qy REAL NOT NULL, qz REAL NOT NULL, qw REAL NOT NULL,
    h3_cell TEXT NOT NULL,
    vector BLOB NOT NULL,
    action BLOB NOT NULL,
    session TEXT NOT NULL, robot TEXT NOT NULL, map_id TEXT NOT NULL,
    labels TEXT NOT NULL
);
CREATE TABLE thumbnails (
    seq INTEGER PRIMARY KEY REFERENCES memories (seq) ON DELETE CASCADE,
    jpeg BLOB NOT NULL
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
"""


def make(path: Path, numbers: range) -> None:
    """Make one with these memories."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(_TABLES)
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
