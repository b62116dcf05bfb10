"""A memory file written anew, without the gaps that forgetting left."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
import sqlite3

from spatial_rag_core.memory.file.snapshot import OnProgress, require_file
from spatial_rag_core.memory.file.translated_errors import translated
from spatial_rag_core.memory.journal import Journal

_STEPS = 3


@dataclass(frozen=True)
class CompactReport:
    """Size of the file and its write-ahead log before and after [bytes]."""

    bytes_before: int
    bytes_after: int


def compact(path: Path, on_progress: OnProgress | None = None) -> CompactReport:
    """
    Write a memory file anew in the order of its memories, and bring an old version up to date.

    Readers go on meanwhile; a writer must not be there (JournalInUseError). It takes up to twice
    the file's size again, beside it and in the folder for temporary files, until it is done; if
    it fails the file is as it was. Raises JournalError.
    """
    tell = on_progress or (lambda done, total: None)
    with translated(path):
        require_file(path)
        before = sum(part.stat().st_size for part in (path, Path(f'{path}-wal'))
                     if part.exists())
    with Journal.open_existing_writer(path, holder='spatial-rag memory compact') as journal:
        tell(1, _STEPS)
        with translated(path), contextlib.closing(
                sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute('PRAGMA auto_vacuum = INCREMENTAL')
            connection.execute('VACUUM')
            tell(2, _STEPS)
            connection.execute('PRAGMA wal_checkpoint(TRUNCATE)')
        after = journal.file_size_bytes
        tell(_STEPS, _STEPS)
    return CompactReport(before, after)
