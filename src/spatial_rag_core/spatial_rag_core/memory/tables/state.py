"""What a memory file says of itself: its make, its author, and how many memories it holds."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import ModelMismatchError
from spatial_rag_core.memory.file.connection import Connection
from spatial_rag_core.memory.file.translated_errors import damaged, translated
from spatial_rag_core.memory.tables import changes
from spatial_rag_core.memory.tables.changes import Changes
from spatial_rag_core.memory.tables.schema import JournalSpec, last_number, read_meta


class JournalState:
    """
    The part of a Journal that tells its state, and what changed.

    Raises JournalUnavailableError where the file cannot be read now, JournalDamagedError where
    it does not hold what was written.
    """

    def __init__(self, path: Path, connection: Connection, spec: JournalSpec) -> None:
        self.path = path
        self.spec = spec
        self._real_path = path.resolve()
        self._file_identity = _identity(path)
        self._connection = connection
        self._model_id: str | None = None

    @property
    def is_detached(self) -> bool:
        """Whether the file was deleted or replaced; what is open then has no name any more."""
        return _identity(self.path) != self._file_identity

    @property
    def file_size_bytes(self) -> int:
        """Size of the file and its write-ahead log."""
        with translated(self.path):
            return sum(part.stat().st_size for part in (
                self._real_path, Path(f'{self._real_path}-wal')) if part.exists())

    @property
    def model_id(self) -> str | None:
        """The bundle whose latents the file holds; None until the first memory."""
        if self._model_id is None:
            with translated(self.path):
                stored = read_meta(self._connection.sql, self.path).get('model_id')
            self._model_id = None if stored is None else str(stored)
        return self._model_id

    def require_model(self, model_id: str, author: str | None = None) -> None:
        """Raise ModelMismatchError where the latents are of another author, the file's own."""
        author = author or self.model_id
        if author not in (None, model_id):
            raise ModelMismatchError(
                f'{self.path} holds latents of model {author}, got one of model '
                f'{model_id}; latents of two encoders cannot be compared: start all nodes with '
                'the same model_path, name another memory_path, or make one from the stored '
                f'pictures: spatial-rag memory reencode {self.path} NEW_FILE --model BUNDLE')

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[None]:
        """All that is read within is of one moment, whatever is written meanwhile; keep short."""
        with translated(self.path), self._connection.snapshot():
            yield

    @property
    def last_seq(self) -> int:
        """Newest sequence number ever given, also to a memory that was forgotten; 0: none."""
        with self._reading() as connection:
            return last_number(connection, self.path, 'memories')

    @property
    def count(self) -> int:
        """Memories that were stored and not forgotten; rows that vanished are still counted."""
        with self.snapshot():
            count = self.last_seq - self._meta_number('forgotten_count')
        if count < 0:
            raise damaged(self.path, f'more memories were forgotten than stored, by {-count}')
        return count

    @property
    def generation(self) -> int:
        """Another number tells that every index must be built anew, whatever it has read."""
        return self._meta_number('generation')

    @property
    def last_change(self) -> int:
        """Number of the newest entry of the change log; 0: there never was one."""
        with self._reading() as connection:
            return last_number(connection, self.path, 'changes')

    @property
    def data_version(self) -> int:
        """Another number tells that another connection has committed; costs microseconds."""
        with self._reading() as connection:
            return int(connection.execute('PRAGMA data_version').fetchone()[0])

    def changes_after(self, number: int, limit: int = 10_000) -> Changes | None:
        """What happened after entry `number`, in order; None where the log lacks it: rebuild."""
        with self.snapshot(), self._reading() as connection:
            return changes.changes_after(connection, self.path, int(number), limit)

    def require_all(self, read: int) -> None:
        """
        Raise JournalDamagedError unless as many memories were read as there must be.

        Ask it in the snapshot in which all were read: what vanished leaves no other trace.
        """
        if read != (count := self.count):
            raise damaged(self.path, f'it should hold {count} memories, {read} were found')

    def _meta_number(self, key: str) -> int:
        with self._reading() as connection:
            row = connection.execute('SELECT value FROM meta WHERE key = ?', (key,)).fetchone()
        if row is None or not isinstance(row[0], int):
            raise damaged(self.path, f'its table meta lacks {key}')
        return row[0]

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with translated(self.path):
            yield self._connection.sql


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
