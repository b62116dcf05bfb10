"""
How long does finding memories near a place take, and what does the index cost?

One JSON line for each question; lines with `holds` state a limit and whether it is kept. The
peers are measured in the same process, in turns of TURN queries: Qdrant Edge in the fastest way
that was found (optimised segments without HNSW, a geo index, a filter by radius), Faiss's flat
index with an IDSelector over the same candidates, and NumPy over the whole memory. Exits with 1
where a limit is not kept.
"""

from __future__ import annotations

from collections.abc import Callable
import json
import math
from pathlib import Path
import subprocess
import sys
import tempfile
import threading
import time

from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.memory.tables.cell_numbers import cell_numbers
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import faiss
import numpy as np
import qdrant_edge as edge

PER_M2, RADIUS_M, K, Z_DIM = 4.0, 5.0, 8, 32
QUERIES, TURN, WARM_UP = 900, 150, 5
SLOW_QUERIES = 100  # of peers that look at the whole memory each time
BATCH, MILLION, EDGE_MEMORIES = 10_000, 1_000_000, 100_000
QUERY_HZ, INSERT_HZ, STREAM_QUERIES = 100, 20, 600
GRID = H3Grid(LocalFrame(), JournalSpec().h3_resolution)

Search = Callable[[MemoryQuery], object]
kept: list[bool] = []


def scattered_memories(count: int) -> IndexRows:
    """Random latents, spread over a square at PER_M2."""
    chance = np.random.default_rng(0)
    side = math.sqrt(count / PER_M2)
    positions = np.zeros((count, 3))
    positions[:, :2] = chance.uniform(-side / 2, side / 2, (count, 2))
    return IndexRows(
        np.arange(1, count + 1), cell_numbers(JournalSpec(), positions[:, :2]),
        chance.standard_normal((count, Z_DIM), np.float32), positions,
        np.tile(np.float32([0, 0, 0, 1]), (count, 1)), np.arange(count) / 20,
        np.zeros(count, np.int32), {0: Context('s')})


def part(rows: IndexRows, start: int, size: int, first_seq: int | None = None) -> IndexRows:
    some = slice(start, start + size)
    seqs = rows.seqs[some] if first_seq is None else np.arange(first_seq, first_seq + size)
    return IndexRows(seqs, rows.cells[some], rows.vectors[some], rows.positions[some],
                     rows.orientations[some], rows.timestamps[some], rows.contexts[some],
                     rows.context_table)


def built(rows: IndexRows) -> CellIndex:
    """Build the index from batches as the journal gives them."""
    index = CellIndex(GRID, Z_DIM)
    for start in range(0, len(rows.seqs), BATCH):
        index.add(part(rows, start, BATCH))
    return index


def queries(count: int) -> list[MemoryQuery]:
    chance = np.random.default_rng(1)
    reach = math.sqrt(count / PER_M2) / 2 - RADIUS_M
    return [MemoryQuery(k=K, vector=chance.normal(size=Z_DIM).astype(np.float32),
                        pose=Pose(Position(*chance.uniform(-reach, reach, 2))),
                        radius_m=RADIUS_M) for _ in range(QUERIES)]


def within(rows: IndexRows, query: MemoryQuery) -> np.ndarray:
    return np.flatnonzero(
        np.linalg.norm(rows.positions - query.pose.position, axis=1) <= RADIUS_M)


def brute_force(rows: IndexRows) -> Callable[[MemoryQuery], list[int]]:
    def search(query: MemoryQuery) -> list[int]:
        ids = within(rows, query)
        distances = np.linalg.norm(rows.vectors[ids] - query.vector, axis=1)
        return rows.seqs[ids[np.argsort(distances)[:K]]].tolist()

    return search


def faiss_flat(rows: IndexRows) -> Search:
    """Latents in one flat index; the candidates by distance, then a selector of their ids."""
    index = faiss.IndexFlatL2(Z_DIM)
    index.add(rows.vectors)

    def search(query: MemoryQuery) -> list[int]:
        ids = within(rows, query)
        selector = faiss.SearchParameters(sel=faiss.IDSelectorBatch(ids))
        found = index.search(query.vector[None], min(K, len(ids)), params=selector)[1][0]
        return rows.seqs[found].tolist()

    return search


def qdrant_edge(rows: IndexRows, folder: Path) -> Search:
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(Z_DIM, edge.Distance.Euclid),
        hnsw_config=edge.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=1)))
    shard.update(edge.UpdateOperation.create_field_index('place', edge.GeoIndexParams()))
    for start in range(0, len(rows.seqs), 1000):
        some = part(rows, start, 1000)
        places = GRID.frame.to_geodetic_many(some.positions[:, :2]).tolist()
        shard.update(edge.UpdateOperation.upsert_points([
            edge.Point(seq, vector, {'place': {'lat': latitude, 'lon': longitude}})
            for seq, vector, (latitude, longitude) in zip(
                some.seqs.tolist(), some.vectors.tolist(), places, strict=True)]))
    shard.optimize()

    def search(query: MemoryQuery) -> list[edge.ScoredPoint]:
        latitude, longitude = GRID.frame.to_geodetic(*query.pose.position[:2])
        nearby = edge.FieldCondition('place', geo_radius=edge.GeoRadius(
            edge.GeoPoint(longitude, latitude), RADIUS_M))
        return shard.query(edge.QueryRequest(
            limit=K, query=edge.Query.Nearest(query.vector.tolist()),
            params=edge.SearchParams(exact=True), filter=edge.Filter(must=[nearby])))

    return search


def in_turns(searches: dict[str, tuple[Search, list[MemoryQuery]]]) -> dict[str, list[float]]:
    """
    Seconds of each query of each; a noisy moment of the machine meets all of them.

    A turn begins with WARM_UP queries that do not count: they find the peer's data in the cache.
    """
    times: dict[str, list[float]] = {name: [] for name in searches}
    for start in range(0, QUERIES, TURN):
        for name, (search, asked) in searches.items():
            for query in asked[-WARM_UP:]:
                search(query)
            for query in asked[start:start + TURN]:
                before = time.perf_counter()
                search(query)
                times[name].append(time.perf_counter() - before)
    return times


def bench_queries(rows: dict[int, IndexRows], indexes: dict[int, CellIndex]) -> None:
    """Ask indexes of all sizes in turns, and the peers beside them."""
    asked = {count: queries(count) for count in indexes}
    searches = {f'cell_index {count}': (index.search, asked[count])
                for count, index in indexes.items()}
    with tempfile.TemporaryDirectory() as folder:
        at_edge = qdrant_edge(rows[EDGE_MEMORIES], Path(folder) / 'edge')
        searches['qdrant_edge'] = at_edge, asked[EDGE_MEMORIES]
        times = in_turns(searches)
        truth = brute_force(rows[EDGE_MEMORIES])
        edge_recall = recall(lambda query: [point.id for point in at_edge(query)], truth,
                             asked[EDGE_MEMORIES])
    p50 = {}
    for count, index in indexes.items():
        exact, flat = brute_force(rows[count]), faiss_flat(rows[count])
        some = asked[count][:SLOW_QUERIES]
        p50[count], p99 = np.percentile(times[f'cell_index {count}'], (50, 99))
        found = recall(seqs_of(index), exact, some)
        tell('bounded query', memories=count, radius_m=RADIUS_M, k=K,
             candidates_mean=round(PER_M2 * math.pi * RADIUS_M ** 2), recall=found,
             cell_index=percentiles_ms(times[f'cell_index {count}']),
             faiss_flat_id_selector=percentiles_ms(timed(flat, some)),
             numpy_brute_force=percentiles_ms(timed(exact, some)))
        limit(f'bounded query of {count}: recall is 1', found, found == 1.0)
        limit(f'bounded query of {count}: p99 at most 3 times p50', round(p99 / p50[count], 2),
              p99 <= 3 * p50[count])
    tell('bounded query, Qdrant Edge', memories=EDGE_MEMORIES, recall=edge_recall,
         qdrant_edge=percentiles_ms(times['qdrant_edge']))
    share = p50[EDGE_MEMORIES] / np.median(times['qdrant_edge'])
    limit('bounded query: p50 at most a third of Qdrant Edge', round(share, 3), share <= 1 / 3)
    growth = p50[MILLION] / p50[EDGE_MEMORIES]
    limit('bounded query of 1000000: p50 at most 1.5 times that of 100000', round(growth, 2),
          growth <= 1.5)


def bench_inserts(rows: IndexRows, index: CellIndex) -> None:
    """Insert one memory at INSERT_HZ while queries come at QUERY_HZ."""
    asked, over = queries(len(rows.seqs))[:STREAM_QUERIES], threading.Event()

    def insert() -> None:
        while not over.wait(1 / INSERT_HZ):
            index.add(part(rows, 0, 1, first_seq=index.last_seq + 1))

    alone, beside = [], []
    for _ in range(3):
        alone += stream(index, asked[:STREAM_QUERIES // 3])
        over.clear()
        inserting = threading.Thread(target=insert)
        inserting.start()
        beside += stream(index, asked[:STREAM_QUERIES // 3])
        over.set()
        inserting.join()
    ratio = np.percentile(beside, 99) / np.percentile(alone, 99)
    tell('queries beside inserts', memories=len(rows.seqs), query_hz=QUERY_HZ,
         insert_hz=INSERT_HZ, alone=percentiles_ms(alone), beside=percentiles_ms(beside))
    limit('inserts move the p99 of queries by less than 2 times', round(ratio, 2), ratio < 2.0)


def stream(index: CellIndex, asked: list[MemoryQuery]) -> list[float]:
    times, start = [], time.perf_counter()
    for number, query in enumerate(asked):
        time.sleep(max(0.0, start + number / QUERY_HZ - time.perf_counter()))
        before = time.perf_counter()
        index.search(query)
        times.append(time.perf_counter() - before)
    return times


def bench_size(count: int) -> None:
    """In a process of its own: what the index adds to its memory, and how long it takes."""
    done = subprocess.run([sys.executable, __file__, '--size', str(count)], check=True,
                          capture_output=True, text=True)
    facts = json.loads(done.stdout)
    tell('index build, and memory of the process that it takes', memories=count, **facts)
    limit(f'index of {count}: at most 300 bytes a memory', facts['bytes_each'],
          facts['bytes_each'] <= 300)
    if count == MILLION:
        limit('index of 1000000: built in 1.3 s of one core', facts['build_cpu_sec'],
              facts['build_cpu_sec'] <= 1.3)


def tell_size(count: int) -> None:
    rows = scattered_memories(count)
    parts = [part(rows, start, BATCH) for start in range(0, count, BATCH)]
    built(part(rows, 0, BATCH))  # so that code and buffers are there before
    resident, start, cpu = resident_bytes(), time.perf_counter(), time.process_time()
    index = CellIndex(GRID, Z_DIM)
    for some in parts:
        index.add(some)
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
    print(json.dumps({'cells': index.cell_count, 'build_sec': round(seconds, 3),
                      'build_cpu_sec': round(cpu, 3),
                      'bytes_each': round((resident_bytes() - resident) / count)}))


def resident_bytes() -> int:
    return int(Path('/proc/self/statm').read_text().split()[1]) * 4096


def seqs_of(index: CellIndex) -> Callable[[MemoryQuery], list[int]]:
    return lambda query: [hit.seq for hit in index.search(query)]


def recall(search: Callable[[MemoryQuery], list[int]],
           exact: Callable[[MemoryQuery], list[int]], asked: list[MemoryQuery]) -> float:
    shares = [len(set(search(query)) & set(exact(query))) / K for query in asked]
    return round(float(np.mean(shares)), 4)


def timed(search: Search, asked: list[MemoryQuery]) -> list[float]:
    return in_turns({'': (search, asked)})['']


def percentiles_ms(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return {'p50_ms': round(p50, 4), 'p99_ms': round(p99, 4)}


def tell(question: str, **facts: object) -> None:
    print(json.dumps({'question': question, **facts}), flush=True)


def limit(what: str, value: float, holds: bool) -> None:
    kept.append(bool(holds))
    tell('limit', limit=what, value=value, holds=bool(holds))


def main() -> int:
    """Return 1 where a limit does not hold."""
    faiss.omp_set_num_threads(1)
    if sys.argv[1:2] == ['--size']:
        tell_size(int(sys.argv[2]))
        return 0
    for count in (EDGE_MEMORIES, MILLION):
        bench_size(count)
    rows = {count: scattered_memories(count) for count in (10_000, EDGE_MEMORIES, MILLION)}
    indexes = {count: built(rows[count]) for count in rows}
    bench_queries(rows, indexes)
    bench_inserts(rows[MILLION], indexes[MILLION])
    return 0 if all(kept) else 1


if __name__ == '__main__':
    sys.exit(main())
