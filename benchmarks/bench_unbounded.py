"""
How long does finding near latents anywhere in the memory take, and how many of them are found?

The latents are those of the untrained tiny encoder in the simulated rooms: the memory is one
drive through WORLDS maps of `--frames N` pictures in all (60 000, half a minute's work), the
questions are pictures of another drive through the same maps. A million such pictures take
minutes, so the million is the same latents repeated with noise, unless N is a million: its recall
then says little, its times do. The peer, Faiss's flat index, is measured in turn. Exits with 1
where a limit is not kept.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
import json
import os
import sys
import time

from spatial_rag_core.data.exploring.wander import WanderPolicy
from spatial_rag_core.data.rooms.rooms2d import Rooms2D, Rooms2DConfig
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.models.untrained import untrained_model
from spatial_rag_core.records import MemoryQuery
from spatial_rag_core.settings import Settings
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import faiss
import numpy as np
import torch

WORLDS, QUESTIONS_EACH, K, Z_DIM, MILLION = 10, 20, 8, 32, 1_000_000
APART, NOISE = 25, 0.3  # frames between questions; of a latent's deviation, 1
kept: list[bool] = []


def drive(world: int, seed: int, steps: int, every: int) -> np.ndarray:
    """Latents [n, Z_DIM] of each `every`-th picture of a drive."""
    torch.set_num_threads(1)
    model = untrained_model(Settings()).requires_grad_(False).eval()
    rooms = Rooms2D(Rooms2DConfig(seed=world))
    policy, pictures, latents = WanderPolicy(rooms.room_map, seed), [], []
    for step in range(steps):
        rooms.advance(policy.act(rooms.pose))
        if step % every == every - 1:
            pictures.append(rooms.observe().rgb)
        if len(pictures) == 250 or (pictures and step == steps - 1):
            rgb = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
            with torch.inference_mode():
                latents.append(model.encode(rgb.to(torch.float32) / 255).numpy())
            pictures.clear()
    return np.concatenate(latents)


def real_latents(frames: int) -> tuple[np.ndarray, np.ndarray]:
    """What is remembered, and what is asked."""
    with ProcessPoolExecutor(os.cpu_count()) as processes:
        memory = [processes.submit(drive, world, world, frames // WORLDS, 1)
                  for world in range(WORLDS)]
        asked = [processes.submit(drive, world, WORLDS + world, QUESTIONS_EACH * APART, APART)
                 for world in range(WORLDS)]
        return tuple(np.concatenate([part.result() for part in parts])
                     for parts in (memory, asked))


def index_of(latents: np.ndarray) -> CellIndex:
    count = len(latents)
    index = CellIndex(H3Grid(LocalFrame(), 13), Z_DIM)
    places = np.zeros((count, 3))
    places[:, 0] = np.arange(count) / 20
    index.add(IndexRows(
        np.arange(1, count + 1), np.arange(count, dtype=np.uint64) // 100 << np.uint64(6),
        latents, places, np.tile(np.float32([0, 0, 0, 1]), (count, 1)), np.arange(count) / 20,
        np.zeros(count, np.int32), {0: Context('s')}))
    return index


def bench(kind: str, latents: np.ndarray, asked: np.ndarray, is_million: bool) -> None:
    index, flat = index_of(latents), faiss.IndexFlatL2(Z_DIM)
    flat.add(latents)
    first_ms = timed(index, asked[:1])[1]
    start = time.perf_counter()
    index.settle()
    prepared_sec = time.perf_counter() - start
    flat_ms, truth, ours_ms, found = [], [], [], []
    for query in asked:
        before = time.perf_counter()
        truth.append(set((flat.search(query[None], K)[1][0] + 1).tolist()))
        flat_ms.append(1e3 * (time.perf_counter() - before))
        seqs, times = timed(index, query[None])
        found.append(seqs[0])
        ours_ms += times
    recall = np.mean([len(a & b) / K for a, b in zip(truth, found, strict=True)])
    tell('unbounded query', latents=kind, memories=len(latents), questions=len(asked), k=K,
         is_approximate=index.is_approximate, recall=round(float(recall), 4),
         first_exact_ms=round(first_ms[0], 2), prepared_sec=round(prepared_sec, 2),
         cell_index=percentiles(ours_ms), faiss_flat=percentiles(flat_ms))
    if kind == 'real':
        limit(f'recall at {K} of real latents at least 0.95', recall, recall >= 0.95)
    if is_million:
        share = np.median(ours_ms) / np.median(flat_ms)
        limit('unbounded query of 1000000: p50 at most a tenth of flat', share, share <= 0.1)
    index.close()


def timed(index: CellIndex, asked: np.ndarray) -> tuple[list[set[int]], list[float]]:
    found, times_ms = [], []
    for query in asked:
        before = time.perf_counter()
        hits = index.search(MemoryQuery(k=K, vector=query))
        times_ms.append(1e3 * (time.perf_counter() - before))
        found.append({hit.seq for hit in hits})
    return found, times_ms


def percentiles(times_ms: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(times_ms, (50, 99))
    return {'p50_ms': round(p50, 3), 'p99_ms': round(p99, 3)}


def tell(question: str, **facts: object) -> None:
    print(json.dumps({'question': question, **facts}), flush=True)


def limit(what: str, value: float, holds: bool) -> None:
    kept.append(bool(holds))
    tell('limit', limit=what, value=round(float(value), 4), holds=bool(holds))


def main() -> int:
    """Return 1 where a limit does not hold."""
    parser = argparse.ArgumentParser(description='Unbounded queries beside a flat index.')
    parser.add_argument('--frames', type=int, default=60_000, help='pictures to remember')
    frames = parser.parse_args().frames
    faiss.omp_set_num_threads(1)
    start = time.perf_counter()
    latents, asked = real_latents(frames)
    tell('pictures rendered and encoded', pictures=len(latents) + len(asked),
         seconds=round(time.perf_counter() - start, 1))
    bench('real', latents, asked, len(latents) >= MILLION)
    if len(latents) < MILLION:
        repeated = np.resize(latents, (MILLION, Z_DIM))
        repeated += np.random.default_rng(0).normal(0, NOISE, repeated.shape).astype(np.float32)
        bench('real, repeated with noise', repeated, asked, True)
    return 0 if all(kept) else 1


if __name__ == '__main__':
    sys.exit(main())
