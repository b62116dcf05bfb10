"""The memories of a memory file, as they are read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
import sqlite3

from spatial_rag_core.memory.file.connection import Connection
from spatial_rag_core.memory.file.translated_errors import damaged, parsed
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.memory.tables.changes import never_forgotten
from spatial_rag_core.memory.tables.contexts import Contexts
from spatial_rag_core.memory.tables.rows import (
    COLUMNS,
    index_rows,
    memory_from_record,
    Records,
    Row,
    unpacked,
    verified_details,
    verified_picture,
)
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.memory.tables.state import JournalState
from spatial_rag_core.memory.tables.statement_parts import marks, parts
from spatial_rag_core.records import Memory

import numpy as np


@dataclass(frozen=True)
class JournalStats:
    """Figures of a memory file; timestamps are Unix times [s], None where it is empty."""

    count: int
    last_seq: int
    session_count: int
    oldest: float | None
    newest: float | None
    file_size_bytes: int


class JournalContent(JournalState):
    """
    The part of a Journal that reads memories; all rows are verified.

    Raises JournalUnavailableError where the file cannot be read now, JournalDamagedError where
    it does not hold what was written.
    """

    def __init__(self, path: Path, connection: Connection, spec: JournalSpec) -> None:
        super().__init__(path, connection, spec)
        self._contexts = Contexts(path)

    def records_after(self, seq: int, limit: int = 10_000) -> Records:
        """Records of the next memories after `seq`, in order: see rows.record_type."""
        # int: SQLite would take a NumPy number for a BLOB, which no number exceeds
        with self._reading() as connection:
            rows = connection.execute('SELECT seq, record FROM memories WHERE seq > ? '
                                      'ORDER BY seq LIMIT ?', (int(seq), limit)).fetchall()
        return unpacked(rows, self.spec.z_dim, self.path, after=seq)

    def records(self, seqs: Sequence[int]) -> Records:
        """Records of these memories, in order of number; those that are gone are left out."""
        rows: list[Row] = []
        wanted = sorted(set(map(int, seqs)))
        with self.snapshot(), self._reading() as connection:
            for part in parts(wanted):
                rows += connection.execute('SELECT seq, record FROM memories WHERE seq IN '
                                           f'({marks(part)}) ORDER BY seq', part).fetchall()
            self._require_forgotten({*wanted}.difference(row[0] for row in rows))
        return unpacked(rows, self.spec.z_dim, self.path, after=wanted[0] - 1 if wanted else 0)

    def _require_forgotten(self, lacking: set[int]) -> None:
        """Raise JournalDamagedError where one of them is gone though nobody forgot it."""
        if lacking and (given := {seq for seq in lacking if 0 < seq <= self.last_seq}):
            with self._reading() as connection:
                if lost := never_forgotten(connection, self.path, given):
                    raise damaged(self.path, f'memory {min(lost)} is gone, and nobody forgot it')

    @staticmethod
    def _there(connection: sqlite3.Connection, seqs: Sequence[int]) -> list[int]:
        """Those of the sequence numbers that there are, ascending and each once."""
        return [row[0] for part in parts(sorted(set(map(int, seqs)))) for row in
                connection.execute(f'SELECT seq FROM memories WHERE seq IN ({marks(part)}) '
                                   'ORDER BY seq', part)]

    def index_rows_after(self, seq: int, limit: int = 10_000) -> IndexRows:
        """What an index needs of the next memories after `seq`, in order."""
        return self._as_index_rows(self.records_after(seq, limit))

    def index_rows(self, seqs: Sequence[int]) -> IndexRows:
        """What an index needs of these memories; those that are gone are left out."""
        return self._as_index_rows(self.records(seqs))

    def _as_index_rows(self, records: Records) -> IndexRows:
        return index_rows(records, self.contexts(np.unique(records['context']).tolist()))

    def contexts(self, numbers: Iterable[int]) -> Mapping[int, Context]:
        """All contexts that are known, these among them."""
        with self._reading() as connection:
            return self._contexts.table(connection, numbers)

    @property
    def newest_seq(self) -> int:
        """Number of the memory that was stored last, of those that are left; 0: none."""
        with self._reading() as connection:
            return int(connection.execute('SELECT MAX(seq) FROM memories').fetchone()[0] or 0)

    def get(self, seqs: Sequence[int], with_thumbnails: bool = True) -> dict[int, Memory]:
        """Whole memories by sequence number; those that are gone are left out."""
        found: dict[int, Memory] = {}
        with self.snapshot(), self._reading() as connection, parsed(self.path):
            for part in parts([int(seq) for seq in seqs]):
                picture, join = ('jpeg', 'LEFT JOIN thumbnails USING (seq)') if (
                    with_thumbnails) else ('NULL', '')
                rows = connection.execute(f'SELECT {COLUMNS}, {picture} FROM memories {join} '
                                          f'WHERE seq IN ({marks(part)})', part).fetchall()
                found.update(self._memories(rows, with_thumbnails))
            self._require_forgotten({int(seq) for seq in seqs}.difference(found))
        return found

    def _memories(self, rows: list[Row], with_thumbnails: bool) -> dict[int, Memory]:
        for row in rows:
            verified_details(row, self.path)
        rows.sort()
        records = unpacked([(row[0], row[2]) for row in rows], self.spec.z_dim, self.path)
        contexts = self.contexts(records['context'].tolist())
        model_id = self.model_id or ''
        return {row[0]: memory_from_record(
            record, row[1], row[3], contexts[int(record['context'])], model_id,
            verified_picture(row, self.path) if with_thumbnails else b'')
            for row, record in zip(rows, records, strict=True)}

    def seqs_of(self, ids: Sequence[str], thorough: bool = True) -> dict[str, int]:
        """
        Sequence numbers of memories by their ids; those that are gone are left out.

        thorough: an id that the index of ids does not know is looked for in the memories
        themselves, lest damage of the index pass for its absence: 0.2 s for a million memories.
        Who asks for many that may not be there says False.
        """
        with self.snapshot(), self._reading() as connection:  # or one may come in between
            found = {row[1]: row[0] for row in self._rows_of(ids)}
            if thorough and (lacking := list(set(ids) - found.keys())):
                for part in parts(lacking):
                    if row := connection.execute('SELECT seq FROM memories NOT INDEXED WHERE id '
                                                 f'IN ({marks(part)})', part).fetchone():
                        raise damaged(self.path, f'its index of ids has lost memory {row[0]}')
        return found

    def _rows_of(self, ids: Sequence[str]) -> Iterator[Row]:
        """Verified rows of COLUMNS: an id in the index alone could be damaged."""
        with self._reading() as connection:
            for part in parts(list(ids)):
                for row in connection.execute(f'SELECT {COLUMNS} FROM memories '
                                              f'WHERE id IN ({marks(part)})', part).fetchall():
                    verified_details(row, self.path)
                    yield row

    def stats(self) -> JournalStats:
        """Count the file through; takes a second for a million memories."""
        with self.snapshot():
            count, seq, oldest, newest, contexts = 0, 0, np.inf, -np.inf, set[int]()
            while len(records := self.records_after(seq)):
                count, seq = count + len(records), int(records['seq'][-1])
                oldest = min(oldest, float(records['timestamp'].min()))
                newest = max(newest, float(records['timestamp'].max()))
                contexts |= set(np.unique(records['context']).tolist())
            self.require_all(count)
            table = self.contexts(contexts)
            return JournalStats(
                count, self.last_seq, len({table[number].session for number in contexts}),
                oldest if count else None, newest if count else None, self.file_size_bytes)
