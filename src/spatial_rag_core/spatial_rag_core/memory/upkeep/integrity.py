"""Whether a memory file holds what was written to it, to the last byte."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path
import sqlite3
import struct
from typing import Any

from spatial_rag_core.check_report import CheckReport
from spatial_rag_core.errors import JournalError, JournalUnavailableError
from spatial_rag_core.memory.file.high_water_mark import lost_of
from spatial_rag_core.memory.file.snapshot import OnProgress, require_file, snapshot
from spatial_rag_core.memory.file.writer_lock import noted
from spatial_rag_core.memory.tables.changes import entry_crc, FORGOTTEN, RELABELLED
from spatial_rag_core.memory.tables.damaged_rows import expected_count, lenient, sound_contexts
from spatial_rag_core.memory.tables.schema import (
    APPLICATION_ID,
    fixed_crc,
    JournalSpec,
    SCHEMA_VERSION,
    spec_of,
)
from spatial_rag_core.memory.upkeep.integrity_rows import check_memories

_LISTED = 20
_NUMBERS = ('generation', 'forgotten_count', 'changes_pruned_to')


def check(path: Path, on_progress: OnProgress | None = None,
          only_damage: bool = False) -> CheckReport:
    """
    Read a memory file through, at one moment, also while another process writes to it.

    Every memory, picture, context and change is compared with its check sum, latents and poses
    must be finite, H3 cells those of the positions, counts right, and SQLite's own
    integrity_check satisfied. A file of an older version has no check sums: SQLite's is all.
    only_damage: leave out what is as it was written, but should not have been written.
    Damage is reported, never raised. Raises JournalError where there is no file,
    JournalUnavailableError where it cannot be read now.
    """
    require_file(path)
    found = _Findings()
    count, mark = 0, noted(path)
    try:
        with snapshot(path, may_lack=True) as connection:
            if any(lost := lost_of(mark, connection)):
                found.add(f'it lacks its newest {lost.memories} memories and {lost.changes} '
                          'changes: its write-ahead log was damaged, cut or deleted')
            lenient(connection)
            count = _check_all(connection, path, found, on_progress or (lambda *_: None),
                               only_damage)
    except JournalUnavailableError:
        raise
    except (JournalError, sqlite3.DatabaseError) as error:
        found.add(f'it cannot be read: {error.__cause__ or error}')
    return CheckReport(count, found.told())


class _Findings:
    def __init__(self) -> None:
        self._first: list[str] = []
        self._more = 0

    def add(self, problem: str) -> None:
        if len(self._first) < _LISTED:
            self._first.append(problem)
        else:
            self._more += 1

    def told(self) -> tuple[str, ...]:
        more = [f'and {self._more} more'] if self._more else []
        return (*self._first, *more)


def _check_all(connection: sqlite3.Connection, path: Path, found: _Findings,
               on_progress: OnProgress, only_damage: bool) -> int:
    """Check one thing after the other, the next also where one cannot be read."""
    version, count = _check_head(connection, found), 0
    with _told('the file', found):
        for (verdict,) in connection.execute(f'PRAGMA integrity_check({_LISTED})').fetchall():
            if verdict != 'ok':
                found.add(f'SQLite: {verdict}')
    with _told('table memories', found):
        count = int(connection.execute('SELECT count(*) FROM memories').fetchone()[0])
    if version != SCHEMA_VERSION:
        on_progress(count, count)
        return count
    with _told('table changes', found):
        _check_changes(connection, found)
    contexts, spoiled = sound_contexts(connection)
    for number in spoiled:
        found.add(f'context {number} (session, robot, labels) is not what was written')
    with _told('table meta', found):
        if (spec := _checked_spec(connection, path, found)) is not None:
            with _told('table memories', found):
                count = check_memories(connection, path, spec, {*contexts, *spoiled}, found.add,
                                       on_progress, only_damage)
            _check_count(connection, count, found)
    return count


@contextlib.contextmanager
def _told(what: str, found: _Findings) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        found.add(f'{what} cannot be read: {error}')


def _check_head(connection: sqlite3.Connection, found: _Findings) -> int:
    if connection.execute('PRAGMA application_id').fetchone()[0] != APPLICATION_ID:
        found.add('it is an SQLite file, but not marked as a Spatial-RAG memory')
    version = int(connection.execute('PRAGMA user_version').fetchone()[0])
    if not 1 <= version <= SCHEMA_VERSION:
        found.add(f'it has schema version {version}, this software knows 1 to {SCHEMA_VERSION}')
    return version


def _checked_spec(connection: sqlite3.Connection, path: Path,
                  found: _Findings) -> JournalSpec | None:
    meta: dict[str, Any] = dict(connection.execute('SELECT key, value FROM meta').fetchall())
    for name in _NUMBERS:
        if not isinstance(meta.get(name), int):
            found.add(f'table meta: {name} is {meta.get(name)!r}, expected a number')
    try:
        is_sound = meta.get('crc') == fixed_crc(meta)
    except TypeError:  # a value became a blob
        is_sound = False
    if not is_sound:
        found.add(f'table meta is not what was written: {meta}')
        return None
    return spec_of(meta, path)


def _check_changes(connection: sqlite3.Connection, found: _Findings) -> None:
    expected, newest = _ends_of_changes(connection)
    for number, seq, kind, crc in connection.execute(
            'SELECT number, seq, kind, crc FROM changes ORDER BY number'):
        if number > expected:
            found.add(f'changes {expected} to {number - 1} are missing')
        expected = number + 1
        try:
            is_sound = kind in (FORGOTTEN, RELABELLED) and entry_crc(number, seq, kind) == crc
        except struct.error:
            is_sound = False
        if not is_sound:
            found.add(f'change {number} is not what was written')
    if newest >= expected:
        found.add(f'changes {expected} to {newest} are missing')


def _ends_of_changes(connection: sqlite3.Connection) -> tuple[int, int]:
    """Numbers of the first and the last entry; what is no number is told of table meta."""
    ends = connection.execute(
        "SELECT (SELECT value FROM meta WHERE key = 'changes_pruned_to'), "
        "(SELECT seq FROM sqlite_sequence WHERE name = 'changes')").fetchone()
    pruned_to, newest = (end if isinstance(end, int) else 0 for end in ends)
    return pruned_to + 1, newest


def _check_count(connection: sqlite3.Connection, count: int, found: _Findings) -> None:
    expected = expected_count(connection)
    if expected is None:
        found.add(f'it does not tell how many memories it should hold; {count} were found')
    elif expected != count:
        found.add(f'it should hold {expected} memories, {count} were found')
