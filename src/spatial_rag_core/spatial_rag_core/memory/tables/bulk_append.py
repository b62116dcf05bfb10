"""Many memories into a memory file at once, as columns; exact to the bit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import sqlite3

from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.contexts import Contexts
from spatial_rag_core.memory.tables.rows import (
    INSERT,
    packed,
    picture_crc,
    Records,
    row_crc,
)
from spatial_rag_core.memory.tables.schema import fixed_crc, read_meta


@dataclass(frozen=True, eq=False)
class MemoryColumns:
    """
    N memories, checked already.

    records: see rows.record_type; seq, context and crc do not matter.  actions: float32,
    little-endian, or empty.  pictures: JPEG, or empty.
    """

    records: Records
    ids: Sequence[str]
    actions: Sequence[bytes]
    contexts: Sequence[Context]
    pictures: Sequence[bytes]


class BulkAppender:
    """Appends to a journal that is open for writing; model_id: the author of all latents."""

    def __init__(self, journal: Journal, model_id: str) -> None:
        journal.require_model(model_id)
        self._journal = journal
        self._model_id = model_id
        self._contexts = Contexts(journal.path)
        self._all_seem_new = True

    def append(self, columns: MemoryColumns) -> int:
        """Store those whose id is not there yet, in one transaction, and return their number."""
        with self._journal.transaction() as connection:
            self._claim(connection)
            if self._all_seem_new and self._insert_all(connection, columns):
                return len(columns.ids)
            there = self._journal.seqs_of(columns.ids, thorough=False)
            first = {memory_id: index for index, memory_id in reversed(
                list(enumerate(columns.ids))) if memory_id not in there}
            self._insert(connection, columns, chosen := sorted(first.values()))
        return len(chosen)

    def _insert_all(self, connection: sqlite3.Connection, columns: MemoryColumns) -> bool:
        """Store all without looking for their ids first; False, and none, where one is there."""
        connection.execute('SAVEPOINT bulk')
        try:
            self._insert(connection, columns, list(range(len(columns.ids))))
        except sqlite3.IntegrityError:
            connection.execute('ROLLBACK TO bulk')
            self._contexts.forget_all()
            self._all_seem_new = False
        connection.execute('RELEASE bulk')
        return self._all_seem_new

    def _claim(self, connection: sqlite3.Connection) -> None:
        """Write the author of the latents into a file that has none."""
        if self._journal.model_id is None:
            meta = {**read_meta(connection, self._journal.path), 'model_id': self._model_id}
            connection.executemany('INSERT OR REPLACE INTO meta VALUES (?, ?)', [
                ('model_id', self._model_id), ('crc', fixed_crc(meta))])

    def _insert(self, connection: sqlite3.Connection, columns: MemoryColumns,
                chosen: list[int]) -> None:
        """Store the memories at these indices."""
        first = self._journal.last_seq + 1
        numbers = {context: self._contexts.number(connection, context)
                   for context in dict.fromkeys(columns.contexts)}
        records = columns.records[chosen]
        records['seq'] = range(first, first + len(chosen))
        records['context'] = [numbers[columns.contexts[index]] for index in chosen]
        pictures = {seq: columns.pictures[index]
                    for seq, index in enumerate(chosen, first) if columns.pictures[index]}
        connection.executemany(INSERT, (
            _values(seq, columns.ids[index], blob, columns.actions[index],
                    pictures.get(seq, b''))
            for seq, index, blob in zip(range(first, first + len(chosen)), chosen,
                                        packed(records), strict=True)))
        connection.executemany('INSERT INTO thumbnails VALUES (?, ?)', pictures.items())


def _values(seq: int, memory_id: str, record: bytes, action: bytes, jpeg: bytes) -> tuple[
        int, str, bytes, bytes, int | None, int]:
    picture = picture_crc(seq, jpeg)
    return seq, memory_id, record, action, picture, row_crc(seq, memory_id, action, picture)
