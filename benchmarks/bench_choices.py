"""
What do spacing, radius, an error of the localisation, and the size of cells do?

The worlds, drives and errors of bench_surprise.py: squared error one step ahead as a share of
that of copying the present. Then how many memories a metre the default admission and others
make of drives at 20 Hz, and what a query costs in cells of each resolution. The tables of
docs/PRACTICAL_GUIDE.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
import math
import time

from spatial_rag_bringup.defaults import shipped_model
from spatial_rag_core.data.generate import drive
from spatial_rag_core.data.generate_plan import plan
from spatial_rag_core.data.rooms.rooms2d import Rooms2D
from spatial_rag_core.memory.admission import Admission, AdmissionConfig
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.tables.cell_numbers import cell_numbers
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.imagined import History
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.spatial.pose_arrays import pose_distances_m2, poses_seen_from

from bench_retrieval import BATCH, part, scattered_memories
import bench_surprise
from bench_surprise import drive_through, DRIVEN, encoded, REMEMBERED, Remembered, STEP_NS
import numpy as np

SPACINGS = ((0.05, 2.0), (0.1, 5.0), (0.25, 10.0), (0.5, 15.0), (1.0, 30.0), (2.0, 60.0))
"""min_travel_m, min_turn_deg."""
ERRORS = ((0.1, 2.0), (0.25, 5.0), (0.5, 10.0), (1.0, 30.0))
"""Metres, degrees."""
RADII_M, RADIUS_M = (1.0, 2.0, 3.0), 5.0
Robot = tuple[Remembered, np.ndarray]
"""Latents and poses of a drive, and its actions."""


def kept(poses: np.ndarray, travel_m: float, turn_deg: float, step_ns: int) -> np.ndarray:
    """Which moments are remembered, bool [N]."""
    admission = Admission(AdmissionConfig(min_travel_m=travel_m, min_turn_deg=turn_deg))
    z = np.zeros(1, np.float32)
    return np.array([admission.judge(moment * step_ns, Pose(Position(*row[:3]), tuple(row[3:])),
                                     z).is_admitted for moment, row in enumerate(poses.tolist())])


def thinned(memory: Remembered, travel_m: float, turn_deg: float) -> Remembered:
    z, poses = memory
    these = kept(poses, travel_m, turn_deg, STEP_NS)
    return z[these], poses[these]


def moved(memory: Remembered, metres: float, degrees: float) -> Remembered:
    """All poses off by the same error."""
    z, poses = memory
    half = math.radians(degrees) / 2
    off, (qz, qw) = poses.copy(), poses[:, 5:].T
    off[:, 0] += metres
    off[:, 5] = qz * math.cos(half) + qw * math.sin(half)
    off[:, 6] = qw * math.cos(half) - qz * math.sin(half)
    return z, off


def squared_errors(bundle: Bundle, robot: Robot, memory: Remembered,
                   radius_m: float) -> np.ndarray:
    """Sums over a drive, float64 [3]: with memory, without, of copying."""
    ((z, poses), actions), (memory_z, memory_poses), meta = robot, memory, bundle.metadata
    sums = np.zeros(3)
    for now in range(len(z) - 1):
        apart = pose_distances_m2(poses[now:now + 1], memory_poses)[0]
        apart[np.linalg.norm(memory_poses[:, :3] - poses[now, :3], axis=1) > radius_m] = np.inf
        near = np.argsort(apart)[:meta.topk]
        near = near[np.isfinite(apart[near])]
        bank = MemoryBank(memory_z[near], poses_seen_from(poses[now], memory_poses[near]),
                          np.zeros((len(near), meta.action_dim), np.float32))
        past = slice(max(0, now - meta.history), now)
        both = bundle.foresee(z[now], actions[now], bank, History(z[past], actions[past])).z[:, 0]
        foreseen = both[0] if len(bank) else both[1]
        sums += [np.sum((guess - z[now + 1]) ** 2.0) for guess in (foreseen, both[1], z[now])]
    return sums


def tell_gain(bundle: Bundle) -> None:
    test = [one for one in plan(bench_surprise.CONFIG) if one.split == 'test']
    memories = [encoded(bundle, drive_through(one, 'frontier', 100, REMEMBERED)) for one in test]
    robots: list[Robot] = []
    for one in test:
        episode = drive_through(one, 'loops', 200, DRIVEN)
        robots.append((encoded(bundle, episode), np.asarray(episode.actions, np.float32)))

    def tell(name: str, change: Callable[[Remembered], Remembered],
             radius_m: float = RADIUS_M) -> None:
        changed = [change(memory) for memory in memories]
        with_memory, without, copying = sum(
            squared_errors(bundle, robot, memory, radius_m)
            for robot, memory in zip(robots, changed, strict=True))
        print(f'{name:28} {sum(len(z) for z, _ in changed):6} memories, error with memory '
              f'{with_memory / copying:.3f}, without {without / copying:.3f}', flush=True)

    for spacing in SPACINGS:
        tell(f'spacing {spacing}', lambda memory, by=spacing: thinned(memory, *by))
    for error in ERRORS:
        tell(f'off by {error}', lambda memory, by=error: moved(memory, *by))
    for radius_m in RADII_M:
        tell(f'radius {radius_m} m', lambda memory: memory, radius_m)


def tell_spacing(maps: int = 8, steps: int = 6000, rate_hz: float = 20.0) -> None:
    config = replace(bench_surprise.CONFIG, maps=maps, test_maps=0, rate_hz=rate_hz, steps=steps)
    paths = [drive(Rooms2D(config.world(one.map_seed)), one.policy, one.turn, steps, 1.7e9,
                   one.map_id, with_depth=False).poses for one in plan(config)]
    metres = sum(np.linalg.norm(np.diff(path[:, :3], axis=0), axis=1).sum() for path in paths)
    for spacing in SPACINGS:
        count = sum(kept(path, *spacing, round(1e9 / rate_hz)).sum() for path in paths)
        print(f'{metres:.0f} m at {rate_hz:g} Hz, spacing {spacing}: {count / metres:.2f} '
              'memories a metre', flush=True)


def tell_cells(count: int = 100_000, resolutions: Iterable[int] = range(10, 16)) -> None:
    rows, lot = scattered_memories(count), np.random.default_rng(1)
    for resolution in resolutions:
        spec = JournalSpec(h3_resolution=resolution)
        rows = replace(rows, cells=cell_numbers(spec, rows.positions[:, :2]))
        index = CellIndex(H3Grid(LocalFrame(), resolution), spec.z_dim)
        for start in range(0, count, BATCH):
            index.add(part(rows, start, BATCH))
        for radius_m in (RADIUS_M, 25.0):
            times = []
            for x, y in lot.uniform(-50.0, 50.0, (400, 2)):
                begun = time.process_time()
                index.search(MemoryQuery(k=8, rank_by='pose', pose=Pose(Position(x, y)),
                                         radius_m=radius_m))
                times.append(time.process_time() - begun)
            print(f'resolution {resolution}: {count / index.cell_count:.1f} memories a cell, '
                  f'within {radius_m:g} m {np.median(times) * 1e3:.3f} ms', flush=True)


def main() -> None:
    tell_cells()
    tell_spacing()
    tell_gain(Bundle.load(shipped_model()))


if __name__ == '__main__':
    main()
