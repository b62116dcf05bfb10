"""
What does an index in Qdrant cost beside the embedded one? One JSON line for each question.

A server is asked as well where QDRANT_HOST is set and answers; what is made there is removed.
`--memories N`: how many (100 000).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
import contextlib
import json
import math
import os
from pathlib import Path
import subprocess
import sys
import tempfile
import time

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import Context, IndexRows, MemoryIndex
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.collection import CollectionStore, point_id
from spatial_rag_core.memory.qdrant.edge import EdgeStore
from spatial_rag_core.memory.qdrant.link import fleet_payload
from spatial_rag_core.memory.qdrant.points import points_of, rows_among
from spatial_rag_core.memory.qdrant.server import connect, vectors_config
from spatial_rag_core.memory.qdrant.shipper import QdrantShipper
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_action, as_latent, Memory, MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import faiss
import numpy as np
from qdrant_client import models, QdrantClient
import qdrant_edge as edge

PER_M2, K, Z_DIM = 4.0, 8, 32
QUERIES, WARM_UP, BATCH = 200, 20, 10_000
LOCAL_MODE = 5000  # memories; it is made for tests
SHIPPED = 10_000
GRID = H3Grid(LocalFrame(), JournalSpec().h3_resolution)
CONTEXT = Context('20261122T152500Z-3f9c', 'robot-1', 'kitchen')

Search = Callable[[MemoryQuery], object]


def scattered_memories(count: int) -> IndexRows:
    """Random latents, spread over a square at PER_M2, 20 a second."""
    chance = np.random.default_rng(0)
    side = math.sqrt(count / PER_M2)
    positions = np.zeros((count, 3))
    positions[:, :2] = chance.uniform(-side / 2, side / 2, (count, 2))
    cells = [GRID.cell_number(Position(*position)) for position in positions.tolist()]
    return IndexRows(
        np.arange(1, count + 1), np.array(cells, np.uint64),
        chance.normal(size=(count, Z_DIM)).astype(np.float32), positions,
        np.tile(np.float32([0, 0, 0, 1]), (count, 1)), 1.76e9 + np.arange(count) / 20,
        np.zeros(count, np.int32), {0: CONTEXT})


def batches(rows: IndexRows, size: int = BATCH) -> list[IndexRows]:
    numbers = np.arange(len(rows.seqs))
    return [rows_among(rows, (numbers >= start) & (numbers < start + size))
            for start in range(0, len(numbers), size)]


def fill(index: MemoryIndex, rows: IndexRows) -> float:
    """Memories a second."""
    parts = batches(rows)
    start = time.perf_counter()
    for part in parts:
        index.add(part)
    return len(rows.seqs) / (time.perf_counter() - start)


def queries(count: int, radius_m: float | None, **fields: object) -> list[MemoryQuery]:
    chance = np.random.default_rng(1)
    reach = max(math.sqrt(count / PER_M2) / 2 - (radius_m or 0.0), 1.0)
    return [MemoryQuery(
        k=K, vector=chance.normal(size=Z_DIM).astype(np.float32), radius_m=radius_m,
        pose=Pose(Position(*chance.uniform(-reach, reach, 2))), **fields)
        for _ in range(WARM_UP + QUERIES)]


def timed(searches: dict[str, Search], asked: list[MemoryQuery]) -> dict[str, object]:
    """Ask all in turn; p50 and p99 of each."""
    times: dict[str, list[float]] = {name: [] for name in searches}
    for query in asked:
        for name, search in searches.items():
            start = time.perf_counter()
            search(query)
            times[name].append(time.perf_counter() - start)
    return {name: percentiles_ms(values[WARM_UP:]) for name, values in times.items()}


def percentiles_ms(seconds: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(seconds, (50, 99)) * 1e3
    return {'p50_ms': round(p50, 3), 'p99_ms': round(p99, 3)}


def bare_geo_filter(folder: Path, rows: IndexRows) -> Search:
    """Edge as its own documents use it: one vector, a geo index, a filter by radius."""
    shard = edge.EdgeShard.create(str(folder), edge.EdgeConfig(
        vectors=edge.EdgeVectorParams(Z_DIM, edge.Distance.Euclid)))
    shard.update(edge.UpdateOperation.create_field_index('location', edge.GeoIndexParams()))
    for part in batches(rows, 1000):
        places = GRID.frame.to_geodetic_many(part.positions[:, :2]).tolist()
        shard.update(edge.UpdateOperation.upsert_points([
            edge.Point(seq, vector, {'location': {'lat': lat, 'lon': lon}})
            for seq, vector, (lat, lon) in zip(part.seqs.tolist(), part.vectors.tolist(), places,
                                               strict=True)]))

    def search(query: MemoryQuery) -> object:
        lat, lon = GRID.frame.to_geodetic(*query.pose.position[:2])
        return shard.query(edge.QueryRequest(
            limit=K, query=edge.Query.Nearest(query.vector.tolist()),
            params=edge.SearchParams(exact=True), filter=edge.Filter(must=[edge.FieldCondition(
                'location', geo_radius=edge.GeoRadius(edge.GeoPoint(lon, lat),
                                                      query.radius_m))])))

    return search


def bench_queries(rows: IndexRows, folder: Path) -> None:
    count = len(rows.seqs)
    embedded, at_edge = CellIndex(GRID, Z_DIM), edge_index(folder / 'edge')
    tell('fill', memories=count, embedded_per_sec=round(fill(embedded, rows)),
         edge_per_sec=round(fill(at_edge, rows)))
    searches = {'edge': at_edge.search, 'embedded': embedded.search}
    geo = {'edge_bare_geo_filter': bare_geo_filter(folder / 'geo', rows)}
    for radius_m in (1.0, 5.0, 25.0):
        asked = queries(count, radius_m)
        agreed = sum(numbers(at_edge, query) == numbers(embedded, query) for query in asked)
        tell('bounded query', memories=count, radius_m=radius_m, k=K,
             same_memories=f'{agreed}/{len(asked)}', **timed({**searches, **geo}, asked))
    for name, fields in (('unbounded query', {}), ('unbounded, cosine', {'metric': 'cosine'}),
                         ('unbounded, by pose', {'rank_by': 'pose'})):
        tell(name, memories=count, k=K, **timed(searches, queries(count, None, **fields)))
    recent = queries(count, 5.0, timestamp=1.76e9 + count / 20, min_age_sec=60.0,
                     map_id='kitchen')
    tell('bounded, old enough, on this map', memories=count, radius_m=5.0, k=K,
         **timed(searches, recent))


def numbers(index: MemoryIndex, query: MemoryQuery) -> list[int]:
    return [hit.seq for hit in index.search(query)]


def edge_index(folder: Path) -> QdrantIndex:
    store = EdgeStore(folder, Z_DIM, GRID.resolution)
    return QdrantIndex(store, GRID, store.seqs())


SIZES = """
import sys, time
sys.path.insert(0, {here!r})
import bench_qdrant as bench
rows = bench.scattered_memories({count})
parts = bench.batches(rows, 1000)
del rows
before = bench.resident_bytes()
start = time.perf_counter()
index = bench.edge_index(bench.Path({folder!r}))
opened = time.perf_counter() - start
if index.count == 0:
    for part in parts:
        index.add(part)
else:
    for query in bench.queries({count}, 5.0):
        index.search(query)
print(bench.resident_bytes() - before, opened)
index.close()
"""


def resident_bytes() -> int:
    """Anonymous memory of this process: what cannot be given back when memory runs short."""
    with open('/proc/self/status') as status:
        [line] = [line for line in status if line.startswith('RssAnon')]
    return int(line.split()[1]) * 1024


def bench_sizes(count: int, folder: Path) -> None:
    """Bytes of a memory in Edge, on disk and in memory, and how long opening takes."""
    program = SIZES.format(here=str(Path(__file__).parent), count=count, folder=str(folder))
    told = []
    for _ in range(2):
        done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True,
                              check=True)
        resident, opened = done.stdout.split()
        told.append((int(resident), float(opened)))
    disk = sum(path.stat().st_blocks * 512 for path in folder.rglob('*') if path.is_file())
    (filled, _), (reopened, open_sec) = told
    tell('size in Edge', memories=count, disk_bytes_each=round(disk / count),
         resident_bytes_each=round(filled / count),
         resident_bytes_each_reopened=round(reopened / count), open_sec=round(open_sec, 2))


def bench_local_mode() -> None:
    client = QdrantClient(':memory:')
    client.create_collection('bench', vectors_config=vectors_config(Z_DIM))
    index, rows = QdrantIndex(CollectionStore(client, 'bench', 1, 'local mode'), GRID), (
        scattered_memories(LOCAL_MODE))
    tell('fill, local mode of the client', memories=LOCAL_MODE, per_sec=round(fill(index, rows)))


def memory_file(path: Path, rows: IndexRows) -> None:
    with Journal.open_writer(path, JournalSpec()) as journal:
        journal.append([Memory(
            f'{n:026}', as_latent(rows.vectors[n]), Pose(Position(*rows.positions[n].tolist())),
            f'{int(rows.cells[n]):x}', float(rows.timestamps[n]), 'model', as_action([0.1, 0.2]),
            *CONTEXT) for n in range(len(rows.seqs))])


def bench_client_side(path: Path) -> None:
    """What the robot does for each memory, without a network: read, make points, write JSON."""
    journal = Journal.open_reader(path)
    assert journal is not None
    sent = seq = size = 0
    start = time.perf_counter()
    while len((rows := journal.index_rows_after(seq, 500)).seqs):
        memories = journal.get(rows.seqs.tolist(), with_thumbnails=False)
        points = points_of(rows, GRID.frame, GRID.resolution)
        body = models.PointsList(points=[models.PointStruct(
            id=point_id(1, each), vector={**vectors},
            payload={**payload, 'journal': 16 * '0', 'seq': each, **fleet_payload(memories[each])})
            for each, vectors, payload in zip(*points, strict=True)])
        size += len(json.dumps(body.model_dump(exclude_unset=True), separators=(',', ':')))
        sent, seq = sent + len(rows.seqs), int(rows.seqs[-1])
    seconds = time.perf_counter() - start
    journal.close()
    tell('shipping, the robot alone', memories=sent, per_sec=round(sent / seconds),
         json_bytes_each=round(size / sent))


def bench_server(path: Path) -> None:
    if not os.environ.get('QDRANT_HOST'):
        return
    config = IndexConfig.from_environment(kind='qdrant', collection='spatial_rag_bench')
    shipper = QdrantShipper(path, config)
    try:
        start = time.perf_counter()
        while shipper.step():
            pass
        seconds = time.perf_counter() - start
        client = connect(config, 10.0)
        tell('shipping to a server', where=config.where, memories=SHIPPED,
             version=client.info().version, per_sec=round(SHIPPED / seconds))
        journal = Journal.open_reader(path)
        assert journal is not None
        with journal:
            store = CollectionStore(client, config.collection, journal.generation, config.where)
        tell('bounded query to a server', memories=SHIPPED, radius_m=5.0, k=K, **timed(
            {'server': QdrantIndex(store, GRID).search}, queries(SHIPPED, 5.0)))
        for name in (config.collection, f'{config.collection}_checkpoints'):
            client.delete_collection(name)
        client.close()
    except SpatialRagError as error:
        tell('shipping to a server', error=str(error))
    shipper.close()


def tell(question: str, **facts: object) -> None:
    print(json.dumps({'question': question, **facts}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--memories', type=int, default=100_000)
    count = parser.parse_args().memories
    faiss.omp_set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(BrokenPipeError):
        for each in sorted({min(10_000, count), count}):
            bench_queries(scattered_memories(each), Path(folder) / str(each))
        bench_sizes(count, Path(folder) / 'sizes')
        bench_local_mode()
        path = Path(folder) / 'memory.db'
        memory_file(path, scattered_memories(SHIPPED))
        bench_client_side(path)
        bench_server(path)


if __name__ == '__main__':
    main()
