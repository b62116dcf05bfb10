from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from spatial_rag_core.training.frames import FrameSet

import numpy as np
import pytest
import torch

SIDE = 32


@pytest.fixture(scope='module', autouse=True)
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='session')
def make_frames() -> Callable[..., FrameSet]:
    return _make_frames


def _make_frames(maps: int = 2, per_map: int = 60, **extra: Any) -> FrameSet:
    """Views from a ring of 10 m in each map, walked twice; waves of colour tell where."""
    count = maps * per_map
    map_index = np.repeat(np.arange(maps), per_map)
    turn = np.tile(np.arange(per_map) * 2 / per_map, maps) % 1.0 * 2 * np.pi
    poses = np.zeros((count, 7))
    poses[:, 0], poses[:, 1] = 10 / (2 * np.pi) * np.cos(turn), 10 / (2 * np.pi) * np.sin(turn)
    poses[:, 5], poses[:, 6] = np.sin(turn / 2), np.cos(turn / 2)
    across = np.linspace(0, 2 * np.pi, SIDE)
    waves = [np.sin((k + 1) * turn[:, None] + across + map_index[:, None]) for k in range(3)]
    rgb = (127.5 + 120 * np.stack(waves, axis=-1)).astype(np.uint8)  # [N, S, 3]
    return FrameSet(np.repeat(rgb[:, None], SIDE, axis=1), poses, map_index, map_index,
                    np.tile(np.arange(per_map, dtype=np.float64), maps), **extra)
