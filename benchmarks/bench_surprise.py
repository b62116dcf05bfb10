"""
Does the gate on memory leave out what misleads, and only that?

A robot drives through each of MAPS rooms that no training saw, at 5 Hz, and foresees each moment
with memories and without. Its memory is another drive through the same rooms; or through the
same after half of it has changed; or through other rooms, as with a wrong map_id; or through the
same rooms but with poses 1 m and 30 degrees off. Errors are squared and as shares of those of
copying the present. Also: what foreseeing twice costs.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
import math
from pathlib import Path
import time

from spatial_rag_bringup.defaults import shipped_model
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.generate import drive
from spatial_rag_core.data.generate_plan import GenerateConfig, plan, PlannedEpisode
from spatial_rag_core.data.rooms.rooms2d import Rooms2D
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.imagined import History
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.spatial.pose_arrays import pose_distances_m2, poses_seen_from
from spatial_rag_core.streams.memory_gate import GateConfig, MemoryGate
from spatial_rag_core.streams.prediction_errors import Foreseen, PredictionErrors, Surprise

import numpy as np

MAPS, REMEMBERED, DRIVEN, CHANGE = 8, 1500, 600, 1
STEP_NS = 200_000_000
CONFIG = GenerateConfig(maps=1, test_maps=MAPS, with_depth=False)
Remembered = tuple[np.ndarray, np.ndarray]
"""Latents [N, z_dim] and poses [N, 7]."""


def drive_through(planned: PlannedEpisode, policy: str, turn: int, steps: int,
                  change: int | None = None) -> Episode:
    world = CONFIG.world(planned.map_seed)
    return drive(Rooms2D(world if change is None else replace(world, change_seed=change)), policy,
                 turn, steps, 1.7e9, planned.map_id, with_depth=False)


def encoded(bundle: Bundle, episode: Episode) -> Remembered:
    return bundle.encode_images(episode.rgb), episode.poses


def moved(memory: Remembered) -> Remembered:
    """Poses as of a localisation that has drifted."""
    z, poses = memory
    half = math.radians(30.0) / 2
    x, y, qz, qw = poses[:, 0], poses[:, 1], poses[:, 5], poses[:, 6]
    turned = np.stack([x + 1.0, y, *np.zeros((3, len(x))), qz * math.cos(half) + qw * math.sin(
        half), qw * math.cos(half) - qz * math.sin(half)], axis=1)
    return z, turned


def foreseen(bundle: Bundle, robot: Remembered, actions: np.ndarray,
             memory: Remembered) -> Iterator[Surprise]:
    """Judge each moment but the first."""
    (z, poses), (memory_z, memory_poses), meta = robot, memory, bundle.metadata
    errors = PredictionErrors(meta.step_sec)
    for now in range(len(z)):
        surprise = errors.seen(now * STEP_NS, z[now])
        if surprise is not None:
            yield surprise
        apart = pose_distances_m2(poses[now:now + 1], memory_poses)[0]
        near = np.argsort(apart)[:meta.topk]
        near = near[np.linalg.norm(memory_poses[near, :3] - poses[now, :3], axis=1) < 5.0]
        bank = MemoryBank(memory_z[near], poses_seen_from(poses[now], memory_poses[near]),
                          np.zeros((len(near), meta.action_dim), np.float32))
        past = slice(max(0, now - meta.history), now)
        both = bundle.foresee(z[now], actions[now], bank, History(z[past], actions[past]))
        errors.add(Foreseen(now * STEP_NS, z[now], both.z[0, 0] if len(bank) else None,
                            both.z[1, 0], True))


def tell(name: str, drives: list[list[Surprise]]) -> None:
    shares, left_out, published, used = [], [], [], []
    for surprises in drives:
        gate = MemoryGate(GateConfig())
        for surprise in surprises:
            has = not math.isnan(surprise.with_memory)
            with_memory = surprise.with_memory if has else surprise.without_memory
            out = surprise.without_memory if not gate.is_open else with_memory
            published.append(out ** 2)
            used.append(with_memory ** 2)
            left_out.append(not gate.is_open)
            shares.append((surprise.without_memory ** 2, surprise.copying ** 2))
            gate.judge(replace(surprise, error=out))
    without, copying = np.sum(shares, axis=0)
    print(f'{name:24} without {without / copying:.3f}, with {sum(used) / copying:.3f}, as '
          f'published {sum(published) / copying:.3f}; left out {np.mean(left_out):.1%} of the '
          f'time')


def cost(bundle: Bundle) -> None:
    meta, draw = bundle.metadata, np.random.default_rng(0)
    n, pose = meta.topk, np.zeros((meta.topk, 9), np.float32)
    pose[:, [3, 7]] = 1.0
    bank = MemoryBank(draw.normal(size=(n, meta.z_dim)).astype(np.float32), pose,
                      np.zeros((n, meta.action_dim), np.float32))
    z, action = np.zeros(meta.z_dim, np.float32), np.zeros(meta.action_dim, np.float32)
    times: dict[str, list[float]] = {'predict_next': [], 'foresee': []}
    for _ in range(500):
        for name, call in (
                ('predict_next', lambda: bundle.predict_next(z, action, bank.z, bank.pose)),
                ('foresee', lambda: bundle.foresee(z, action, bank))):
            begun = time.perf_counter()
            call()
            times[name].append((time.perf_counter() - begun) * 1e3)
    for name, values in times.items():
        p50, p99 = np.percentile(values[50:], (50, 99))
        print(f'{name}: {p50:.2f} / {p99:.2f} ms')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--model', type=Path, default=None, help='bundle; default: what ships')
    bundle = Bundle.load(parser.parse_args().model or shipped_model())
    cost(bundle)
    test = [planned for planned in plan(CONFIG) if planned.split == 'test']
    memories = [encoded(bundle, drive_through(one, 'frontier', 100, REMEMBERED)) for one in test]
    cases: dict[str, list[list[Surprise]]] = {}
    for number, planned in enumerate(test):
        episode = drive_through(planned, 'loops', 200, DRIVEN)
        robot, actions = encoded(bundle, episode), np.asarray(episode.actions, np.float32)
        changed = encoded(bundle, drive_through(planned, 'frontier', 100, REMEMBERED, CHANGE))
        for name, memory in (('the same rooms', memories[number]), ('before a change', changed),
                             ('other rooms', memories[number - 1]),
                             ('poses off', moved(memories[number]))):
            cases.setdefault(name, []).append(list(foreseen(bundle, robot, actions, memory)))
    for name, drives in cases.items():
        tell(name, drives)


if __name__ == '__main__':
    main()
