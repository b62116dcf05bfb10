"""The tables of a memory file, its version, and what all of its memories share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
import json
from pathlib import Path
import secrets
import sqlite3
from typing import Any
from zlib import crc32

from spatial_rag_core.errors import (
    ConfigurationError,
    JournalError,
    JournalMismatchError,
    OlderSchemaError,
    SchemaVersionError,
)
from spatial_rag_core.memory.file.translated_errors import damaged
from spatial_rag_core.spatial.local_frame import Datum

APPLICATION_ID = 0x53524147  # 'SRAG'
SCHEMA_VERSION = 2

TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE contexts (                     -- what many memories share; never changed
    id INTEGER PRIMARY KEY,
    session TEXT NOT NULL, robot TEXT NOT NULL, map_id TEXT NOT NULL,
    labels TEXT NOT NULL,                   -- JSON list of words
    crc INTEGER NOT NULL,
    UNIQUE (session, robot, map_id, labels)
);
CREATE TABLE memories (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice, so that readers can tail
    id TEXT NOT NULL UNIQUE,
    record BLOB NOT NULL,                   -- what an index needs: see tables/rows.py
    action BLOB NOT NULL,                   -- float32, little-endian; empty: not known
    picture_crc INTEGER,                    -- of the thumbnail; NULL: there is none
    crc INTEGER NOT NULL                    -- over seq, id, action and picture_crc
);
CREATE TABLE thumbnails (                   -- apart, so that scans of memories stay short
    seq INTEGER PRIMARY KEY REFERENCES memories (seq) ON DELETE CASCADE,
    jpeg BLOB NOT NULL
);
CREATE TABLE changes (                      -- what happened to memories after they were stored
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    seq INTEGER NOT NULL,
    kind INTEGER NOT NULL,                  -- see tables/changes.py
    crc INTEGER NOT NULL
);
"""


@dataclass(frozen=True)
class JournalSpec:
    """
    What all memories of one file share; fixed when the file is made.

    map_frame: the frame of all positions.  datum: where its origin lies on the globe [deg].
    """

    z_dim: int = 32
    action_dim: int = 2
    h3_resolution: int = 13
    datum_latitude_deg: float = 0.0
    datum_longitude_deg: float = 0.0
    datum_heading_deg: float = 0.0
    map_frame: str = 'map'

    def __post_init__(self) -> None:
        for name, value, low, high in (('z_dim', self.z_dim, 1, 4096),
                                       ('action_dim', self.action_dim, 1, 64),
                                       ('h3_resolution', self.h3_resolution, 0, 15)):
            if not low <= value <= high:
                raise ConfigurationError(f'{name} must lie between {low} and {high}, got {value}')
        _ = self.datum

    @property
    def datum(self) -> Datum:
        """Where the map's origin lies."""
        return Datum(self.datum_latitude_deg, self.datum_longitude_deg, self.datum_heading_deg)

    def require_same(self, wanted: JournalSpec, path: str) -> None:
        """Raise JournalMismatchError that names the first field in which the two differ."""
        for field in fields(self):
            mine, theirs = getattr(self, field.name), getattr(wanted, field.name)
            if mine != theirs:
                raise JournalMismatchError(
                    f'{path} was made with {field.name} {mine}, asked for {theirs}; set '
                    f'{field.name}: {mine} or name another memory_path')


SPEC_FIELDS = tuple(field.name for field in fields(JournalSpec))


def create_tables(connection: sqlite3.Connection, spec: JournalSpec) -> None:
    """Make the tables of an empty memory file; the caller holds a transaction."""
    for statement in TABLES.split(';\n')[:-1]:
        connection.execute(statement)
    connection.executemany('INSERT INTO meta VALUES (?, ?)', [
        *asdict(spec).items(), ('generation', new_generation()), ('forgotten_count', 0),
        ('changes_pruned_to', 0), ('crc', fixed_crc(asdict(spec)))])
    connection.execute(f'PRAGMA application_id = {APPLICATION_ID}')
    connection.execute(f'PRAGMA user_version = {SCHEMA_VERSION}')


def new_generation() -> int:
    """A number that no other state of any memory file has, not even that of a restored copy."""
    return secrets.randbits(62)


def fixed_crc(meta: Mapping[str, object]) -> int:
    """Check sum over what meta says once and for all: the spec, and the author of the latents."""
    names = [name for name in (*SPEC_FIELDS, 'model_id') if name in meta]
    return crc32(json.dumps([(name, meta[name]) for name in names]).encode())


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file holds no table at all."""
    return connection.execute('SELECT 1 FROM sqlite_master').fetchone() is None


def read_version(connection: sqlite3.Connection, path: Path) -> int:
    """Check that it is a memory file, of a version that is not newer than this software."""
    if connection.execute('PRAGMA application_id').fetchone()[0] != APPLICATION_ID:
        raise JournalError(f'{path} is an SQLite file but not a Spatial-RAG memory; '
                           'name another memory_path')
    version = int(connection.execute('PRAGMA user_version').fetchone()[0])
    if version > SCHEMA_VERSION:
        raise SchemaVersionError(
            f'{path} has schema version {version}, this software knows {SCHEMA_VERSION}; '
            'update Spatial-RAG or name another memory_path')
    return version


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raise OlderSchemaError for an older version, which only a writer can bring up to date."""
    if (version := read_version(connection, path)) != SCHEMA_VERSION:
        raise OlderSchemaError(
            f'{path} has the older schema version {version}, this software reads '
            f'{SCHEMA_VERSION}; start the memory writer on it or run '
            f'`spatial-rag memory compact {path}`, which bring it up to date')


def read_meta(connection: sqlite3.Connection, path: Path) -> dict[str, Any]:
    """Read all of meta, verified; raises JournalDamagedError."""
    meta = dict(connection.execute('SELECT key, value FROM meta'))
    if meta.get('crc') != fixed_crc(meta):
        raise damaged(path, f'its table meta says {meta}')
    return meta


def spec_of(meta: Mapping[str, Any], path: Path) -> JournalSpec:
    """Return the spec that meta holds; raises JournalDamagedError where it holds none."""
    try:
        return JournalSpec(**{name: meta[name] for name in SPEC_FIELDS})
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f'its table meta says {dict(meta)}') from error


def last_number(connection: sqlite3.Connection, path: Path, table: str) -> int:
    """Newest number that a table has ever given to a row; 0: none. Raises JournalDamagedError."""
    row = _sequence(connection, table)
    if row is None and connection.execute(f'SELECT 1 FROM {table} LIMIT 1').fetchone():
        row = _sequence(connection, table)  # the first row may have come in between
        if row is None:
            raise damaged(path, f'the last number of its table {table} is gone')
    number = 0 if row is None else row[0]
    if not isinstance(number, int) or number < 0:
        raise damaged(path, f'the last number of its table {table} is {number!r}')
    return number


def _sequence(connection: sqlite3.Connection, table: str) -> tuple[object, ...] | None:
    row: tuple[object, ...] | None = connection.execute(
        'SELECT seq FROM sqlite_sequence WHERE name = ?', (table,)).fetchone()
    return row
