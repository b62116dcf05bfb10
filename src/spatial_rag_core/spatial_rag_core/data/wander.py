"""A driver that tours the rooms of a RoomMap and comes back to places that it has seen."""

from __future__ import annotations

import heapq
import math

from spatial_rag_core.data.room_map import RoomMap
from spatial_rag_core.data.room_plan import CELL_M, WALL
from spatial_rag_core.records import Pose

import numpy as np
from numpy.typing import NDArray

_COMFORT_M = 0.5
_LOOK_AHEAD_CELLS = 3
_ARRIVED_M = 0.5
_LOOP_GOALS = 3
_LOOPS_FROM_ONE_START = 3
_TURN_GAIN_PER_SEC = 2.5


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
        self._cruise_m_s = cruise_m_s
        self._visits = [0] * (room_map.room_count + 1)
        self._loop: list[tuple[int, int]] = []
        self._loops = 0
        self._goal = 1, 0
        self._costs: dict[tuple[int, int], NDArray[np.float64]] = {}

    @property
    def goal(self) -> tuple[float, float]:
        """Where it drives to now, (x, y) in the map frame [m]."""
        room, place = self._goal
        x, y = self._map.viewpoints[room - 1, place]
        return float(x), float(y)

    def act(self, pose: Pose) -> NDArray[np.float32]:
        """Return the action for a pose: float32 [2], speed [m/s] and turn rate [rad/s]."""
        x, y = pose.position.x, pose.position.y
        if math.dist((x, y), self.goal) < _ARRIVED_M:
            self._choose_goal()
        target = self._next_point(x, y)
        heading = 2.0 * math.atan2(pose.orientation.z, pose.orientation.w)
        error = math.remainder(math.atan2(target[1] - y, target[0] - x) - heading, math.tau)
        speed = self._cruise_m_s * max(0.0, math.cos(error)) ** 3
        return np.array((speed, _TURN_GAIN_PER_SEC * error), np.float32)

    def _choose_goal(self) -> None:
        """Two legs to the neighbour least seen, then back; each third loop starts elsewhere."""
        here = self._goal[0]
        self._visits[here] += 1
        self._loop.append(self._goal)
        if len(self._loop) == _LOOP_GOALS:
            self._loops += 1
            start, self._loop = self._loop[0], []
            if self._loops % _LOOPS_FROM_ONE_START:
                self._goal = start
                return
        self._goal = self._least_seen_neighbour(here), int(self._rng.integers(2))

    def _least_seen_neighbour(self, here: int) -> int:
        near = {a + b - here for a, b in self._map.doors if here in (a, b)}
        fewest = min(self._visits[room] for room in near)
        return int(self._rng.choice(sorted(r for r in near if self._visits[r] == fewest)))

    def _next_point(self, x: float, y: float) -> tuple[float, float]:
        """Go down the cost a few cells from here; the middle of the last cell [m]."""
        cost = self._cost_to_goal()
        row, column = int(y / CELL_M), int(x / CELL_M)
        for _ in range(_LOOK_AHEAD_CELLS):
            window = cost[row - 1:row + 2, column - 1:column + 2]
            down, across = divmod(int(window.argmin()), 3)
            row, column = row + down - 1, column + across - 1
        return (column + 0.5) * CELL_M, (row + 0.5) * CELL_M

    def _cost_to_goal(self) -> NDArray[np.float64]:
        if self._goal not in self._costs:
            goal_x, goal_y = self.goal
            cell = int(goal_y / CELL_M), int(goal_x / CELL_M)
            self._costs[self._goal] = cost_to(self._map, cell)
        return self._costs[self._goal]


def cost_to(room_map: RoomMap, goal: tuple[int, int]) -> NDArray[np.float64]:
    """
    Cost of the best way from each cell to the cell goal (row, column); inf where none leads.

    Dijkstra's algorithm on the eight neighbours; a cell close to a wall costs more.
    Returns float64 [rows, columns], in cells.
    """
    crowding = np.maximum(0.0, 1.0 - room_map.clearance_m / _COMFORT_M)
    price = np.where(room_map.cells == WALL, np.inf, 1.0 + 20.0 * crowding ** 2)
    price[room_map.clearance_m <= 0.0] = np.inf
    prices = price.tolist()
    cost = np.full(price.shape, np.inf)
    queue = [(0.0, *goal)]
    while queue:
        so_far, row, column = heapq.heappop(queue)
        if so_far >= cost[row, column]:
            continue
        cost[row, column] = so_far
        for down, across, length in _NEIGHBOURS:
            step = length * prices[row + down][column + across]
            if step < math.inf:
                heapq.heappush(queue, (so_far + step, row + down, column + across))
    return cost


_NEIGHBOURS = [(down, across, math.hypot(down, across))
               for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
