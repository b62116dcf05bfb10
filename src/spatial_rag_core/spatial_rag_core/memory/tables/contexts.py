"""The contexts of a memory file: what many memories share, stored once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
import json
from pathlib import Path
import sqlite3
from typing import Any
from zlib import crc32

from spatial_rag_core.memory.file.translated_errors import damaged
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.tables.statement_parts import marks, parts
from spatial_rag_core.records import Memory

_COLUMNS = 'id, session, robot, map_id, labels, crc'


class Contexts:
    """
    The table `contexts`, as far as it was needed.

    A context never changes, so that what was read once stays true; `forget_all` after a
    transaction that was rolled back.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._table: dict[int, Context] = {}
        self._numbers: dict[Context, int] = {}

    def forget_all(self) -> None:
        """Know nothing any more."""
        self._table, self._numbers = {}, {}

    def table(self, connection: sqlite3.Connection, numbers: Iterable[int]) -> Mapping[
            int, Context]:
        """Return all contexts known, these among them; raises JournalDamagedError."""
        if lacking := set(numbers) - self._table.keys():
            for part in parts(sorted(lacking)):
                self._learn(connection.execute(
                    f'SELECT {_COLUMNS} FROM contexts WHERE id IN ({marks(part)})',
                    part).fetchall())
            if gone := lacking - self._table.keys():
                raise damaged(self._path, f'context {min(gone)} is gone')
        return self._table

    def number(self, connection: sqlite3.Connection, context: Context) -> int:
        """Return its number, stored under a new one where it has none; in a transaction."""
        if context not in self._numbers:
            row = context_values(0, context)
            self._learn(connection.execute(
                f'SELECT {_COLUMNS} FROM contexts WHERE session = ? AND robot = ? AND '
                'map_id = ? AND labels = ?', row[1:5]).fetchall())
        if context not in self._numbers:
            [newest] = connection.execute('SELECT max(id) FROM contexts').fetchone()
            row = context_values((newest or 0) + 1, context)
            connection.execute(f'INSERT INTO contexts ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)', row)
            self._learn([row])
        return self._numbers[context]

    def _learn(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Take in rows, verified; into a new table, as the old one may be in other hands."""
        table = dict(self._table)
        for row in rows:
            try:
                session, robot, map_id, labels = row[1:5]
                context = Context(session, robot, map_id, tuple(json.loads(labels)))
                is_sound = context_values(row[0], context) == row
            except (AttributeError, TypeError, ValueError):
                is_sound = False
            if not is_sound:
                raise damaged(self._path, f'context {row[0]} is not what was written')
            table[row[0]] = context
            self._numbers[context] = row[0]
        self._table = table


def context_of(memory: Memory) -> Context:
    """What the memory shares with others."""
    return Context(memory.session, memory.robot, memory.map_id, tuple(memory.labels))


def context_values(number: int, context: Context) -> tuple[int, str, str, str, str, int]:
    """Return the row of `contexts`, its check sum last."""
    words = (context.session, context.robot, context.map_id, json.dumps(context.labels))
    return (number, *words, crc32(json.dumps([number, *words]).encode()))
