"""
Asks one peer the queries of bench_peers.py; runs in the peers' own environment.

    python answer_queries.py emem|lancedb DATA.npz

DATA holds vectors float32 [N, z_dim] of unit length, positions float64 [N, 2] [m], query_vectors
[Q, z_dim], query_positions [Q, 2] and radius_m, k. Prints one JSON object: what was asked of the
peer, rows found for each query, and the seconds that each took.
"""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import sys
import tempfile
import time

import numpy as np

Search = Callable[[np.ndarray, np.ndarray], list[int]]


def emem(data: np.lib.npyio.NpzFile, folder: Path) -> tuple[str, Search]:
    from emem import config, embeddings, store, types
    vectors, positions = data['vectors'], data['positions']
    memory = store.MemoryStore(
        config.SpatioTemporalMemoryConfig(
            db_path=str(folder / 'memory.db'), hnsw_path=str(folder / 'memory.bin'),
            embedding_dim=vectors.shape[1], hnsw_max_elements=len(vectors)),
        embeddings.NullEmbeddingProvider(vectors.shape[1]))
    for start in range(0, len(vectors), 1000):
        memory.add_observations_batch([
            types.ObservationNode(text='', coordinates=np.append(positions[row], 0.0),
                                  timestamp=row / 20, id=str(row), embedding=vectors[row])
            for row in range(start, min(start + 1000, len(vectors)))])

    def search(vector: np.ndarray, position: np.ndarray) -> list[int]:
        found = memory.semantic_search_by_vector(
            vector, n_results=int(data['k']), spatial_center=np.append(position, 0.0),
            spatial_radius=float(data['radius_m']))
        return [int(node.id) for node in found]

    return 'semantic_search_by_vector with spatial_center and spatial_radius', search


def lancedb(data: np.lib.npyio.NpzFile, folder: Path) -> tuple[str, Search]:
    import lancedb as peer
    import pyarrow
    vectors, positions, k = data['vectors'], data['positions'], int(data['k'])
    columns = {
        'row': pyarrow.array(np.arange(len(vectors))),
        'vector': pyarrow.FixedSizeListArray.from_arrays(
            pyarrow.array(vectors.ravel()), vectors.shape[1]),
        'x': pyarrow.array(positions[:, 0]), 'y': pyarrow.array(positions[:, 1])}
    table = peer.connect(folder).create_table('memories', pyarrow.table(columns))
    for column in ('x', 'y'):
        table.create_index(column, config=peer.index.BTree())
    radius = float(data['radius_m'])

    def search(vector: np.ndarray, position: np.ndarray) -> list[int]:
        x, y = position.tolist()
        place = (f'x >= {x - radius} AND x <= {x + radius} AND y >= {y - radius} AND '
                 f'y <= {y + radius} AND (x - {x}) * (x - {x}) + (y - {y}) * (y - {y}) <= '
                 f'{radius * radius}')
        found = table.search(vector).where(place, prefilter=True).limit(k)
        return found.select(['row', '_distance']).to_arrow()['row'].to_pylist()

    return 'exact search, prefilter on x and y (B-tree indexes)', search


def main() -> None:
    peers = {'emem': emem, 'lancedb': lancedb}
    data = np.load(sys.argv[2])
    with tempfile.TemporaryDirectory() as folder:
        before = time.perf_counter()
        asked, search = peers[sys.argv[1]](data, Path(folder))
        build_sec = time.perf_counter() - before
        found, seconds = [], []
        for vector, position in zip(data['query_vectors'], data['query_positions'], strict=True):
            start = time.perf_counter()
            found.append(search(vector, position))
            seconds.append(time.perf_counter() - start)
    print(json.dumps({'asked': asked, 'build_sec': build_sec, 'found': found,
                      'seconds': seconds}))


if __name__ == '__main__':
    main()
