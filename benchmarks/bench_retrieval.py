"""
How long do finding and storing a memory take? One JSON line for each question.

Each query is measured in turn with its peers in the same process: Faiss's flat index with an
IDSelector over the same candidates, and brute-force NumPy over the whole memory.
"""

from __future__ import annotations

from collections.abc import Callable
import json
import math
from pathlib import Path
import sqlite3
import tempfile
import time

from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.journal_schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import faiss
import numpy as np

PER_M2, RADIUS_M, K, Z_DIM = 4.0, 5.0, 8, 32
QUERIES, WARM_UP = 300, 20
BATCH, THUMBNAIL = 10_000, bytes(2000)
GRID = H3Grid(LocalFrame(), JournalSpec().h3_resolution)

Search = Callable[[MemoryQuery], list[int]]


def scattered_memories(count: int) -> IndexRows:
    """Random latents, spread over a square at PER_M2."""
    chance = np.random.default_rng(0)
    side = math.sqrt(count / PER_M2)
    positions = np.zeros((count, 3))
    positions[:, :2] = chance.uniform(-side / 2, side / 2, (count, 2))
    return IndexRows(
        seqs=np.arange(1, count + 1),
        cells=[GRID.cell(Position(*position)) for position in positions.tolist()],
        vectors=chance.normal(size=(count, Z_DIM)).astype(np.float32), positions=positions,
        orientations=np.tile(np.float32([0, 0, 0, 1]), (count, 1)),
        timestamps=np.arange(count) / 20, sessions=count * ['s'])


def faiss_flat(rows: IndexRows) -> Search:
    """Latents in one flat index; the candidates by distance, then a selector of their ids."""
    index = faiss.IndexFlatL2(Z_DIM)
    index.add(rows.vectors)

    def search(query: MemoryQuery) -> list[int]:
        ids = np.flatnonzero(within(rows, query))
        selector = faiss.IDSelectorBatch(ids)
        found = index.search(query.vector[None], min(K, len(ids)),
                             params=faiss.SearchParameters(sel=selector))[1][0]
        return rows.seqs[found].tolist()

    return search


def brute_force(rows: IndexRows) -> Search:
    def search(query: MemoryQuery) -> list[int]:
        ids = np.flatnonzero(within(rows, query))
        distances = np.linalg.norm(rows.vectors[ids] - query.vector, axis=1)
        return rows.seqs[ids[np.argsort(distances)[:K]]].tolist()

    return search


def within(rows: IndexRows, query: MemoryQuery) -> np.ndarray:
    return np.linalg.norm(rows.positions - query.pose.position, axis=1) <= RADIUS_M


def queries(count: int) -> list[MemoryQuery]:
    chance = np.random.default_rng(1)
    reach = math.sqrt(count / PER_M2) / 2 - RADIUS_M
    return [MemoryQuery(k=K, vector=chance.normal(size=Z_DIM).astype(np.float32),
                        pose=Pose(Position(*chance.uniform(-reach, reach, 2))),
                        radius_m=RADIUS_M) for _ in range(WARM_UP + QUERIES)]


def bench_queries(rows: IndexRows, index: CellIndex) -> None:
    searches: dict[str, Search] = {
        'cell_index': lambda query: [hit.seq for hit in index.search(query)],
        'faiss_flat_id_selector': faiss_flat(rows), 'numpy_brute_force': brute_force(rows)}
    times: dict[str, list[float]] = {name: [] for name in searches}
    agreed = 0
    for query in queries(index.count):
        answers = []
        for name, search in searches.items():
            start = time.perf_counter()
            answers.append(search(query))
            times[name].append(time.perf_counter() - start)
        agreed += set(answers[0]) == set(answers[1]) == set(answers[2])
    tell('bounded query', memories=index.count, radius_m=RADIUS_M, k=K,
         candidates_mean=round(PER_M2 * math.pi * RADIUS_M ** 2),
         same_memories=f'{agreed}/{QUERIES + WARM_UP}',
         **{name: percentiles_ms(values[WARM_UP:]) for name, values in times.items()})


def bench_build(rows: IndexRows) -> CellIndex:
    """Build the index from batches as the journal gives them; its peer only copies latents."""
    index, flat = CellIndex(GRID, Z_DIM), faiss.IndexFlatL2(Z_DIM)
    seconds = flat_seconds = 0.0
    for start in range(0, len(rows.seqs), BATCH):
        part = slice(start, start + BATCH)
        batch = IndexRows(rows.seqs[part], rows.cells[part], rows.vectors[part],
                          rows.positions[part], rows.orientations[part], rows.timestamps[part],
                          rows.sessions[part])
        before = time.perf_counter()
        index.add(batch)
        between = time.perf_counter()
        flat.add(batch.vectors)
        seconds += between - before
        flat_seconds += time.perf_counter() - between
    tell('index build', memories=index.count, cells=index.cell_count,
         cell_index_per_sec=round(index.count / seconds),
         faiss_flat_per_sec=round(index.count / flat_seconds))
    return index


def bench_append(folder: Path, count: int = 500) -> None:
    """Commit one memory at a time; the peer is a bare table of blobs, opened alike."""
    bare = sqlite3.connect(folder / 'bare.db', isolation_level=None)
    bare.execute('PRAGMA journal_mode = WAL')
    bare.execute('PRAGMA synchronous = NORMAL')
    bare.execute('CREATE TABLE rows (id INTEGER PRIMARY KEY, content BLOB)')
    content = bytes(4 * Z_DIM) + THUMBNAIL
    times: dict[str, list[float]] = {'journal': [], 'bare_sqlite': []}
    with Journal.open_writer(folder / 'memory.db', JournalSpec()) as journal:
        for n in range(WARM_UP + count):
            memory = Memory(f'{n:026}', as_latent(np.ones(Z_DIM)), Pose(Position(n, 0)),
                            '8d754e64992d6ff', n / 20, 'model', thumbnail=THUMBNAIL)
            start = time.perf_counter()
            journal.append([memory])
            between = time.perf_counter()
            bare.execute('INSERT INTO rows (content) VALUES (?)', (content,))
            times['bare_sqlite'].append(time.perf_counter() - between)
            times['journal'].append(between - start)
    bare.close()
    tell('journal append, one commit each', memories=count, thumbnail_bytes=len(THUMBNAIL),
         **{name: percentiles_ms(values[WARM_UP:]) for name, values in times.items()})


def percentiles_ms(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return {'p50_ms': round(p50, 4), 'p99_ms': round(p99, 4)}


def tell(question: str, **facts: object) -> None:
    print(json.dumps({'question': question, **facts}), flush=True)


def main() -> None:
    faiss.omp_set_num_threads(1)
    for count in (10_000, 100_000):
        rows = scattered_memories(count)
        bench_queries(rows, bench_build(rows))
    with tempfile.TemporaryDirectory() as folder:
        bench_append(Path(folder))


if __name__ == '__main__':
    main()
