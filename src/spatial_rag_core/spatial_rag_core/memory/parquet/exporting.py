"""Memories of a memory file into a Parquet file: see parquet/__init__.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import sqlite3

from spatial_rag_core.memory.file.snapshot import OnProgress, open_memory, snapshot
from spatial_rag_core.memory.file.translated_errors import damaged, translated
from spatial_rag_core.memory.file.whole_file import whole_or_not_at_all
from spatial_rag_core.memory.forgetting.selection import matching_seqs
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.parquet.layout import (
    layout,
    POSE_COLUMNS,
    REPEATING,
    ROWS_PER_GROUP,
)
from spatial_rag_core.memory.tables.contexts import Contexts
from spatial_rag_core.memory.tables.damaged_rows import expected_count
from spatial_rag_core.memory.tables.rows import (
    COLUMNS,
    Records,
    Row,
    unpacked,
    verified_details,
    verified_picture,
)
from spatial_rag_core.memory.tables.statement_parts import marks
from spatial_rag_core.records import MemorySelection

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq


def export_parquet(source: Path, target: Path, selection: MemorySelection | None = None,
                   with_thumbnails: bool = True, on_progress: OnProgress | None = None) -> int:
    """
    Write the memories that are selected, else all, and return their number.

    All are of one moment, also while another process writes to source; each is verified. The
    file appears once it is whole. Raises ConfigurationError where target exists, JournalError
    where there is no memory file, JournalDamagedError, JournalUnavailableError.
    """
    with open_memory(source) as journal:
        chosen = None if selection is None else matching_seqs(journal, selection).tolist()
        with (snapshot(source) as connection, whole_or_not_at_all(target) as unfinished):
            return _Export(connection, journal, with_thumbnails, on_progress).run(
                unfinished, chosen)


class _Export:
    def __init__(self, connection: sqlite3.Connection, journal: Journal, with_thumbnails: bool,
                 on_progress: OnProgress | None) -> None:
        self._connection = connection
        self._path = journal.path
        self._z_dim = journal.spec.z_dim
        self._with_thumbnails = with_thumbnails
        self._on_progress = on_progress
        self._contexts = Contexts(journal.path)
        self._schema = layout(journal.spec, journal.model_id, with_thumbnails)

    def run(self, target: Path, chosen: list[int] | None) -> int:
        """Write a row group for each batch."""
        count, total = 0, len(chosen) if chosen is not None else self._expected()
        with pq.ParquetWriter(target, self._schema, compression='zstd', use_dictionary=REPEATING,
                              write_page_checksum=True) as writer:
            for rows in self._all() if chosen is None else self._only(chosen):
                writer.write_batch(self._batch(rows))
                count += len(rows)
                if self._on_progress:
                    self._on_progress(count, max(total, count))
        if chosen is None and count != total:
            raise damaged(self._path, f'it should hold {total} memories, {count} were found')
        return count

    def _expected(self) -> int:
        with translated(self._path):
            if (count := expected_count(self._connection)) is None:
                raise damaged(self._path, 'it does not tell how many memories it should hold')
            return count

    def _all(self) -> Iterator[list[Row]]:
        seq = 0
        while rows := self._read('seq > ? ORDER BY seq LIMIT ?', [seq, ROWS_PER_GROUP]):
            yield rows
            seq = rows[-1][0]

    def _only(self, seqs: list[int]) -> Iterator[list[Row]]:
        for start in range(0, len(seqs), ROWS_PER_GROUP):
            part = seqs[start:start + ROWS_PER_GROUP]
            if rows := self._read(f'seq IN ({marks(part)}) ORDER BY seq', part):
                yield rows  # those that were forgotten since they were selected are left out

    def _read(self, condition: str, values: list[int]) -> list[Row]:
        picture, join = ('jpeg', 'LEFT JOIN thumbnails USING (seq)') if (
            self._with_thumbnails) else ('NULL', '')
        with translated(self._path):
            return self._connection.execute(f'SELECT {COLUMNS}, {picture} FROM memories {join} '
                                            f'WHERE {condition}', values).fetchall()

    def _batch(self, rows: list[Row]) -> pa.RecordBatch:
        for row in rows:
            verified_details(row, self._path)
        records = unpacked([(row[0], row[2]) for row in rows], self._z_dim, self._path)
        with translated(self._path):
            table = self._contexts.table(self._connection,
                                         np.unique(records['context']).tolist())
        contexts = [table[number] for number in records['context'].tolist()]
        columns = [pa.array([row[1] for row in rows]), *_records(records, self._z_dim),
                   _actions([row[3] for row in rows]), *_contexts(contexts)]
        if self._with_thumbnails:
            columns.append(pa.array([verified_picture(row, self._path) or None for row in rows],
                                    pa.binary()))
        return pa.record_batch(columns, schema=self._schema)


def _records(records: Records, z_dim: int) -> list[pa.Array]:
    pose = np.hstack([records['position'], records['orientation']])
    vectors = np.ascontiguousarray(records['vector'], np.float32)
    return [pa.array(np.ascontiguousarray(records['timestamp'], np.float64)),
            *(pa.array(np.ascontiguousarray(pose[:, n])) for n in range(len(POSE_COLUMNS))),
            pa.array([f'{cell:x}' if cell else '' for cell in records['cell'].tolist()]),
            pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), z_dim)]


def _actions(actions: list[bytes]) -> pa.Array:
    ends = np.cumsum([0, *(len(action) // 4 for action in actions)])
    values = np.frombuffer(b''.join(actions), '<f4').astype(np.float32)
    return pa.ListArray.from_arrays(pa.array(ends, pa.int32()), pa.array(values))


def _contexts(contexts: list[Context]) -> list[pa.Array]:
    return [*(pa.array([context[n] for context in contexts], pa.string()) for n in range(3)),
            pa.array([context.labels for context in contexts], pa.list_(pa.string()))]
