"""A driver that goes where it has not been, then where it has not been for longest."""

from __future__ import annotations

from spatial_rag_core.data.exploring.steering import Steering
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_plan import CELL_M
from spatial_rag_core.records import Pose

import numpy as np
from numpy.typing import NDArray

_TILE_CELLS = 4
_ROOM_TO_STAND_M = 0.3
_SEEN_WITHIN_M = 0.7
_CHOICE_NOISE_M = 1.0


class FrontierPolicy:
    """
    Covers the whole floor, tile by tile of 1 m, for ever.

    Of the tiles that were visited longest ago, or never, it takes one near by.
    cruise_m_s is its speed on the straight [m/s].
    """

    def __init__(self, room_map: RoomMap, seed: int, cruise_m_s: float = 1.0) -> None:
        self._rng = np.random.default_rng(seed)
        self._steering = Steering(room_map, cruise_m_s)
        self._tiles = _tiles(room_map)
        self._seen_at = np.full(len(self._tiles), -1)
        self._acts = 0
        self._goal = 0

    def act(self, pose: Pose) -> NDArray[np.float32]:
        """Return the action for a pose: float32 [2], speed [m/s] and turn rate [rad/s]."""
        gaps = np.hypot(*(self._tiles - (pose.position.x, pose.position.y)).T)
        self._seen_at[gaps < _SEEN_WITHIN_M] = self._acts
        if self._acts == 0 or gaps[self._goal] < _SEEN_WITHIN_M:
            self._goal = self._choose(gaps)
        self._acts += 1
        x, y = self._tiles[self._goal]
        return self._steering.towards((float(x), float(y)), pose)

    def _choose(self, gaps: NDArray[np.float64]) -> int:
        oldest = np.flatnonzero(self._seen_at == self._seen_at.min())
        noise = self._rng.uniform(0.0, _CHOICE_NOISE_M, len(oldest))
        return int(oldest[np.argmin(gaps[oldest] + noise)])


def _tiles(room_map: RoomMap) -> NDArray[np.float64]:
    """Take the most open cell of each tile where a robot can stand, [tiles, (x, y)] [m]."""
    is_floor = (room_map.cells > 0) & (room_map.clearance_m >= _ROOM_TO_STAND_M)
    places = np.argwhere(is_floor)
    places = places[np.argsort(-room_map.clearance_m[is_floor], kind='stable')]
    _, first = np.unique(places // _TILE_CELLS, axis=0, return_index=True)
    return np.array((places[first][:, ::-1] + 0.5) * CELL_M, np.float64)
