"""A file that appears under its name whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import fcntl
import os
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import (
    ConfigurationError,
    JournalInUseError,
    TargetUnavailableError,
)
from spatial_rag_core.memory.file.connection import make_folders, sync_folder
from spatial_rag_core.memory.file.writer_lock import WriterLock

_BESIDE = ('-wal', '-shm', '-journal')
_READERS_TIMEOUT_SEC = 10.0


@contextlib.contextmanager
def whole_or_not_at_all(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """
    Give an empty file beside `target`, mode 0600; at the end it becomes target, else it goes.

    Where target is a link, the file that it leads to is made, and it stays one. With overwrite
    the caller holds the writer's lock of target. Raises ConfigurationError where target is a
    folder, or exists and overwrite is False, JournalInUseError where another process makes the
    same file just now, TargetUnavailableError where it cannot be written.
    """
    with _written(target):
        _require_free(target, overwrite)
        real = Path(os.path.realpath(target))
        make_folders(real.parent)
        unfinished = real.with_name(real.name + '.unfinished')
        with _claimed(unfinished, target) as descriptor:
            try:
                yield unfinished
                os.fsync(descriptor)
                _require_free(target, overwrite)
                _clear_the_place(real)
                os.rename(unfinished, real)
                sync_folder(real.parent)
            finally:
                remove_with_companions(unfinished)


@contextlib.contextmanager
def whole_memory_or_not_at_all(target: Path, overwrite: bool = False) -> Iterator[Path]:
    """As whole_or_not_at_all, for a memory file; it is closed when the block ends."""
    with whole_or_not_at_all(target, overwrite) as unfinished:
        yield unfinished
        with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as file:
            file.execute('PRAGMA locking_mode = EXCLUSIVE')
            file.execute('PRAGMA journal_mode = DELETE')  # so that it needs no file beside it


@contextlib.contextmanager
def held_for_writing(target: Path, holder: str) -> Iterator[None]:
    """Hold the writer's lock of a memory file; raises as whole_or_not_at_all does."""
    with _written(target):
        _require_free(target, overwrite=True)
        make_folders(Path(os.path.realpath(target)).parent)
        lock = WriterLock(target, holder)
    try:
        yield
    finally:
        lock.release()


def remove_with_companions(path: Path) -> None:
    """Delete an SQLite file that nobody uses, and what SQLite and its writer put beside it."""
    for suffix in ('', '.lock', *_BESIDE):
        Path(f'{path}{suffix}').unlink(missing_ok=True)


@contextlib.contextmanager
def _written(target: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise TargetUnavailableError(
            f'{target} cannot be written: {getattr(error, "strerror", None) or error}; free '
            'space, check that the folder is writable, or name another file') from error


def _require_free(target: Path, overwrite: bool) -> None:
    if target.is_dir():
        raise ConfigurationError(f'{target} is a folder; name a file in it')
    if target.exists() and not overwrite:
        raise ConfigurationError(f'{target} exists already; name a file that does not, or '
                                 'delete it')


@contextlib.contextmanager
def _claimed(unfinished: Path, target: Path) -> Iterator[int]:
    """Hold the unfinished file, emptied of what a killed run left."""
    descriptor = os.open(unfinished, os.O_RDWR | os.O_CREAT, 0o600)
    try:  # it stays open to the end: to close it would drop SQLite's own locks of the file
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise JournalInUseError(f'{target} is being made by another process just now; wait '
                                    'for it, or name another file') from error
        for suffix in _BESIDE:
            Path(f'{unfinished}{suffix}').unlink(missing_ok=True)
        os.ftruncate(descriptor, 0)
        os.fchmod(descriptor, 0o600)
        yield descriptor
    finally:
        os.close(descriptor)


def _clear_the_place(target: Path) -> None:
    """
    Take away what lies beside target, lest SQLite mix it into the new file.

    What is still in target's write-ahead log goes into target first: if this process dies
    before the rename, the old file is as whole as it was.
    """
    if target.exists() and _is_held_up(target):
        raise TargetUnavailableError(f'{target} is being read at length, by a backup or an '
                                     'export maybe; try again when that has finished')
    for suffix in _BESIDE:
        Path(f'{target}{suffix}').unlink(missing_ok=True)


def _is_held_up(target: Path) -> bool:
    with contextlib.closing(sqlite3.connect(target, timeout=_READERS_TIMEOUT_SEC)) as old:
        try:
            return bool(old.execute('PRAGMA wal_checkpoint(TRUNCATE)').fetchone()[0])
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError:  # it is damaged, and about to be replaced
            return False
