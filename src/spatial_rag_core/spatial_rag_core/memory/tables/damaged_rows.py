"""Rows of a damaged table: all that can be read, and which cannot."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
from pathlib import Path
import sqlite3
from typing import Any

from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.tables.contexts import context_values

Row = tuple[Any, ...]

_KEYS_AT_ONCE = 1000
_LEAST_BYTES = 128  # of a memory in a file
_HOPELESS = 1_000_000
"""Keys in a row that cannot be read, after which nothing more is looked for."""


class DamagedTable:
    """
    A table that is read around its damaged pages.

    A page that SQLite refuses costs only the rows on it and, where it leads to other pages, the
    rows on these. columns, key: SQL; key is the table's INTEGER PRIMARY KEY.
    """

    def __init__(self, connection: sqlite3.Connection, table: str, key: str,
                 columns: str) -> None:
        self._connection = connection
        self._range = (f'SELECT {columns} FROM {table} WHERE {key} BETWEEN ? AND ? '
                       f'ORDER BY {key}')
        self._one = f'SELECT {columns} FROM {table} WHERE {key} = ?'  # does not look at the next
        self._next = f'SELECT {key} FROM {table} WHERE {key} >= ? ORDER BY {key} LIMIT 1'
        self.lost: list[tuple[int, int]] = []
        """First and last of keys that cannot be read, ascending; not each need have a row."""

    @property
    def lost_keys(self) -> int:
        """How many keys cannot be read."""
        return sum(high - low + 1 for low, high in self.lost)

    def rows(self, first: int, last: int, at_once: int = _KEYS_AT_ONCE) -> Iterator[list[Row]]:
        """Rows with keys first to last, ascending, in parts of at most at_once keys."""
        low = first
        while low <= last and not self._is_hopeless(low):
            high = min(low + at_once - 1, last)
            found = False
            for rows in self._halved(low, high):
                found = True
                yield rows
            low = high + 1 if found or self._is_lost(high) else self._next_key(high + 1, last)

    def _halved(self, low: int, high: int) -> Iterator[list[Row]]:
        rows = self._read(low, high)
        if rows is None:
            middle = (low + high) // 2
            yield from self._halved(low, middle)
            yield from self._halved(middle + 1, high)
        elif rows:
            yield rows

    def _read(self, low: int, high: int) -> list[Row] | None:
        """Rows; None where these keys must be halved to tell which of them can be read."""
        try:
            if low == high:
                return self._connection.execute(self._one, (low,)).fetchall()
            return self._connection.execute(self._range, (low, high)).fetchall()
        except (sqlite3.Error, OverflowError):
            if low < high:
                return None
        if self._is_lost(low - 1):
            self.lost[-1] = (self.lost[-1][0], low)
        else:
            self.lost.append((low, low))
        return []

    def _is_lost(self, key: int) -> bool:
        return bool(self.lost) and self.lost[-1][1] == key

    def _is_hopeless(self, low: int) -> bool:
        return self._is_lost(low - 1) and low - self.lost[-1][0] >= _HOPELESS

    def _next_key(self, low: int, last: int) -> int:
        """Lowest key from there on; `low` itself where it cannot be read."""
        try:
            row = self._connection.execute(self._next, (low,)).fetchone()
        except sqlite3.Error:
            return low
        return last + 1 if row is None else int(row[0])


def lenient(connection: sqlite3.Connection) -> None:
    """Let it read on where text is no UTF-8; check sums tell what such a row is worth."""
    connection.text_factory = lambda raw: raw.decode('utf-8', 'replace')


def sound_contexts(connection: sqlite3.Connection) -> tuple[dict[int, Context], list[int]]:
    """Contexts by their numbers, those that are as they were written; and the other numbers."""
    table = DamagedTable(connection, 'contexts', 'id',
                         'id, session, robot, map_id, labels, crc')
    found, spoiled = dict[int, Context](), list[int]()
    for part in table.rows(1, _number(connection, 'SELECT max(id) FROM contexts') or 100):
        for number, session, robot, map_id, labels, crc in part:
            with contextlib.suppress(AttributeError, TypeError, ValueError):
                context = Context(session, robot, map_id, tuple(json.loads(labels)))
                if context_values(number, context)[-1] == crc:
                    found[number] = context
            if number not in found:
                spoiled.append(number)
    return found, spoiled + [low for low, _ in table.lost]


def last_seq(connection: sqlite3.Connection, path: Path) -> int:
    """Highest sequence number that may be there; a guess from the size where nothing tells."""
    told = [_number(connection, query) for query in (
        'SELECT max(seq) FROM memories', 'SELECT max(seq) FROM thumbnails',
        "SELECT seq FROM sqlite_sequence WHERE name = 'memories'")]
    return max((number for number in told if number), default=(
        path.stat().st_size // _LEAST_BYTES))


def expected_count(connection: sqlite3.Connection) -> int | None:
    """How many memories there should be; None where the file does not tell any more."""
    last = _number(connection, "SELECT seq FROM sqlite_sequence WHERE name = 'memories'")
    forgotten = _number(connection, "SELECT value FROM meta WHERE key = 'forgotten_count'")
    if last is None and _number(connection, 'SELECT count(*) FROM memories') == 0:
        return 0
    return None if last is None or forgotten is None else last - forgotten


def _number(connection: sqlite3.Connection, query: str) -> int | None:
    try:
        row = connection.execute(query).fetchone()
    except sqlite3.Error:
        return None
    return row[0] if row is not None and isinstance(row[0], int) else None
