"""A driver that makes one round of all rooms, the same for ever."""

from __future__ import annotations

import math

from spatial_rag_core.data.exploring.routes import cell_at
from spatial_rag_core.data.exploring.steering import Steering
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.records import Pose

import numpy as np
from numpy.typing import NDArray

_ARRIVED_M = 0.5


class PatrolPolicy:
    """
    Drives from room to room, each time to the nearest that the round has not had.

    The seed chooses where the round starts and which of its viewpoints stands for each room.
    cruise_m_s is its speed on the straight [m/s].
    """

    def __init__(self, room_map: RoomMap, seed: int, cruise_m_s: float = 1.0) -> None:
        self._map = room_map
        self._steering = Steering(room_map, cruise_m_s)
        self._round = self._plan(np.random.default_rng(seed))
        self._stop = 0

    def act(self, pose: Pose) -> NDArray[np.float32]:
        """Return the action for a pose: float32 [2], speed [m/s] and turn rate [rad/s]."""
        if math.dist((pose.position.x, pose.position.y), self._round[self._stop]) < _ARRIVED_M:
            self._stop = (self._stop + 1) % len(self._round)
        return self._steering.towards(self._round[self._stop], pose)

    def _plan(self, rng: np.random.Generator) -> list[tuple[float, float]]:
        left = [(float(x), float(y)) for x, y in
                (places[rng.integers(2)] for places in self._map.viewpoints)]
        stops = [left.pop(int(rng.integers(len(left))))]
        while left:
            nearest = min(left, key=lambda stop: self._way_cost(stops[-1], stop))
            left.remove(nearest)
            stops.append(nearest)
        return stops

    def _way_cost(self, start: tuple[float, float], end: tuple[float, float]) -> float:
        routes = self._steering.routes(end)
        row, column = cell_at(*start)
        return routes.cost[row * routes.columns + column]
