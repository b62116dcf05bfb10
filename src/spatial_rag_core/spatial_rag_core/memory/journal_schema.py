"""The tables of a memory file, its version, and what all of its memories share."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
import sqlite3

from spatial_rag_core.errors import (
    ConfigurationError,
    JournalError,
    JournalMismatchError,
    SchemaVersionError,
)
from spatial_rag_core.spatial.local_frame import Datum

APPLICATION_ID = 0x53524147  # 'SRAG'
SCHEMA_VERSION = 1

_TABLES = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE memories (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice, so that readers can tail
    id TEXT NOT NULL UNIQUE,
    timestamp REAL NOT NULL,                -- Unix time of the source frame [s]
    x REAL NOT NULL, y REAL NOT NULL, z REAL NOT NULL,  -- map frame [m]
    qx REAL NOT NULL, qy REAL NOT NULL, qz REAL NOT NULL, qw REAL NOT NULL,
    h3_cell TEXT NOT NULL,
    vector BLOB NOT NULL,                   -- float32, little-endian
    action BLOB NOT NULL,                   -- float32, little-endian; empty: not known
    session TEXT NOT NULL, robot TEXT NOT NULL, map_id TEXT NOT NULL,
    labels TEXT NOT NULL                    -- JSON list of words
);
CREATE TABLE thumbnails (                   -- apart, so that scans of memories stay short
    seq INTEGER PRIMARY KEY REFERENCES memories (seq) ON DELETE CASCADE,
    jpeg BLOB NOT NULL
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


def create_tables(connection: sqlite3.Connection, spec: JournalSpec) -> None:
    """Make an empty memory file, all or nothing."""
    connection.executescript(f'BEGIN IMMEDIATE; {_TABLES}')
    try:
        connection.executemany('INSERT INTO meta VALUES (?, ?)', asdict(spec).items())
        connection.execute(f'PRAGMA application_id = {APPLICATION_ID}')
        connection.execute(f'PRAGMA user_version = {SCHEMA_VERSION}')
        connection.execute('COMMIT')
    except BaseException:
        connection.execute('ROLLBACK')
        raise


def is_empty(connection: sqlite3.Connection) -> bool:
    """Whether the file holds no table at all."""
    return connection.execute('SELECT 1 FROM sqlite_master').fetchone() is None


def read_spec(connection: sqlite3.Connection, path: str) -> JournalSpec:
    """Check that it is a memory file of a version that is understood, and return its spec."""
    if connection.execute('PRAGMA application_id').fetchone()[0] != APPLICATION_ID:
        raise JournalError(f'{path} is an SQLite file but not a Spatial-RAG memory; '
                           'name another memory_path')
    version = connection.execute('PRAGMA user_version').fetchone()[0]
    if version > SCHEMA_VERSION:
        raise SchemaVersionError(
            f'{path} has schema version {version}, this software knows {SCHEMA_VERSION}; '
            'update Spatial-RAG or name another memory_path')
    meta = dict(connection.execute('SELECT key, value FROM meta'))
    try:
        return JournalSpec(**{field.name: meta[field.name] for field in fields(JournalSpec)})
    except (KeyError, TypeError, ValueError) as error:
        raise JournalError(f'{path} is damaged: its table meta says {meta}; restore a copy or '
                           'name another memory_path') from error
