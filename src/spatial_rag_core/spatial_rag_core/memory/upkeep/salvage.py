"""What can still be read of a damaged memory file, into a new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
from dataclasses import dataclass
from pathlib import Path
import sqlite3
from typing import Any

from spatial_rag_core.errors import JournalDamagedError
from spatial_rag_core.memory.file.high_water_mark import lost_of
from spatial_rag_core.memory.file.snapshot import OnProgress
from spatial_rag_core.memory.file.translated_errors import translated
from spatial_rag_core.memory.file.writer_lock import noted
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.bulk_append import BulkAppender, MemoryColumns
from spatial_rag_core.memory.tables.damaged_rows import (
    DamagedTable,
    expected_count,
    last_seq,
    lenient,
    Row,
    sound_contexts,
)
from spatial_rag_core.memory.tables.rows import (
    COLUMNS,
    is_sound,
    picture_crc,
    record_type,
    verified_details,
)
from spatial_rag_core.memory.tables.schema import read_meta, require_current, spec_of

import numpy as np

_PICTURES_AT_ONCE = 200


@dataclass(frozen=True)
class RestoreReport:
    """
    Memories written to the new file, and memories lost.

    pictures_lost: memories among the written whose picture could not be read.
    is_lost_exact: False where the file does not tell any more how many there were; there may
    then be more or fewer lost.
    """

    written: int
    lost: int
    pictures_lost: int = 0
    is_lost_exact: bool = True


def salvage_into(source: Path, unfinished: Path,
                 on_progress: OnProgress | None = None) -> RestoreReport:
    """
    Write a new memory file with all memories of a damaged one that are as they were written.

    They stay in order; sequence numbers and generation are new. A memory whose session, robot
    and labels were lost gets the session `lost-N`, the same for all that shared them.
    Raises JournalDamagedError where the file does not even tell what it holds.
    """
    mark = noted(source)
    with _opened(source) as connection, translated(source):
        require_current(connection, source)
        meta = read_meta(connection, source)
        last = last_seq(connection, source)
        with Journal.open_writer(unfinished, spec_of(meta, source), 'none') as journal:
            done = _Salvage(connection, journal, meta)
            done.run(last, on_progress)
        expected, gone = expected_count(connection), lost_of(mark, connection)
    if expected is None or expected < done.written:
        return RestoreReport(done.written, done.lost + gone.memories, done.pictures_lost,
                             is_lost_exact=False)
    # Among the changes that are gone, some may have forgotten what is written again now.
    return RestoreReport(done.written, expected - done.written + gone.memories,
                         done.pictures_lost, is_lost_exact=not gone.changes)


@contextlib.contextmanager
def _opened(source: Path) -> Iterator[sqlite3.Connection]:
    with translated(source), contextlib.closing(sqlite3.connect(
            f'{source.resolve().as_uri()}?mode=ro', uri=True, isolation_level=None)) as connection:
        connection.execute('PRAGMA writable_schema = ON')  # or a file cut short is refused
        lenient(connection)
        yield connection


class _Salvage:
    """One run, and its counts."""

    def __init__(self, connection: sqlite3.Connection, journal: Journal,
                 meta: Mapping[str, Any]) -> None:
        self._journal = journal
        self._memories = DamagedTable(connection, 'memories', 'seq', COLUMNS)
        self._thumbnails = DamagedTable(connection, 'thumbnails', 'seq', 'seq, jpeg')
        self._contexts = sound_contexts(connection)[0]
        self._appender = BulkAppender(journal, str(meta.get('model_id', '')))
        self._spoiled = 0
        self.written = 0
        self.pictures_lost = 0

    @property
    def lost(self) -> int:
        """Memories that were seen and not saved, and keys where there may have been one."""
        return self._spoiled + self._memories.lost_keys

    def run(self, last: int, on_progress: OnProgress | None) -> None:
        """Save the memories up to `last`."""
        newest = 0
        for rows in self._memories.rows(1, last):
            sound = [row for row in rows if row[0] > newest and self._is_whole(row)]
            self._spoiled += len(rows) - len(sound)
            if sound:
                newest = sound[-1][0]
                self.written += self._appender.append(self._columns(sound))
            if on_progress:
                on_progress(min(rows[-1][0], last), last)

    def _is_whole(self, row: Row) -> bool:
        try:
            verified_details(row, self._journal.path)
        except JournalDamagedError:
            return False
        return is_sound(row[0], row[2], self._journal.spec.z_dim)

    def _columns(self, rows: list[Row]) -> MemoryColumns:
        records = np.frombuffer(b''.join(row[2] for row in rows),
                                record_type(self._journal.spec.z_dim))
        pictures = self._pictures(rows)
        self.pictures_lost += sum(row[4] is not None and row[0] not in pictures for row in rows)
        return MemoryColumns(
            records, [row[1] for row in rows], [row[3] for row in rows],
            [self._contexts.get(number, Context(f'lost-{number}'))
             for number in records['context'].tolist()],
            [pictures.get(row[0], b'') for row in rows])

    def _pictures(self, rows: list[Row]) -> dict[int, bytes]:
        """Pictures by number of the memory, those that are as they were written."""
        expected = {row[0]: row[4] for row in rows if row[4] is not None}
        if not expected:
            return {}
        parts = self._thumbnails.rows(min(expected), max(expected), _PICTURES_AT_ONCE)
        return {seq: jpeg for part in parts for seq, jpeg in part
                if isinstance(jpeg, bytes) and picture_crc(seq, jpeg) == expected.get(seq)}
