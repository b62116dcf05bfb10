"""Batches of pictures in pairs: each with another of the same place."""

from __future__ import annotations

from collections.abc import Iterator
import math
from typing import NamedTuple

from spatial_rag_core.records import Vector
from spatial_rag_core.spatial.pose_arrays import PoseArray
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.perception_config import PerceptionConfig

import numpy as np
from numpy.typing import NDArray
import torch
from torch import distributed
from torch.utils.data import IterableDataset

_PARTNERS = 24
_CHUNK = 256


class PairBatch(NamedTuple):
    """
    B pictures, the second half a neighbour of each of the first.

    rgb: uint8 [B, S, S, 3].  sameness: float32 [B, B], 1 for two views from one pose, 0 for
    those of other places, and for a picture with itself.  depth_m: [B, 1, S, S] or None.
    proprio: [B, P] or None.
    """

    rgb: torch.Tensor
    sameness: torch.Tensor
    depth_m: torch.Tensor | None
    proprio: torch.Tensor | None


def separations(a: PoseArray, b: PoseArray) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Distance [m] and angle [rad] between poses a [N, 7] and b [M, 7], each [N, M]."""
    apart = np.linalg.norm(a[:, None, :3] - b[None, :, :3], axis=2)
    cosine = np.minimum(np.abs(a[:, 3:] @ b[:, 3:].T), 1.0)
    return apart, 2.0 * np.arccos(cosine)


class PairSampler:
    """Draws batches from a FrameSet; a picture without a neighbour is its own."""

    def __init__(self, frames: FrameSet, config: PerceptionConfig, seed: int) -> None:
        self.frames, self.config = frames, config
        self._maps = [np.flatnonzero(frames.map_index == index)
                      for index in np.unique(frames.map_index)]
        self._share = np.array([len(rows) for rows in self._maps]) / len(frames)
        self._partners = self._find_partners(np.random.default_rng(seed))

    def draw(self, rng: np.random.Generator) -> PairBatch:
        """Return the next batch."""
        anchors = self._anchors(rng)
        partners = self._partners[anchors, rng.integers(_PARTNERS, size=len(anchors))]
        return self._batch(np.concatenate([anchors, partners]))

    def _anchors(self, rng: np.random.Generator) -> NDArray[np.int64]:
        groups = min(self.config.maps_per_batch, len(self._maps))
        chosen = rng.choice(len(self._maps), groups, replace=False, p=self._share)
        sizes = np.full(groups, self.config.batch_size // 2 // groups)
        sizes[:self.config.batch_size // 2 - sizes.sum()] += 1
        return np.concatenate([rng.choice(self._maps[index], size, len(self._maps[index]) < size)
                               for index, size in zip(chosen, sizes, strict=True)])

    def _batch(self, rows: NDArray[np.int64]) -> PairBatch:
        frames = self.frames
        return PairBatch(
            torch.from_numpy(frames.rgb[rows]), torch.from_numpy(self._sameness(rows)),
            None if frames.depth_m is None else torch.from_numpy(
                frames.depth_m[rows].astype(np.float32))[:, None],
            None if frames.proprio is None else torch.from_numpy(frames.proprio[rows]))

    def _sameness(self, rows: NDArray[np.int64]) -> Vector:
        maps, poses = self.frames.map_index[rows], self.frames.poses[rows]
        apart_m, angle = separations(poses, poses)
        near_m, near = self.config.near_m, math.radians(self.config.near_deg)
        sameness: Vector = np.exp(
            -np.square(apart_m / near_m) - np.square(angle / near)).astype(np.float32)
        sameness[maps[:, None] != maps[None]] = 0.0
        np.fill_diagonal(sameness, 0.0)
        return sameness

    def _find_partners(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """Neighbours of each picture, int64 [N, _PARTNERS], some of them more than once."""
        found = np.empty((len(self.frames), _PARTNERS), np.int64)
        limit_m, limit = self.config.near_m, math.radians(self.config.near_deg)
        for rows in self._maps:
            poses = self.frames.poses[rows]
            for start in range(0, len(rows), _CHUNK):
                chunk = rows[start:start + _CHUNK]
                apart_m, angle = separations(self.frames.poses[chunk], poses)
                near = (apart_m <= limit_m) & (angle <= limit) & (chunk[:, None] != rows)
                for row, is_near in zip(chunk, near, strict=True):
                    others = rows[is_near]
                    found[row] = rng.choice(others, _PARTNERS) if len(others) else row
        return found


class PairBatches(IterableDataset[PairBatch]):
    """Random batches without end; each process of several devices draws its own."""

    def __init__(self, sampler: PairSampler, seed: int) -> None:
        self._sampler, self._seed = sampler, seed

    def __iter__(self) -> Iterator[PairBatch]:
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        rng = np.random.default_rng([self._seed, rank])
        while True:
            yield self._sampler.draw(rng)
