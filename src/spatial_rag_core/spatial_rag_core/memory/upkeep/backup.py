"""Copies of a memory file: made while it is written, and brought back verified."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
import os
from pathlib import Path
import sqlite3

from spatial_rag_core.errors import ConfigurationError, JournalDamagedError
from spatial_rag_core.memory.file.snapshot import OnProgress, require_file, snapshot
from spatial_rag_core.memory.file.translated_errors import damaged
from spatial_rag_core.memory.file.whole_file import held_for_writing, whole_memory_or_not_at_all
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import read_version
from spatial_rag_core.memory.upkeep.integrity import check
from spatial_rag_core.memory.upkeep.salvage import RestoreReport, salvage_into

__all__ = ['BackupReport', 'RestoreReport', 'backup', 'restore']

_PAGES_A_STEP = 1024


@dataclass(frozen=True)
class BackupReport:
    """The file that was made, the memories in it, and its size [bytes]."""

    path: Path
    count: int
    size_bytes: int


def backup(source: Path, target: Path, on_progress: OnProgress | None = None) -> BackupReport:
    """
    Copy a memory file as it is at one moment, also while another process writes to it.

    The copy is one file, mode 0600, that needs nothing beside it, and appears once it is whole
    and on the disk. on_progress: called with pages done and their number. The structure of the
    copy is checked, its memories are when it is restored, or by `integrity.check`.
    Raises ConfigurationError where target exists, JournalError where source is no memory file,
    JournalDamagedError, JournalUnavailableError, TargetUnavailableError where target cannot be.
    """
    with snapshot(source) as reader:
        read_version(reader, source)
        with whole_memory_or_not_at_all(target) as unfinished:
            count = _copied(reader, source, unfinished, on_progress)
    return BackupReport(target, count, target.stat().st_size)


def restore(backup: Path, target: Path, salvage: bool = False, overwrite: bool = False,
            on_progress: OnProgress | None = None) -> RestoreReport:
    """
    Make the memory file `target` from a backup, or from any memory file; each memory is verified.

    Those who read target meanwhile find it replaced, and with another generation. With salvage,
    `backup` may be damaged: what can be read is kept, in order and under new sequence numbers,
    and what was lost is counted. A backup of an older version is brought up to date.
    Raises ConfigurationError where target exists and overwrite is False, JournalInUseError while
    a writer holds target, JournalDamagedError for a damaged backup (with salvage: only where
    nothing can be made of it), JournalError where there is no backup.
    """
    require_file(backup)
    if os.path.realpath(backup) == os.path.realpath(target):
        raise ConfigurationError(f'{target} is the backup itself; name another file to make')
    with (held_for_writing(target, 'spatial-rag memory restore'),
          whole_memory_or_not_at_all(target, overwrite) as unfinished):
        if salvage:
            return salvage_into(backup, unfinished, on_progress)
        with snapshot(backup) as reader:
            read_version(reader, backup)
            _copied(reader, backup, unfinished, None)
        return RestoreReport(_verified_anew(unfinished, backup, on_progress), 0)


def _copied(reader: sqlite3.Connection, source: Path, unfinished: Path,
            on_progress: OnProgress | None) -> int:
    """
    Copy page by page and return the number of memories.

    The reader holds a transaction: SQLite begins a copy anew whenever another process commits,
    but not then.
    """
    def tell(_: int, remaining: int, total: int) -> None:
        if on_progress:
            on_progress(total - remaining, total)

    try:
        with contextlib.closing(sqlite3.connect(unfinished, isolation_level=None)) as copy:
            copy.execute('PRAGMA synchronous = OFF')  # synced at the end, as a whole
            reader.backup(copy, pages=_PAGES_A_STEP, progress=tell)
            if (verdict := copy.execute('PRAGMA quick_check(1)').fetchone()[0]) != 'ok':
                raise damaged(source, verdict)
            return int(copy.execute('SELECT count(*) FROM memories').fetchone()[0])
    except sqlite3.OperationalError:
        raise  # the disk's
    except sqlite3.DatabaseError as error:
        raise damaged(source, error) from error


def _verified_anew(unfinished: Path, backup: Path, on_progress: OnProgress | None) -> int:
    """Bring it up to date, check all of it, and give it a generation of its own."""
    with Journal.open_existing_writer(unfinished, 'none') as journal:
        journal.renew_generation()
    report = check(unfinished, on_progress, only_damage=True)
    if not report.is_clean:
        raise JournalDamagedError(
            f'{backup} is damaged: {report.problems[0]}; restore another backup, or what can '
            'still be read: `spatial-rag memory restore --salvage`. Nothing was changed')
    return report.count
