"""A memory file is made, checked or brought up to date as it is opened."""

from __future__ import annotations

from pathlib import Path
import sqlite3

from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.file.connection import begin_wal, Connection
from spatial_rag_core.memory.tables.migrations import migrate, read_old_meta
from spatial_rag_core.memory.tables.schema import (
    create_tables,
    is_empty,
    JournalSpec,
    read_meta,
    read_version,
    require_current,
    SCHEMA_VERSION,
    spec_of,
)


def prepared(connection: Connection, path: Path, wanted: JournalSpec | None) -> JournalSpec:
    """Check, create or migrate the file of a writer; a file that is refused stays as it was."""
    sql = connection.sql
    if is_new := is_empty(sql):
        if wanted is None:
            raise JournalError(f'{path}: no memory file, or an empty one; check the path')
        spec, version = wanted, SCHEMA_VERSION
    else:
        version = read_version(sql, path)
        meta = read_meta(sql, path) if version == SCHEMA_VERSION else read_old_meta(sql)
        spec = spec_of(meta, path)
        spec.require_same(wanted or spec, str(path))
    begin_wal(sql, path, is_new, connection.durability)
    if is_new or version != SCHEMA_VERSION:
        sql.execute('PRAGMA foreign_keys = OFF')
        with connection.transaction(lambda: None):
            if is_new:
                create_tables(sql, spec)
            else:
                migrate(sql, path)
        sql.execute('PRAGMA foreign_keys = ON')
    connection.hurry()
    return spec


def readable(sql: sqlite3.Connection, path: Path) -> JournalSpec | None:
    """Check the file of a reader; None: it holds nothing yet."""
    if is_empty(sql):
        return None
    require_current(sql, path)
    return spec_of(read_meta(sql, path), path)
