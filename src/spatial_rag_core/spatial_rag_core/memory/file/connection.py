"""The connection to a memory file: how SQLite is set up, transactions, and life after errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import errno
import os
from pathlib import Path
import sqlite3
from typing import Literal

from spatial_rag_core.errors import JournalDamagedError, JournalUnavailableError

Durability = Literal['none', 'process', 'power']
"""
What a stored memory survives: the death of the process, or also a cut of power.

none: neither, and nobody may read meanwhile; for a file that is thrown away unless it becomes
whole, twice as fast.
"""

_SYNCHRONOUS: dict[Durability, str] = {'none': 'OFF', 'process': 'NORMAL', 'power': 'FULL'}
PAGE_SIZE = 8192  # [bytes]
_SMALLEST_PAGE = 512  # of an SQLite file [bytes]
_BUSY_TIMEOUT_SEC = 2.0
_COMMIT_TIMEOUT_SEC = 0.1
"""A writer's frames queue up meanwhile, so it gives up soon and tries again later."""
_CHECKPOINT_PAGES = 2048
"""The write-ahead log is moved into the file when it is that long; a commit then takes 20 ms."""
_KEPT_WAL_BYTES = 64 << 20
"""A write-ahead log that grew beyond this is cut when it begins anew."""


class Connection:
    """
    One SQLite connection, which is made again where an error left it unusable.

    Its methods raise the errors of sqlite3. Not for two threads at once.
    """

    def __init__(self, path: Path, durability: Durability | None) -> None:
        self._path = path
        self.durability = durability  # None: read only
        self._timeout_sec = _BUSY_TIMEOUT_SEC
        self._open: sqlite3.Connection | None = None
        self._depth = 0
        self._is_closed = False

    @property
    def sql(self) -> sqlite3.Connection:
        """The connection, opened where it is not."""
        if self._is_closed:
            raise sqlite3.ProgrammingError('it was closed')
        if self._open is None:
            self._open = (_connect_reader(self._path) if self.durability is None
                          else _connect_writer(self._path, self.durability))
            self._open.execute(f'PRAGMA busy_timeout = {round(self._timeout_sec * 1e3)}')
        return self._open

    @property
    def is_in_span(self) -> bool:
        """Whether a transaction or snapshot is under way."""
        return self._depth > 0

    def hurry(self) -> None:
        """Give up soon, from now on, where another program locks the file."""
        self._timeout_sec = _COMMIT_TIMEOUT_SEC
        self.sql.execute(f'PRAGMA busy_timeout = {round(self._timeout_sec * 1e3)}')

    def close(self) -> None:
        """Close it; a writer first moves its write-ahead log into the file, if nobody reads."""
        connection, self._open, self._is_closed = self._open, None, True
        if connection is not None:
            if self.durability is not None:
                with contextlib.suppress(sqlite3.Error):
                    connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
            connection.close()

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """What is read within is of one moment, that of the first read."""
        if self._depth:  # what is around it is one already
            yield self.sql
        else:
            with self._span('BEGIN', 'ROLLBACK', 'COMMIT', lambda: None) as connection:
                yield connection

    @contextlib.contextmanager
    def transaction(self, on_rollback: Callable[[], None]) -> Iterator[sqlite3.Connection]:
        """All or nothing; one inside another is stored with the outer one."""
        words = (('SAVEPOINT inner', 'ROLLBACK TO inner; RELEASE inner', 'RELEASE inner')
                 if self._depth else ('BEGIN IMMEDIATE', 'ROLLBACK', 'COMMIT'))
        with self._span(*words, on_rollback) as connection:
            yield connection

    @contextlib.contextmanager
    def _span(self, begin: str, undo: str, finish: str,
              on_rollback: Callable[[], None]) -> Iterator[sqlite3.Connection]:
        connection = self._begun(begin)
        self._depth += 1
        try:
            yield connection
            connection.execute(finish)
        except BaseException as error:
            self._undo(connection, undo, error)
            on_rollback()
            raise
        finally:
            self._depth -= 1

    def _begun(self, begin: str) -> sqlite3.Connection:
        connection = self.sql
        if self._depth:
            if not connection.in_transaction:
                raise sqlite3.OperationalError('the transaction around it was rolled back')
            connection.execute(begin)
            return connection
        try:
            if connection.in_transaction:  # of a call that was interrupted
                connection.execute('ROLLBACK')
            connection.execute(begin)
        except sqlite3.OperationalError as error:
            if not _leaves_unusable(error):
                raise
            self._drop(connection)
            connection = self.sql
            connection.execute(begin)
        return connection

    def _undo(self, connection: sqlite3.Connection, undo: str, error: BaseException) -> None:
        """SQLite has rolled back by itself after some errors; after others it cannot any more."""
        try:
            if connection.in_transaction:
                for statement in undo.split('; '):
                    connection.execute(statement)
            if _leaves_unusable(error):
                self._drop(connection)
        except sqlite3.Error:
            self._drop(connection)

    def _drop(self, connection: sqlite3.Connection) -> None:
        """Have it made again when it is asked for next."""
        if self._open is connection:
            self._open = None
        with contextlib.suppress(sqlite3.Error):
            connection.close()


def _leaves_unusable(error: BaseException) -> bool:
    """Whether it may be of the connection's own: a file that could only be opened for reading."""
    return isinstance(error, sqlite3.OperationalError) and any(
        words in str(error) for words in ('disk I/O error', 'readonly database'))


def _connect_reader(path: Path) -> sqlite3.Connection:
    is_unchanging = _is_on_read_only_media(path) and not Path(f'{path}-wal').exists()
    return _connect(path, 'mode=ro&immutable=1' if is_unchanging else 'mode=ro')


def _connect_writer(path: Path, durability: Durability) -> sqlite3.Connection:
    connection = _connect(path, 'mode=rw')
    try:
        connection.execute(f'PRAGMA synchronous = {_SYNCHRONOUS[durability]}')
        connection.execute('PRAGMA fullfsync = ON')  # macOS: fsync alone does not reach the disk
        connection.execute('PRAGMA foreign_keys = ON')
        connection.execute(f'PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}')
        connection.execute(f'PRAGMA journal_size_limit = {_KEPT_WAL_BYTES}')
    except BaseException:
        connection.close()
        raise
    return connection


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f'{path.as_uri()}?{mode}', uri=True, isolation_level=None,
                                 check_same_thread=False)
    # What is no text is for the check sums to find, which know which row it is.
    connection.text_factory = lambda raw: raw.decode('utf-8', 'surrogateescape')
    return connection


def _is_on_read_only_media(path: Path) -> bool:
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def begin_wal(connection: sqlite3.Connection, path: Path, is_new: bool,
              durability: Durability | None = 'process') -> None:
    """Write ahead from now on; raises JournalUnavailableError where the disk cannot do that."""
    if is_new:  # neither can be changed later
        connection.execute(f'PRAGMA page_size = {PAGE_SIZE}')
        connection.execute('PRAGMA auto_vacuum = INCREMENTAL')
    if durability == 'none':
        connection.execute('PRAGMA journal_mode = MEMORY')
        return
    # With NORMAL, a cut of power in these milliseconds could blank the file's first page.
    connection.execute('PRAGMA synchronous = FULL')
    mode = connection.execute('PRAGMA journal_mode = WAL').fetchone()[0]
    connection.execute(f"PRAGMA synchronous = {_SYNCHRONOUS[durability or 'process']}")
    if mode != 'wal':
        raise JournalUnavailableError(
            f'memory file {path} cannot be used: its file system has no shared memory, so a '
            'reader beside the writer is impossible (a network drive?); name a memory_path on '
            'a local disk')


def require_no_stump(path: Path) -> None:
    """
    Refuse a stump that SQLite would take for an empty database and write over.

    The file is not opened: to close it again would take away the locks that SQLite holds on it
    in this process (sqlite.org/howtocorrupt.html, 2.2).
    """
    if 0 < path.stat().st_size < _SMALLEST_PAGE:
        raise JournalDamagedError(f'{path} is damaged or not a memory file: it is shorter than '
                                  'any; restore a backup or name another memory_path')


def make_folders(folder: Path) -> None:
    """
    Make a folder and those that it lies in, such that they survive a cut of power.

    Only their owner may enter those that are made; what is there stays as it is.
    """
    lacking = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for missing in reversed(lacking):
        missing.mkdir(mode=0o700, exist_ok=True)
        sync_folder(missing.parent)
    folder.mkdir(exist_ok=True)  # raises where it is a file


def create_file(path: Path) -> None:
    """Make an empty file that only its owner may read, where there is none."""
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names of new and renamed files in it survive a cut of power."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that need no such
            raise
    finally:
        os.close(descriptor)
