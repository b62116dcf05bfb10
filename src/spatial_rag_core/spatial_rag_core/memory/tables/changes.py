"""The change log: what happened to memories after they were stored, for those who follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import sqlite3
import struct
from typing import NamedTuple
from zlib import crc32

from spatial_rag_core.memory.file.translated_errors import damaged
from spatial_rag_core.memory.tables.schema import last_number
from spatial_rag_core.memory.tables.statement_parts import marks, parts

import numpy as np
from numpy.typing import NDArray

FORGOTTEN = 1
RELABELLED = 2
KEPT_CHANGES = 1_000_000
"""Entries that the log keeps; who lags more than these behind has to start again."""

_RECENT = 10_000
_ENTRY = struct.Struct('<qqq')


class Changes(NamedTuple):
    """
    What happened to memories, up to and with the entry `last`.

    forgotten, relabelled: sequence numbers, int64 [n] and [m], ascending and each once. A memory
    that was relabelled and then forgotten may be in both.
    """

    last: int
    forgotten: NDArray[np.int64]
    relabelled: NDArray[np.int64]


def log_changes(connection: sqlite3.Connection, path: Path, seqs: Sequence[int], kind: int,
                kept: int = KEPT_CHANGES) -> None:
    """Append an entry for each memory and prune the log; the caller holds a transaction."""
    first = last_number(connection, path, 'changes') + 1
    connection.executemany('INSERT INTO changes (number, seq, kind, crc) VALUES (?, ?, ?, ?)', [
        (number, seq, kind, entry_crc(number, seq, kind))
        for number, seq in enumerate(seqs, first)])
    pruned_to = first + len(seqs) - 1 - kept
    if pruned_to > 0 and connection.execute(
            'DELETE FROM changes WHERE number <= ?', (pruned_to,)).rowcount:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'changes_pruned_to'",
                           (pruned_to,))


def changes_after(connection: sqlite3.Connection, path: Path, number: int,
                  limit: int) -> Changes | None:
    """Read at most `limit` entries; None where some were pruned. The caller holds a snapshot."""
    newest = last_number(connection, path, 'changes')
    if not _pruned_to(connection, path) <= number <= newest:
        return None
    rows = connection.execute(
        'SELECT number, seq, kind, crc FROM changes WHERE number > ? ORDER BY number LIMIT ?',
        (number, limit)).fetchall()
    _require_sound(rows, path, number, min(limit, newest - number))
    return Changes(number + len(rows), _seqs(rows, FORGOTTEN), _seqs(rows, RELABELLED))


def never_forgotten(connection: sqlite3.Connection, path: Path, seqs: set[int]) -> set[int]:
    """
    Those of the memories that are gone though nobody forgot them, as far as the log tells.

    The caller holds a snapshot. The newest entries are searched first: who still asks for a
    memory that was forgotten has most often just missed it.
    """
    newest = last_number(connection, path, 'changes')
    for after in (newest - _RECENT, 0):
        for part in parts(sorted(seqs)):
            seqs = seqs - {row[0] for row in connection.execute(
                f'SELECT seq FROM changes WHERE number > ? AND kind = {FORGOTTEN} '
                f'AND seq IN ({marks(part)})', (after, *part))}
    return set() if seqs and _pruned_to(connection, path) else seqs


def _pruned_to(connection: sqlite3.Connection, path: Path) -> int:
    row = connection.execute("SELECT value FROM meta WHERE key = 'changes_pruned_to'").fetchone()
    if row is None or not isinstance(row[0], int):
        raise damaged(path, f'its change log was pruned to {row and row[0]!r}')
    return row[0]


def _require_sound(rows: list[tuple[int, int, int, int]], path: Path, after: int,
                   expected: int) -> None:
    if [row[0] for row in rows] != list(range(after + 1, after + 1 + expected)):
        raise damaged(path, f'entries of its change log after {after} are missing')
    for entry, seq, kind, crc in rows:
        try:
            is_sound = kind in (FORGOTTEN, RELABELLED) and entry_crc(entry, seq, kind) == crc
        except struct.error:
            is_sound = False
        if not is_sound:
            raise damaged(path, f'entry {entry} of its change log is not what was written')


def _seqs(rows: list[tuple[int, int, int, int]], kind: int) -> NDArray[np.int64]:
    return np.array(sorted({row[1] for row in rows if row[2] == kind}), np.int64)


def entry_crc(number: int, seq: int, kind: int) -> int:
    """Check sum of an entry."""
    return crc32(_ENTRY.pack(number, seq, kind))
