"""Encoded episodes, joined by map: what the dynamics learn from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spatial_rag_core.data.episodes.episode import ActionsFrom
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.records import Vector
from spatial_rag_core.spatial.pose_arrays import PoseArray

import numpy as np
from numpy.typing import NDArray

COLLECT_ANEW = 'collect all of them anew, into another file, with --actions motion'
"""The remedy where some drives tell commands and others past motion."""


@dataclass(frozen=True, eq=False)
class LatentTrack:
    """
    All that was seen of one map, N moments in order of time, of one drive or several.

    z: float32 [N, z_dim].  actions: float32 [N, A], of a step as it stands at each moment:
    what actions_from says, see Episode and step_actions.
    poses: float64 [N, 7].  stamps: float64 [N] [s], ascending.  drives: int64 [N], which drive a
    moment belongs to.  is_asked: bool [N]; windows begin only where it is True, the rest is only
    remembered.  stride: moments from one step of the world model to the next.
    """

    map_id: str
    z: Vector
    actions: Vector
    poses: PoseArray
    stamps: NDArray[np.float64]
    drives: NDArray[np.int64]
    is_asked: NDArray[np.bool_]
    stride: int = 1
    actions_from: ActionsFrom = 'commands'

    def __post_init__(self) -> None:
        rows = {name: len(getattr(self, name)) for name in
                ('z', 'actions', 'poses', 'stamps', 'drives', 'is_asked')}
        if len(set(rows.values())) > 1:
            raise TrainingError(f'map {self.map_id}: its rows differ, {rows}; encode the episodes '
                                'again')
        if (np.diff(self.stamps) <= 0).any():
            raise TrainingError(f'map {self.map_id}: its drives overlap in time; give each map '
                                'episodes one after the other')

    def __len__(self) -> int:
        return len(self.z)

    @property
    def memory_actions(self) -> Vector:
        """What led to each moment, float32 [N, A]; zeros at the start of a drive."""
        led: Vector = self.actions.copy()
        if self.actions_from == 'commands':
            led[self.stride:] = self.actions[:-self.stride]
        begins = np.ones(len(self), bool)
        begins[self.stride:] = self.drives[self.stride:] != self.drives[:-self.stride]
        led[begins] = 0.0
        return led

    @property
    def longest_drive(self) -> int:
        """Steps in a row that the longest drive asked about has; -1 where none is."""
        asked = self.drives[self.is_asked]
        return (int(np.bincount(asked).max()) - 1) // self.stride if len(asked) else -1

    def starts(self, before: int, after: int) -> NDArray[np.int64]:
        """Moments with `before` steps of the same drive before them and `after` behind."""
        first = np.arange(before * self.stride, len(self) - after * self.stride)
        same = (self.drives[first - before * self.stride]
                == self.drives[first + after * self.stride])
        found: NDArray[np.int64] = first[same & self.is_asked[first]]
        return found


def join_tracks(parts: Iterable[LatentTrack]) -> list[LatentTrack]:
    """One track for each map, its drives in order of time."""
    by_map: dict[str, list[LatentTrack]] = {}
    for part in parts:
        by_map.setdefault(part.map_id, []).append(part)
    return [_joined(sorted(drives, key=lambda drive: float(drive.stamps[0])))
            for drives in by_map.values()]


def _joined(drives: Sequence[LatentTrack]) -> LatentTrack:
    first = drives[0]
    for other in drives[1:]:
        if other.stride != first.stride:
            raise TrainingError(f'map {first.map_id}: one drive has {first.stride} moments in a '
                                f'step, another {other.stride}; collect them at one rate_hz')
        if other.actions.shape[1] != first.actions.shape[1]:
            raise TrainingError(f'map {first.map_id}: actions of {first.actions.shape[1]} and of '
                                f'{other.actions.shape[1]} numbers; collect them with one '
                                'ACTION_DIM')
        if other.actions_from != first.actions_from:
            raise TrainingError(f'map {first.map_id}: the actions of one drive are '
                                f'{first.actions_from}, of another {other.actions_from}; '
                                f'{COLLECT_ANEW}')
    number = np.concatenate([np.full(len(drive), index) for index, drive in enumerate(drives)])
    joined = {name: np.concatenate([getattr(drive, name) for drive in drives])
              for name in ('z', 'actions', 'poses', 'stamps', 'is_asked')}
    return LatentTrack(first.map_id, drives=number.astype(np.int64), stride=first.stride,
                       actions_from=first.actions_from, **joined)
