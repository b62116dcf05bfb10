"""Latent tracks for tests: drives that come back to where they were."""

from __future__ import annotations

from spatial_rag_core.training.latent_tracks import join_tracks, LatentTrack

import numpy as np

Z_DIM = 4


def drive(map_id: str = 'home', begin_sec: float = 0.0, count: int = 60, step_sec: float = 0.2,
          stride: int = 1, seed: int = 0, is_asked: bool = True) -> LatentTrack:
    """A ring of 2 m radius, once a minute and a bit aside; z[:, 0] tells the time of each."""
    lot = np.random.default_rng(seed)
    stamps = begin_sec + np.arange(count) * step_sec / stride
    turn = stamps * 2 * np.pi / 60
    poses = np.zeros((count, 7))
    poses[:, 0], poses[:, 1] = 2 * np.cos(turn), 2 * np.sin(turn)
    poses[:, :2] += lot.normal(size=(count, 2)) * 0.1
    poses[:, 5], poses[:, 6] = np.sin(turn / 2), np.cos(turn / 2)
    z = lot.normal(size=(count, Z_DIM)).astype(np.float32)
    z[:, 0] = stamps
    return LatentTrack(map_id, z, lot.normal(size=(count, 2)).astype(np.float32), poses, stamps,
                       np.zeros(count, np.int64), np.full(count, is_asked), stride)


def home(stride: int = 1, drives: int = 3) -> LatentTrack:
    """Three drives of twelve seconds, half a minute apart from start to start."""
    parts = [drive(begin_sec=1000.0 + 31.0 * number, stride=stride, seed=number,
                   count=60 * stride) for number in range(drives)]
    return join_tracks(parts)[0]
