"""Pictures with their poses, in memory: what perception learns from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.records import Vector
from spatial_rag_core.spatial.pose_arrays import PoseArray

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class FrameSet:
    """
    N pictures of one map or several; raises TrainingError where the rows do not fit together.

    rgb: uint8 [N, S, S, 3].  poses: float64 [N, 7], unit quaternions.  map_index,
    episode_index: int64 [N], which map and which drive.  stamps: float64 [N] [s].
    depth_m: float32 [N, S, S] [m], 0 where unknown.  proprio: float32 [N, P], NaN where unknown.
    """

    rgb: NDArray[np.uint8]
    poses: PoseArray
    map_index: NDArray[np.int64]
    episode_index: NDArray[np.int64]
    stamps: NDArray[np.float64]
    depth_m: Vector | None = None
    proprio: Vector | None = None

    def __post_init__(self) -> None:
        shape = self.rgb.shape
        if self.rgb.dtype != np.uint8 or self.rgb.ndim != 4 or shape[1:] != (shape[1],) * 2 + (3,):
            raise TrainingError('rgb must be square pictures uint8 [N, S, S, 3], got '
                                f'{self.rgb.dtype} {list(shape)}; resize them first')
        for name in ('poses', 'map_index', 'episode_index', 'stamps', 'depth_m', 'proprio'):
            rows = getattr(self, name)
            if rows is not None and len(rows) != len(self.rgb):
                raise TrainingError(f'{len(self.rgb)} pictures, but {len(rows)} rows of {name}; '
                                    'read the episodes again')

    def __len__(self) -> int:
        """Return the number of pictures, N."""
        return len(self.rgb)

    @property
    def side(self) -> int:
        """Side of the pictures, S [px]."""
        return int(self.rgb.shape[1])

    def take(self, rows: NDArray[Any]) -> FrameSet:
        """Return a copy of some rows: indices, or bool [N]."""
        return FrameSet(self.rgb[rows], self.poses[rows], self.map_index[rows],
                        self.episode_index[rows], self.stamps[rows],
                        None if self.depth_m is None else self.depth_m[rows],
                        None if self.proprio is None else self.proprio[rows])

    def spread(self, count: int) -> FrameSet:
        """Return at most `count` rows, evenly spaced."""
        if len(self) <= count:
            return self
        return self.take(np.linspace(0, len(self) - 1, count).round().astype(np.int64))

    @classmethod
    def from_episodes(cls, episodes: Sequence[Episode], *, every: int = 1,
                      depth: bool = False, proprio: bool = False) -> FrameSet:
        """
        Join episodes; those of one map_id share a map, one without a map_id has its own.

        every: take each so-manieth moment.  depth, proprio: take them too; where an episode has
        none they are unknown.  Raises TrainingError where there is no episode.
        """
        if not episodes:
            raise TrainingError('no episodes to learn from; make some: spatial-rag data generate')
        maps: dict[str, int] = {}
        names = [e.map_id or f'episode {index}' for index, e in enumerate(episodes)]
        numbers = [maps.setdefault(name, len(maps)) for name in names]
        parts = [e.rgb[::every] for e in episodes]
        lengths = [len(part) for part in parts]
        return cls(np.concatenate(parts), np.concatenate([e.poses[::every] for e in episodes]),
                   np.repeat(numbers, lengths), np.repeat(np.arange(len(parts)), lengths),
                   np.concatenate([e.stamps[::every] for e in episodes]),
                   _depths(episodes, every) if depth else None,
                   _proprio(episodes, every) if proprio else None)


def _depths(episodes: Sequence[Episode], every: int) -> Vector:
    return np.concatenate([
        np.zeros(e.rgb[::every].shape[:3], np.float32) if e.depth_m is None
        else e.depth_m[::every] for e in episodes])


def _proprio(episodes: Sequence[Episode], every: int) -> Vector | None:
    widths = {e.proprio.shape[1] for e in episodes if e.proprio is not None}
    if len(widths) > 1:
        raise TrainingError(f'episodes with proprioception of {sorted(widths)} numbers; train on '
                            'those of one robot')
    if not widths:
        return None
    return np.concatenate([
        np.full((len(e.rgb[::every]), *widths), np.nan, np.float32) if e.proprio is None
        else e.proprio[::every] for e in episodes])
