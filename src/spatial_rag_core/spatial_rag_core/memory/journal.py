"""The durable memory: an SQLite file in WAL mode that one process writes and many tail."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.file.connection import (
    Connection,
    create_file,
    Durability,
    make_folders,
    require_no_stump,
)
from spatial_rag_core.memory.file.high_water_mark import lost_error, lost_of
from spatial_rag_core.memory.file.opening import prepared, readable
from spatial_rag_core.memory.file.translated_errors import translated
from spatial_rag_core.memory.file.writer_lock import noted, WriterLock
from spatial_rag_core.memory.tables.changes import Changes
from spatial_rag_core.memory.tables.content import JournalStats
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.memory.tables.writing import JournalWriting

__all__ = ['Changes', 'Durability', 'Journal', 'JournalStats']


class Journal(JournalWriting):
    """
    A memory file.

    A memory counts as stored once append has returned: it then survives the death of the
    process, and with durability 'power' also a cut of power. Made by Journal.open_writer,
    open_existing_writer or open_reader; close it, or use it in `with`. One thread at a time may
    use it; threads that read at the same time open a reader each.
    Errors of SQLite come out as JournalUnavailableError or JournalDamagedError.
    """

    @classmethod
    def open_writer(cls, path: str | Path, spec: JournalSpec,
                    durability: Durability = 'process', holder: str = '') -> Journal:
        """
        Open for appending, made anew with `spec` where it is missing, else checked for it.

        A file of an older version is brought up to date; one that is refused is left as it was.
        holder: the program's name, for who finds the file in use. Raises JournalInUseError where
        another writes to it, SchemaVersionError and JournalMismatchError. Where the file lost
        what was stored in it last, `lost` tells how much; it then has another generation.
        """
        path = Path(path).expanduser()
        with translated(path):
            if path.is_dir():
                raise IsADirectoryError(f'{path} is a folder')
            make_folders(path.parent)
            return cls._open_locked(path, spec, durability, holder)

    @classmethod
    def open_existing_writer(cls, path: str | Path, durability: Durability = 'process',
                             holder: str = '') -> Journal:
        """As open_writer, with the file's own spec; raises JournalError where there is none."""
        path = Path(path).expanduser()
        with translated(path):
            if not path.is_file() or path.stat().st_size == 0:
                raise JournalError(f'{path}: no memory file, or an empty one; check the path')
            return cls._open_locked(path, None, durability, holder)

    @classmethod
    def _open_locked(cls, path: Path, spec: JournalSpec | None, durability: Durability,
                     holder: str) -> Journal:
        lock = WriterLock(path, holder)
        connection = Connection(path.resolve(), durability)
        try:
            if spec is not None:
                create_file(path.resolve())
            require_no_stump(path)
            journal = cls(path, connection, prepared(connection, path, spec))
            journal._take_over(lock)
        except BaseException:
            connection.close()
            lock.release()
            raise
        return journal

    @classmethod
    def open_reader(cls, path: str | Path) -> Journal | None:
        """
        Open for reading; None where the file does not exist or holds nothing yet.

        Raises JournalDamagedError where the file lost what was stored in it last.
        """
        path = Path(path).expanduser()
        with translated(path):
            if not path.exists() or path.stat().st_size == 0:
                return None
            require_no_stump(path)
            mark = noted(path)
            connection = Connection(path.resolve(), None)
            try:
                spec = readable(connection.sql, path)
                if any(lost := lost_of(mark, connection.sql)):
                    raise lost_error(path, lost)
            except BaseException:
                connection.close()
                raise
            if spec is None:
                connection.close()
                return None
            return cls(path, connection, spec)

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
            try:
                self._connection.close()
            finally:
                if self._lock is not None:
                    self._lock.release()
