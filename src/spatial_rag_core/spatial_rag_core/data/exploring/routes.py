"""The best ways from every cell of a RoomMap to a goal, through no door the wrong way."""

from __future__ import annotations

import heapq
import math
from typing import NamedTuple

from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_plan import CELL_M, WALL

import numpy as np

Cell = tuple[int, int]

_COMFORT_M = 0.5
_CROWDED = 20.0
_BLOCKED = 1000.0
_NO_WAY = -1


class Routes(NamedTuple):
    """
    Cells are numbered row by row.

    cost: of the best way from each cell to the goal, in cells; inf where none leads there.
    onward: the cell that follows each cell on its way; the goal follows itself, -1 is no way.
    columns: of the grid.
    """

    cost: list[float]
    onward: list[int]
    columns: int

    def ahead(self, x: float, y: float, cells: int) -> tuple[float, float]:
        """Return the middle of the cell so many cells on from a point, (x, y) [m]."""
        here = int(y / CELL_M) * self.columns + int(x / CELL_M)
        for _ in range(cells):
            here = max(self.onward[here], 0)
        row, column = divmod(here, self.columns)
        return (column + 0.5) * CELL_M, (row + 0.5) * CELL_M


def cell_at(x: float, y: float) -> Cell:
    """Return (row, column) of the cell at a point on the map [m]."""
    return int(y / CELL_M), int(x / CELL_M)


def routes_to(room_map: RoomMap, goal: Cell) -> Routes:
    """Follow all ways back from a cell (Dijkstra's algorithm on the eight neighbours)."""
    prices, barred = _prices(room_map), _barred(room_map)
    columns = room_map.cells.shape[1]
    neighbours = [(down * columns + across, math.hypot(down, across))
                  for down in (-1, 0, 1) for across in (-1, 0, 1) if down or across]
    start = goal[0] * columns + goal[1]
    cost, onward = [math.inf] * len(prices), [_NO_WAY] * len(prices)
    cost[start], onward[start] = 0.0, start
    queue = [(0.0, start)]
    while queue:
        so_far, cell = heapq.heappop(queue)
        if so_far > cost[cell]:
            continue
        for offset, length in neighbours:
            before = cell + offset
            total = so_far + length * prices[before]
            if total < cost[before] and (before, cell) not in barred:
                cost[before], onward[before] = total, cell
                heapq.heappush(queue, (total, before))
    return Routes(cost, onward, columns)


def _prices(room_map: RoomMap) -> list[float]:
    """What it costs to leave each cell: more beside a wall, inf in one."""
    crowding = np.maximum(0.0, 1.0 - room_map.clearance_m / _COMFORT_M)
    price = np.where(room_map.clearance_m > 0.0, 1.0 + _CROWDED * crowding**2, _BLOCKED)
    prices: list[float] = np.where(room_map.cells == WALL, np.inf, price).ravel().tolist()
    return prices


def _barred(room_map: RoomMap) -> set[Cell]:
    columns = room_map.cells.shape[1]
    return {(start[0] * columns + start[1], end[0] * columns + end[1])
            for door in room_map.one_way for start, end in door.barred_moves()}
