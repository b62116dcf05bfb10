"""What a robot could have remembered at a moment, asked of the journal's own index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.records import MemoryQuery, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.spatial.seen_again import replaced_at
from spatial_rag_core.training.latent_tracks import LatentTrack

import numpy as np
from numpy.typing import NDArray

_H3_RESOLUTION = 13


@dataclass(frozen=True)
class FenceConfig:
    """
    Which memories a prediction may see; raises ConfigurationError.

    fence_sec: what is newer than this before the present is no memory yet [s].
    reach_m: how far around the robot it looks for memories [m].  most: how many it takes.
    """

    fence_sec: float = 5.0
    reach_m: float = 6.0
    most: int = 256

    def __post_init__(self) -> None:
        if self.fence_sec <= 0.0 or self.reach_m <= 0.0:
            raise ConfigurationError('fence_sec and reach_m must be > 0, got '
                                     f'{self.fence_sec} s and {self.reach_m} m')
        if not 1 <= self.most <= 10_000:
            raise ConfigurationError(f'most must lie between 1 and 10000, got {self.most}')


class MapMemory:
    """
    The memories of one map in an index; a memory's sequence number is its moment + 1.

    Moments are best asked about in order of time: what a newer view has replaced leaves the
    index, and going back fills it anew.
    """

    def __init__(self, track: LatentTrack) -> None:
        self._track = track
        self._replaced_at = replaced_at(track.poses, track.stamps)
        self._now, self._index = -math.inf, self._filled()

    def known_at(self, moment: int, fence: FenceConfig) -> NDArray[np.int64]:
        """
        Moments that are memories around the robot at `moment`, nearest pose first, at most most.

        All are at least fence_sec older. Where a place was seen again, the newer view stands.
        """
        pose = self._track.poses[moment]
        before = float(self._track.stamps[moment] - fence.fence_sec)
        self._let_replaced_go(before)
        found = self._index.search(MemoryQuery(
            k=fence.most, rank_by='pose', radius_m=fence.reach_m, before=before,
            pose=Pose(Position(*pose[:3]), Quaternion(*pose[3:]))))
        return np.array([hit.seq - 1 for hit in found], np.int64)

    def _let_replaced_go(self, now: float) -> None:
        if now < self._now:
            self._now, self._index = -math.inf, self._filled()
        gone = (self._replaced_at > self._now) & (self._replaced_at <= now)
        if gone.any():
            self._index.remove(np.flatnonzero(gone) + 1)
        self._now = now

    def _filled(self) -> CellIndex:
        track, count = self._track, len(self._track)
        grid = H3Grid(LocalFrame(), _H3_RESOLUTION)
        positions = track.poses[:, :3]
        index = CellIndex(grid, track.z.shape[1])
        index.add(IndexRows(
            seqs=np.arange(1, count + 1), vectors=track.z, positions=positions,
            cells=np.array([grid.cell_number(Position(*place)) for place in positions],
                           np.uint64),
            orientations=track.poses[:, 3:].astype(np.float32), timestamps=track.stamps,
            contexts=np.zeros(count, np.int32), context_table={0: Context()}))
        return index


def bank_rows(tracks: Sequence[LatentTrack], moments: Sequence[NDArray[np.int64]],
              fence: FenceConfig) -> list[NDArray[np.int64]]:
    """For each map, the memories of each of its moments, int64 [moments, most], -1: none."""
    tables = []
    for track, wanted in zip(tracks, moments, strict=True):
        memory = MapMemory(track)
        table = np.full((len(wanted), fence.most), -1, np.int64)
        for line, moment in enumerate(wanted):
            rows = memory.known_at(int(moment), fence)
            table[line, :len(rows)] = rows
        tables.append(table)
    return tables
