"""Driving towards a place on a RoomMap, around what stands in the way."""

from __future__ import annotations

import math

from spatial_rag_core.data.exploring.routes import Cell, cell_at, Routes, routes_to
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.records import Pose
from spatial_rag_core.spatial.heading import heading_of

import numpy as np
from numpy.typing import NDArray

_LOOK_AHEAD_CELLS = 3
_CROWDED_M = 0.5
_BODY_M = 0.2
_TURN_GAIN_PER_SEC = 2.5


class Steering:
    """
    Follows the best way to a goal, slowly where it has to turn.

    cruise_m_s: speed on the straight [m/s].
    """

    def __init__(self, room_map: RoomMap, cruise_m_s: float) -> None:
        self._map = room_map
        self._cruise_m_s = cruise_m_s
        self._routes: dict[Cell, Routes] = {}

    def towards(self, goal: tuple[float, float], pose: Pose) -> NDArray[np.float32]:
        """Return the action for a pose: float32 [2], speed [m/s] and turn rate [rad/s]."""
        x, y = pose.position.x, pose.position.y
        target_x, target_y = self._target(self.routes(goal), x, y)
        error = math.remainder(math.atan2(target_y - y, target_x - x) - heading_of(pose), math.tau)
        speed = self._cruise_m_s * max(0.0, math.cos(error)) ** 3
        return np.array((speed, _TURN_GAIN_PER_SEC * error), np.float32)

    def _target(self, routes: Routes, x: float, y: float) -> tuple[float, float]:
        """Look ahead as far as nothing stands in the straight way; a corner is not cut."""
        far = routes.ahead(x, y, _LOOK_AHEAD_CELLS)
        if self._map.clearance_m[cell_at(x, y)] >= _CROWDED_M or self._is_straight(x, y, far):
            return far
        nearer = routes.ahead(x, y, 2)
        return nearer if self._is_straight(x, y, nearer) else routes.ahead(x, y, 1)

    def _is_straight(self, x: float, y: float, target: tuple[float, float]) -> bool:
        dx, dy = target[0] - x, target[1] - y
        return all(self._map.is_clear(x + part * dx, y + part * dy, _BODY_M)
                   for part in (0.2, 0.5, 0.8))

    def routes(self, goal: tuple[float, float]) -> Routes:
        """Return the ways to a point [m]; each is worked out once."""
        cell = cell_at(*goal)
        if cell not in self._routes:
            self._routes[cell] = routes_to(self._map, cell)
        return self._routes[cell]
