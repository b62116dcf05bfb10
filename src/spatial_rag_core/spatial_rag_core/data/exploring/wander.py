"""A driver that tours the rooms of a RoomMap and comes back to places that it has seen."""

from __future__ import annotations

import math

from spatial_rag_core.data.exploring.steering import Steering
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.records import Pose

import numpy as np
from numpy.typing import NDArray

_ARRIVED_M = 0.5
_LOOP_GOALS = 3
_LOOPS_FROM_ONE_START = 3


class WanderPolicy:
    """
    Drives in loops for ever: two rooms onwards through the doors, then mostly back.

    So it sees the same places again, and in time every room.  Its goals are the map's
    viewpoints; cruise_m_s is its speed on the straight [m/s].  The same seed and the same poses
    give the same actions.
    """

    def __init__(self, room_map: RoomMap, seed: int, cruise_m_s: float = 1.0) -> None:
        self._map = room_map
        self._rng = np.random.default_rng(seed)
        self._steering = Steering(room_map, cruise_m_s)
        self._visits = [0] * (room_map.room_count + 1)
        self._loop: list[tuple[int, int]] = []
        self._loops = 0
        self._goal: tuple[int, int] | None = None

    def act(self, pose: Pose) -> NDArray[np.float32]:
        """Return the action for a pose: float32 [2], speed [m/s] and turn rate [rad/s]."""
        here = pose.position.x, pose.position.y
        if self._goal is None:
            gaps = np.hypot(*np.moveaxis(self._map.viewpoints - here, 2, 0))
            room, place = np.unravel_index(gaps.argmin(), gaps.shape)
            self._goal = int(room) + 1, int(place)
        if math.dist(here, self._point(self._goal)) < _ARRIVED_M:
            self._goal = self._next_goal(self._goal)
        return self._steering.towards(self._point(self._goal), pose)

    def _point(self, goal: tuple[int, int]) -> tuple[float, float]:
        x, y = self._map.viewpoints[goal[0] - 1, goal[1]]
        return float(x), float(y)

    def _next_goal(self, goal: tuple[int, int]) -> tuple[int, int]:
        """Two legs to the neighbour least seen, then back; each third loop starts elsewhere."""
        here = goal[0]
        self._visits[here] += 1
        self._loop.append(goal)
        if len(self._loop) == _LOOP_GOALS:
            self._loops += 1
            start, self._loop = self._loop[0], []
            if self._loops % _LOOPS_FROM_ONE_START:
                return start
        return self._least_seen_neighbour(here), int(self._rng.integers(2))

    def _least_seen_neighbour(self, here: int) -> int:
        near = self._map.exits[here]
        fewest = min(self._visits[room] for room in near)
        return int(self._rng.choice([room for room in near if self._visits[room] == fewest]))
