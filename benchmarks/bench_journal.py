"""
What do durable memories cost? One JSON line for each question, each with its peer.

The peers are bare SQLite tables of the same bytes, opened alike and measured in turn, and `cp`.
Files lie in the folder for temporary files (TMPDIR); "cold" is a reader that has read nothing
yet, while the file is in the system's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
import json
from pathlib import Path
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time

from spatial_rag_core.memory.forgetting.forget import forget
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.journal import Durability, Journal
from spatial_rag_core.memory.parquet import export_parquet, import_parquet
from spatial_rag_core.memory.tables.bulk_append import BulkAppender, MemoryColumns
from spatial_rag_core.memory.tables.cell_numbers import cell_numbers
from spatial_rag_core.memory.tables.rows import record_type
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.memory.upkeep.backup import backup
from spatial_rag_core.memory.upkeep.integrity import check
from spatial_rag_core.records import as_action, as_latent, Memory, MemorySelection, Pose, Position

import numpy as np

SPEC = JournalSpec()
PICTURE_BYTES = 2300
COMMITS, WARM_UP = 200, 20
BULK, MANY, WITH_PICTURES, BATCH = 100_000, 1_000_000, 20_000, 10_000
RATE_HZ, STAMPED, POLL_SEC, LAG_LIMIT_MS = 20, 160, 0.010, 50.0
RECORD_BYTES = record_type(SPEC.z_dim).itemsize

WRITER = f"""
import sys, time
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose, Position
with Journal.open_writer(sys.argv[1], JournalSpec()) as journal:
    start = time.monotonic()
    for n in range({STAMPED}):
        time.sleep(max(0.0, start + n / {RATE_HZ} - time.monotonic()))
        journal.append([Memory(f'{{n:026}}', as_latent([0.0] * 32), Pose(Position(n, 0)),
                               '8d754e64992d6ff', time.time(), 'model',
                               thumbnail=bytes({PICTURE_BYTES}))])
"""


def tell(question: str, **facts: object) -> None:
    print(json.dumps({'question': question, **facts}), flush=True)


def percentiles_ms(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return {'p50_ms': round(p50, 4), 'p99_ms': round(p99, 4)}


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def memories(count: int, picture_bytes: int) -> list[Memory]:
    chance = np.random.default_rng(0)
    places = np.zeros((count, 3))
    places[:, :2] = chance.uniform(-100, 100, (count, 2))
    cells = cell_numbers(SPEC, places[:, :2]).tolist()
    action = as_action([0.1, 0.2])
    return [Memory(f'{n:026}', as_latent(z), Pose(Position(*place)), f'{cell:x}', n / 20, 'model',
                   action, 'session', 'robot', thumbnail=chance.bytes(picture_bytes))
            for n, (z, place, cell) in enumerate(zip(
                chance.normal(size=(count, SPEC.z_dim)), places.tolist(), cells, strict=True))]


def columns(count: int) -> Iterator[MemoryColumns]:
    """Memories without pictures, many of them fast."""
    chance = np.random.default_rng(0)
    for start in range(0, count, BATCH):
        records = np.zeros(BATCH, record_type(SPEC.z_dim))
        records['position'][:, :2] = chance.uniform(-250, 250, (BATCH, 2))
        records['orientation'][:, 3] = 1.0
        records['vector'] = chance.normal(size=(BATCH, SPEC.z_dim))
        records['timestamp'] = np.arange(start, start + BATCH) / 20
        records['cell'] = cell_numbers(SPEC, records['position'][:, :2])
        yield MemoryColumns(records, [f'{n:026}' for n in range(start, start + BATCH)],
                            BATCH * [bytes(8)], BATCH * [Context('session', 'robot')],
                            BATCH * [b''])


class BareTable:
    """What SQLite itself takes for rows of the same bytes."""

    def __init__(self, path: Path, synchronous: str = 'NORMAL') -> None:
        self._sql = sqlite3.connect(path, isolation_level=None)
        self._sql.executescript(
            f'PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; '
            f'PRAGMA synchronous = {synchronous}; '
            'CREATE TABLE rows (seq INTEGER PRIMARY KEY, id TEXT UNIQUE, record BLOB, '
            'action BLOB, jpeg BLOB)')

    def append(self, rows: list[tuple[object, ...]]) -> None:
        self._sql.execute('BEGIN IMMEDIATE')
        self._sql.executemany('INSERT INTO rows (id, record, action, jpeg) VALUES (?, ?, ?, ?)',
                              rows)
        self._sql.execute('COMMIT')

    def close(self) -> None:
        self._sql.close()


def bare_rows(some: list[Memory]) -> list[tuple[object, ...]]:
    return [(one.id, bytes(RECORD_BYTES), bytes(8), one.thumbnail) for one in some]


def bench_commits(folder: Path, durability: Durability, group: int) -> None:
    some = memories((WARM_UP + COMMITS) * group, PICTURE_BYTES)
    bare = BareTable(folder / 'bare.db', {'process': 'NORMAL', 'power': 'FULL'}[durability])
    times: dict[str, list[float]] = {'journal': [], 'bare_sqlite': []}
    with Journal.open_writer(folder / 'memory.db', SPEC, durability) as journal:
        for start in range(0, len(some), group):
            part = some[start:start + group]
            rows = bare_rows(part)
            times['journal'].append(timed(lambda part=part: journal.append(part)))
            times['bare_sqlite'].append(timed(lambda rows=rows: bare.append(rows)))
    bare.close()
    tell(f'append {group} per commit, durability {durability}', commits=COMMITS,
         thumbnail_bytes=PICTURE_BYTES,
         **{name: percentiles_ms(values[WARM_UP:]) for name, values in times.items()})


def bench_bulk(folder: Path) -> None:
    some = memories(BULK, 0)
    bare, seconds = BareTable(folder / 'bare.db'), {}
    parts = [some[start:start + BATCH] for start in range(0, BULK, BATCH)]
    with Journal.open_writer(folder / 'memory.db', SPEC) as journal:
        seconds['append'] = timed(lambda: [journal.append(part) for part in parts])
    rows = [bare_rows(part) for part in parts]
    seconds['bare_sqlite_executemany'] = timed(lambda: [bare.append(part) for part in rows])
    bare.close()
    table = folder / 'memories.parquet'
    seconds['export_parquet'] = timed(lambda: export_parquet(folder / 'memory.db', table))
    seconds['import_parquet'] = timed(lambda: import_parquet(table, folder / 'again.db'))
    tell('bulk import without pictures', memories=BULK,
         parquet_bytes_per_memory=round(table.stat().st_size / BULK, 1),
         **{f'{name}_per_sec': round(BULK / value) for name, value in seconds.items()})


def bench_cold_read(path: Path) -> None:
    def read() -> None:
        journal, seq = Journal.open_reader(path), 0
        with journal:
            while len(rows := journal.index_rows_after(seq).seqs):
                seq = int(rows[-1])

    def read_bare() -> None:
        sql = sqlite3.connect(path)
        cursor = sql.execute('SELECT seq, record FROM memories ORDER BY seq')
        while cursor.fetchmany(BATCH):
            pass
        sql.close()

    tell('cold read of all index rows, verified', memories=MANY,
         journal_sec=round(min(timed(read) for _ in range(2)), 3),
         bare_select_sec=round(min(timed(read_bare) for _ in range(2)), 3))


def bench_check(path: Path) -> None:
    def check_bare() -> None:
        sql = sqlite3.connect(path)
        sql.execute('PRAGMA integrity_check').fetchall()
        sql.close()

    report = []
    seconds = timed(lambda: report.append(check(path)))
    tell('check', memories=MANY, is_clean=report[0].is_clean, check_sec=round(seconds, 3),
         memories_per_sec=round(MANY / seconds),
         bare_integrity_check_sec=round(timed(check_bare), 3))


def bench_backup(path: Path) -> None:
    megabytes, copy = path.stat().st_size / 1e6, path.with_name('copy.db')
    seconds: dict[str, list[float]] = {'backup': [], 'cp_and_sync': []}
    for _ in range(3):
        seconds['backup'].append(timed(lambda: backup(path, copy)))
        copy.unlink()
        seconds['cp_and_sync'].append(timed(lambda: subprocess.run(
            f"cp '{path}' '{copy}' && sync '{copy}'", shell=True, check=True)))
        copy.unlink()
    tell('backup', megabytes=round(megabytes), **{
        f'{name}_mb_per_sec': round(megabytes / np.median(values))
        for name, values in seconds.items()})


def bench_lag(folder: Path) -> None:
    """The reader polls as a retriever does."""
    path, lags, seq, version = folder / 'memory.db', list[float](), 0, None
    with subprocess.Popen([sys.executable, '-c', WRITER, path]) as writer:
        while (journal := Journal.open_reader(path)) is None:
            time.sleep(POLL_SEC)
        with journal:
            while len(lags) < STAMPED:
                assert writer.poll() in (None, 0), 'the writer failed'
                if (now := journal.data_version) != version:
                    rows = journal.index_rows_after(seq)
                    lags += (time.time() - rows.timestamps).tolist()
                    version, seq = now, int(rows.seqs[-1]) if len(rows.seqs) else seq
                time.sleep(POLL_SEC)
    figures = percentiles_ms(lags)
    tell('lag of a reader behind a writer in another process', memories=len(lags),
         rate_hz=RATE_HZ, poll_ms=1e3 * POLL_SEC, **figures, limit_ms=LAG_LIMIT_MS,
         is_met=bool(figures['p99_ms'] < LAG_LIMIT_MS))


def bench_space(folder: Path) -> None:
    some, bare = memories(WITH_PICTURES, PICTURE_BYTES), BareTable(folder / 'bare.db')
    path, sizes = folder / 'memory.db', {}
    with Journal.open_writer(path, SPEC) as journal:
        for start in range(0, WITH_PICTURES, BATCH):
            journal.append(some[start:start + BATCH])
            bare.append(bare_rows(some[start:start + BATCH]))
    bare.close()
    sizes['full'] = path.stat().st_size
    with Journal.open_existing_writer(path) as journal:
        seconds = timed(lambda: forget(journal, MemorySelection(
            before=some[WITH_PICTURES // 2 - 1].timestamp)))
        left = journal.count
    sizes['half'] = path.stat().st_size
    tell('bytes on disk per memory', memories=WITH_PICTURES, picture_bytes=PICTURE_BYTES,
         journal=round(sizes['full'] / WITH_PICTURES),
         bare_sqlite=round((folder / 'bare.db').stat().st_size / WITH_PICTURES),
         after_forgetting_half=round(sizes['half'] / left), forget_sec=round(seconds, 2))


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def fresh() -> Path:
            shutil.rmtree(folder)
            folder.mkdir()
            return folder

        bench_commits(fresh(), 'process', 1)
        bench_commits(fresh(), 'power', 1)
        bench_commits(fresh(), 'process', 10)
        bench_commits(fresh(), 'power', 10)
        bench_lag(fresh())
        bench_space(fresh())
        bench_bulk(fresh())
        path = fresh() / 'memory.db'
        with Journal.open_writer(path, SPEC) as journal:
            appender = BulkAppender(journal, 'model')
            for part in columns(MANY):
                appender.append(part)
        bench_cold_read(path)
        bench_check(path)
        bench_backup(path)


if __name__ == '__main__':
    main()
