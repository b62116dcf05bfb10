"""
How do the nearest rivals answer "what did I see here that looks like this"? `make bench-peers`.

The same memories and the same queries go to the cell index and to eMEM and LanceDB, which live in
an environment of their own (.venv-peers). Recall is against brute-force NumPy. Twice: with latents
that follow the place, as those of a real encoder do, and with latents that do not.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
import subprocess
import tempfile
import time

from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
PEER_PYTHON = ROOT / '.venv-peers' / 'bin' / 'python'
PER_M2, RADIUS_M, K, Z_DIM, QUERIES, WARM_UP = 4.0, 5.0, 8, 32, 200, 20

Table = dict[str, np.ndarray]


def some_data(count: int, latents_follow_place: bool) -> Table:
    """Memories over a square; latents of unit length, so that L2 and cosine agree."""
    chance = np.random.default_rng(0)
    side = math.sqrt(count / PER_M2)
    positions = chance.uniform(-side / 2, side / 2, (count, 2))
    query_positions = chance.uniform(-side / 2 + RADIUS_M, side / 2 - RADIUS_M,
                                     (WARM_UP + QUERIES, 2))
    waves = chance.normal(size=(2, Z_DIM)) / 3.0  # a latent changes within some metres
    phases = chance.uniform(0, 2 * math.pi, Z_DIM)

    def latents(places: np.ndarray) -> np.ndarray:
        noise = chance.normal(size=(len(places), Z_DIM))
        raw = np.sin(places @ waves + phases) + 0.1 * noise if latents_follow_place else noise
        return (raw / np.linalg.norm(raw, axis=1, keepdims=True)).astype(np.float32)

    return {'positions': positions, 'vectors': latents(positions),
            'query_positions': query_positions, 'query_vectors': latents(query_positions),
            'radius_m': np.float64(RADIUS_M), 'k': np.int64(K)}


def brute_force(data: Table) -> list[set[int]]:
    answers = []
    for vector, place in zip(data['query_vectors'], data['query_positions'], strict=True):
        near = np.flatnonzero(np.linalg.norm(data['positions'] - place, axis=1) <= RADIUS_M)
        apart = np.linalg.norm(data['vectors'][near].astype(float) - vector, axis=1)
        answers.append(set(near[np.argsort(apart)[:K]].tolist()))
    return answers


def ask_cell_index(data: Table) -> dict[str, object]:
    grid = H3Grid(LocalFrame(), JournalSpec().h3_resolution)
    count = len(data['vectors'])
    positions = np.zeros((count, 3))
    positions[:, :2] = data['positions']
    rows = IndexRows(
        seqs=np.arange(1, count + 1),
        cells=np.array([int(grid.cell(Position(*place)), 16) for place in positions.tolist()],
                       np.uint64),
        vectors=data['vectors'], positions=positions,
        orientations=np.tile(np.float32([0, 0, 0, 1]), (count, 1)),
        timestamps=np.arange(count) / 20, contexts=np.zeros(count, np.int32),
        context_table={0: Context()})
    index = CellIndex(grid, Z_DIM)
    start = time.perf_counter()
    index.add(rows)
    build_sec, found, seconds = time.perf_counter() - start, [], []
    for vector, place in zip(data['query_vectors'], data['query_positions'], strict=True):
        query = MemoryQuery(k=K, vector=vector, pose=Pose(Position(*place)), radius_m=RADIUS_M)
        start = time.perf_counter()
        hits = index.search(query)
        seconds.append(time.perf_counter() - start)
        found.append([hit.seq - 1 for hit in hits])
    return {'asked': 'MemoryQuery with radius_m', 'build_sec': build_sec, 'found': found,
            'seconds': seconds}


def ask_peer(name: str, data_path: Path) -> dict[str, object]:
    worker = Path(__file__).with_name('answer_queries.py')
    done = subprocess.run([PEER_PYTHON, worker, name, data_path], stdout=subprocess.PIPE,
                          text=True, check=True, timeout=1800)
    answer: dict[str, object] = json.loads(done.stdout.splitlines()[-1])
    return answer


def figures(answer: dict[str, object], truth: list[set[int]]) -> dict[str, object]:
    hits = sum(len(set(found) & right) for found, right in zip(
        answer['found'], truth, strict=True))
    p50, p99 = np.percentile(answer['seconds'][WARM_UP:], (50, 99)).tolist()
    return {'p50_ms': round(p50 * 1e3, 3), 'p99_ms': round(p99 * 1e3, 3),
            'recall': round(hits / sum(map(len, truth)), 4),
            'build_sec': round(answer['build_sec'], 1), 'asked': answer['asked']}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--count', type=int, nargs='+', default=[100_000])
    parser.add_argument('--peers', nargs='+', default=['emem', 'lancedb'])
    arguments = parser.parse_args()
    for count in arguments.count:
        for follows in (True, False):
            data = some_data(count, follows)
            truth = brute_force(data)
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / 'data.npz'
                np.savez(path, **data)
                answers = {'cell_index': figures(ask_cell_index(data), truth)}
                answers.update({name: figures(ask_peer(name, path), truth)
                                for name in arguments.peers})
            print(json.dumps({
                'question': 'bounded query beside eMEM and LanceDB', 'memories': count,
                'latents_follow_place': follows, 'radius_m': RADIUS_M, 'k': K, **answers}),
                flush=True)


if __name__ == '__main__':
    main()
