"""One moment of a memory file, read while others write on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.journal_connection import Connection, require_no_stump
from spatial_rag_core.memory.journal_errors import translated
from spatial_rag_core.memory.journal_schema import is_empty

OnProgress = Callable[[int, int], None]
"""Called with what is done and the total."""


@contextlib.contextmanager
def snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """
    Give a read-only connection whose transaction lasts to the end: all it reads is one moment.

    A writer goes on meanwhile; its write-ahead log grows until the end. Raises JournalError
    where there is no memory file or an empty one, JournalUnavailableError, JournalDamagedError.
    """
    with contextlib.ExitStack() as stack:
        with translated(path):
            require_file(path)
            require_no_stump(path)
            connection = Connection(path.resolve(), None)
            stack.callback(connection.close)
            sql = stack.enter_context(connection.snapshot())
            if is_empty(sql):  # reads, and so fixes the moment
                raise missing(path)
        yield sql


def require_file(path: Path) -> None:
    """Raise JournalError where there is no file, or an empty one."""
    if not path.exists() or path.stat().st_size == 0:
        raise missing(path)


def missing(path: Path) -> JournalError:
    """Tell that there is no memory file."""
    return JournalError(f'{path}: no memory file, or an empty one; check the path')
