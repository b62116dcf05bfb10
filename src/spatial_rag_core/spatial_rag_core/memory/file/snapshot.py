"""One moment of a memory file, read while others write on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.file.connection import Connection, require_no_stump
from spatial_rag_core.memory.file.high_water_mark import lost_error, lost_of
from spatial_rag_core.memory.file.translated_errors import translated
from spatial_rag_core.memory.file.writer_lock import noted
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import is_empty

OnProgress = Callable[[int, int], None]
"""Called with what is done and the total."""


@contextlib.contextmanager
def snapshot(path: Path, may_lack: bool = False) -> Iterator[sqlite3.Connection]:
    """
    Give a read-only connection whose transaction lasts to the end: all it reads is one moment.

    A writer goes on meanwhile; its write-ahead log grows until the end. Raises JournalError
    where there is no memory file or an empty one, JournalUnavailableError, JournalDamagedError,
    also where the newest that was stored is gone, unless it may lack that.
    """
    with contextlib.ExitStack() as stack:
        with translated(path):
            require_file(path)
            require_no_stump(path)
            mark = noted(path)
            connection = Connection(path.resolve(), None)
            stack.callback(connection.close)
            sql = stack.enter_context(connection.snapshot())
            if is_empty(sql):  # reads, and so fixes the moment
                raise _missing(path)
            if not may_lack and any(lost := lost_of(mark, sql)):
                raise lost_error(path, lost)
        yield sql


def open_memory(path: Path) -> Journal:
    """Open for reading; raises JournalError where there is no memory file, or an empty one."""
    require_file(path.expanduser())
    if (journal := Journal.open_reader(path)) is None:
        raise _missing(path)
    return journal


def require_file(path: Path) -> None:
    """Raise JournalError where there is no file, an empty one, or a folder."""
    with translated(path):
        if path.is_dir():
            raise JournalError(f'{path} is a folder; name the memory file in it')
        if not path.exists() or path.stat().st_size == 0:
            raise _missing(path)


def _missing(path: Path) -> JournalError:
    return JournalError(f'{path}: no memory file, or an empty one; check the path')
