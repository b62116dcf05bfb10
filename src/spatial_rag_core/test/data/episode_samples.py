"""Episodes for tests, that differ in everything, and whether two are the same."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

from spatial_rag_core.data.episodes.episode import ACTIONS_FROM, Episode, Split, SPLITS
from spatial_rag_core.data.episodes.episode_file import EpisodeReader, EpisodeWriter

import numpy as np


def episode(n: int = 0, length: int = 20, side: int = 8, **changes: object) -> Episode:
    """The n-th; its depth is in whole millimetres, so that a file gives it back to the bit."""
    chance = np.random.default_rng(n)
    turns = chance.normal(size=(length, 4))
    poses = np.concatenate([chance.normal(size=(length, 3)),
                            turns / np.linalg.norm(turns, axis=1, keepdims=True)], axis=1)
    depth_mm = chance.integers(0, 65536, (length, side, side))
    plain = Episode(
        '', chance.integers(0, 256, (length, side, side, 3), dtype=np.uint8),
        chance.normal(size=(length, 2)).astype(np.float32), poses,
        1.76e9 + 1000.0 * n + np.arange(length) / 5, 5.0, f'map-{n}', n,
        depth_mm.astype(np.float32) * np.float32(0.001),
        chance.normal(size=(length, 3)).astype(np.float32), f'session-{n}', f'robot-{n % 2}',
        'test', ACTIONS_FROM[n % 2])
    return replace(plain, **changes)  # type: ignore[arg-type]


def split_of(n: int) -> Split:
    return SPLITS[n % 3]


def make(path: Path, count: int) -> Path:
    """A file that was closed."""
    with EpisodeWriter(path) as writer:
        for n in range(count):
            assert writer.append(episode(n), split_of(n)) == f'demo_{n}'
    return path


def whole(path: Path, count: int) -> bool:
    """Whether a file holds exactly the first so many, all of them as they were."""
    with EpisodeReader(path) as reader:
        found = list(reader.read_all())
        return len(found) == count and reader.total == 20 * count and all(
            is_same(one, episode(n)) and reader.facts(one.name).splits == (split_of(n),)
            for n, one in enumerate(found))


def is_same(one: Episode, other: Episode) -> bool:
    """Whether all but the names are equal."""
    return all(_equal(getattr(one, field.name), getattr(other, field.name))
               for field in fields(Episode) if field.name != 'name')


def _equal(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and np.allclose(one, other, rtol=0, atol=1e-15)
    return type(one) is type(other) and one == other
