"""The durable memory: an SQLite file in WAL mode that one process writes and many tail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import dataclass
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import JournalError, JournalUnavailableError, ModelMismatchError
from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.journal_errors import parsed, translated
from spatial_rag_core.memory.journal_rows import (
    index_rows,
    INSERT,
    memory_from_row,
    Row,
    values_of,
)
from spatial_rag_core.memory.journal_schema import create_tables, is_empty, JournalSpec, read_spec
from spatial_rag_core.records import as_action, as_latent, Memory

_SMALLEST_PAGE = 512  # of an SQLite file [bytes]
_BUSY_TIMEOUT_SEC = 2.0
_COMMIT_TIMEOUT_MS = 100
"""A writer's frames queue up meanwhile, so it gives up soon and tries again later."""


@dataclass(frozen=True)
class JournalStats:
    """Figures of a memory file; timestamps are Unix times [s], None where it is empty."""

    count: int
    last_seq: int
    session_count: int
    oldest: float | None
    newest: float | None
    file_size_bytes: int


class Journal:
    """
    A memory file.

    A memory counts as stored once append has returned: it then survives the death of the
    process. Made by Journal.open_writer or Journal.open_reader; close it, or use it in `with`.
    Errors of SQLite come out as JournalUnavailableError or JournalError.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, spec: JournalSpec,
                 is_writer: bool) -> None:
        self.path = path
        self.spec = spec
        self._is_writer = is_writer
        self._file_identity = _identity(path)
        self._connection = connection
        self._model_id: str | None = None

    @classmethod
    def open_writer(cls, path: str | Path, spec: JournalSpec) -> Journal:
        """
        Open for appending, made anew with `spec` where it is missing, else checked for it.

        A file that is refused is left as it was.
        """
        path = Path(path).expanduser()
        with translated(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch(mode=0o600)
            _require_sqlite(path)
            connection = _connect(f'{path.resolve().as_uri()}?mode=rw')
            try:
                if not (new := is_empty(connection)):
                    read_spec(connection, str(path)).require_same(spec, str(path))
                connection.execute('PRAGMA journal_mode = WAL')
                connection.execute('PRAGMA synchronous = NORMAL')
                connection.execute('PRAGMA foreign_keys = ON')
                if new:
                    create_tables(connection, spec)
                connection.execute(f'PRAGMA busy_timeout = {_COMMIT_TIMEOUT_MS}')
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, spec, is_writer=True)

    @classmethod
    def open_reader(cls, path: str | Path) -> Journal | None:
        """Open for reading; None where the file does not exist or holds nothing yet."""
        path = Path(path).expanduser()
        with translated(path):
            if not path.exists() or path.stat().st_size == 0:
                return None
            _require_sqlite(path)
            connection = _connect(f'{path.resolve().as_uri()}?mode=ro')
            try:
                if is_empty(connection):
                    connection.close()
                    return None
                spec = read_spec(connection, str(path))
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, spec, is_writer=False)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """
        Close the file; what append has returned for is safe either way.

        A writer first moves its write-ahead log into the file, so that a copy of the one file
        is whole where no other program wrote meanwhile.
        """
        with translated(self.path):
            if self._is_writer:
                self._is_writer = False
                with contextlib.suppress(sqlite3.OperationalError):  # a reader may be at work
                    self._connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            self._connection.close()

    @property
    def is_detached(self) -> bool:
        """Whether the file was deleted or replaced; what is open then has no name any more."""
        return _identity(self.path) != self._file_identity

    @property
    def model_id(self) -> str | None:
        """The bundle whose latents the file holds; None until the first memory."""
        if self._model_id is None:
            with translated(self.path):
                self._model_id = self._stored_model_id()
        return self._model_id

    def append(self, memories: Sequence[Memory]) -> list[int]:
        """
        Store all of them or none, and return their sequence numbers once committed.

        Raises ModelMismatchError for latents of another encoder, LatentError and ActionError
        for other lengths, JournalUnavailableError where the file cannot be written now.
        """
        if not memories:
            return []
        if self.is_detached:
            raise JournalUnavailableError(
                f'memory file {self.path} was deleted or replaced while it was open; what it '
                'held is in the copy that was made of it, if any')
        author = self.model_id or memories[0].model_id
        for memory in memories:
            as_latent(memory.vector, self.spec.z_dim)
            if len(memory.action):
                as_action(memory.action, self.spec.action_dim)
            self.require_model(memory.model_id, author)
        with translated(self.path), self._transaction():
            self._connection.execute(
                "INSERT OR IGNORE INTO meta VALUES ('model_id', ?)", (author,))
            self.require_model(author, self._stored_model_id())
            return [self._insert(memory) for memory in memories]

    def _stored_model_id(self) -> str | None:
        row = self._connection.execute(
            "SELECT value FROM meta WHERE key = 'model_id'").fetchone()
        return None if row is None else str(row[0])

    def require_model(self, model_id: str, author: str | None = None) -> None:
        """Raise ModelMismatchError where the latents are of another author, the file's own."""
        author = author or self.model_id
        if author not in (None, model_id):
            raise ModelMismatchError(
                f'{self.path} holds latents of model {author}, got one of model '
                f'{model_id}; latents of two encoders cannot be compared: start all nodes with '
                'the same model_path, name another memory_path, or make one from the stored '
                f'pictures: spatial-rag memory reencode {self.path} NEW_FILE --model BUNDLE')

    def _insert(self, memory: Memory) -> int:
        cursor = self._connection.execute(INSERT, values_of(memory))
        seq = cursor.lastrowid
        assert seq is not None
        if memory.thumbnail:
            self._connection.execute('INSERT INTO thumbnails VALUES (?, ?)',
                                     (seq, memory.thumbnail))
        return seq

    def index_rows_after(self, seq: int, limit: int = 10_000) -> IndexRows:
        """What an index needs of the next memories after `seq`, in order."""
        with translated(self.path), parsed(self.path):
            return index_rows(self._connection.execute(
                'SELECT seq, h3_cell, vector, x, y, z, qx, qy, qz, qw, timestamp, session '
                'FROM memories WHERE seq > ? ORDER BY seq LIMIT ?', (seq, limit)).fetchall(),
                self.spec.z_dim)

    def get(self, seqs: Sequence[int], with_thumbnails: bool = True) -> dict[int, Memory]:
        """Whole memories by sequence number; those that are gone are left out."""
        model_id = self.model_id or ''
        thumbnail = 'jpeg' if with_thumbnails else 'NULL'
        join = 'LEFT JOIN thumbnails USING (seq)' if with_thumbnails else ''
        marks = ', '.join('?' * len(seqs))
        with translated(self.path), parsed(self.path):
            rows: list[Row] = self._connection.execute(
                'SELECT seq, id, timestamp, x, y, z, qx, qy, qz, qw, h3_cell, vector, action, '
                f'session, robot, map_id, labels, {thumbnail} FROM memories {join} '
                f'WHERE seq IN ({marks})', list(seqs)).fetchall()
            return {row[0]: memory_from_row(row[1:], model_id) for row in rows}

    @property
    def last_seq(self) -> int:
        """Sequence number of the newest memory; 0 where there is none."""
        with translated(self.path):
            row = self._connection.execute('SELECT max(seq) FROM memories').fetchone()
        return int(row[0] or 0)

    def stats(self) -> JournalStats:
        """Count the file through; takes time in proportion to its size."""
        with translated(self.path):
            count, last_seq, oldest, newest, sessions = self._connection.execute(
                'SELECT count(*), max(seq), min(timestamp), max(timestamp), '
                'count(DISTINCT session) FROM memories').fetchone()
        return JournalStats(count, last_seq or 0, sessions, oldest, newest, self.file_size_bytes)

    @property
    def file_size_bytes(self) -> int:
        """Size of the file and its write-ahead log."""
        with translated(self.path):
            return sum(part.stat().st_size for part in (
                self.path, Path(f'{self.path}-wal')) if part.exists())

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute('BEGIN IMMEDIATE')
        try:
            yield
            self._connection.execute('COMMIT')
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute('ROLLBACK')
            raise


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _connect(uri: str) -> sqlite3.Connection:
    return sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_BUSY_TIMEOUT_SEC,
                           check_same_thread=False)


def _require_sqlite(path: Path) -> None:
    """Refuse a stump that SQLite would take for an empty database and write over."""
    with path.open('rb') as file:
        head = file.read(_SMALLEST_PAGE)
    if head and (len(head) < _SMALLEST_PAGE or not head.startswith(b'SQLite format 3\0')):
        raise JournalError(f'memory file {path} is damaged or not a memory file; '
                           'restore a copy or name another memory_path')
