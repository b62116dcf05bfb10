"""Doors that let a robot pass one way only; they look like any other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from spatial_rag_core.data.rooms.room_plan import CELL_M, DOOR

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]

_STEPS = (0, 1), (1, 0), (0, -1), (-1, 0)


class OneWayDoor(NamedTuple):
    """
    Leads from rooms[0] to rooms[1]; towards the other side it holds a robot like a wall.

    cells: its (row, column) on the grid.  step: (rows, columns) from one room towards the other.
    low, high: its corners (x, y) [m].
    """

    rooms: Pair
    cells: tuple[Pair, ...]
    step: Pair
    low: tuple[float, float]
    high: tuple[float, float]

    def bars(self, x: float, y: float, dx: float, dy: float, radius_m: float) -> bool:
        """Tell whether a disc at (x, y) that has entered it would move back into it [m]."""
        up, right = self.step
        if dx * right + dy * up >= 0.0:
            return False
        entry_x, entry_y = self.low if up + right > 0 else self.high
        if (x - entry_x) * right + (y - entry_y) * up < 0.0:
            return False
        gap_x = max(self.low[0] - x - dx, 0.0, x + dx - self.high[0])
        gap_y = max(self.low[1] - y - dy, 0.0, y + dy - self.high[1])
        return gap_x * gap_x + gap_y * gap_y < radius_m * radius_m

    def barred_moves(self) -> Iterable[tuple[Pair, Pair]]:
        """Each pair of neighbouring cells that no robot can pass in this order."""
        up, right = self.step
        for row, column in self.cells:
            for aside in (-1, 0, 1):
                back = row - up + aside * right, column - right + aside * up
                front = row + up + aside * right, column + right + aside * up
                yield (row, column), back
                yield front, (row, column)


def one_way_door(cells: NDArray[np.int8], rooms: Pair) -> OneWayDoor:
    """Find the door on the grid of a plan that leads from rooms[0] to rooms[1]."""
    for step in _STEPS:
        before = np.roll(cells, step, (0, 1)) == rooms[0]
        after = np.roll(cells, (-step[0], -step[1]), (0, 1)) == rooms[1]
        found = np.argwhere((cells == DOOR) & before & after)
        if len(found):
            bottom, left = found.min(axis=0).tolist()
            top, right = (found.max(axis=0) + 1).tolist()
            return OneWayDoor(rooms, tuple((int(r), int(c)) for r, c in found), step,
                              (left * CELL_M, bottom * CELL_M), (right * CELL_M, top * CELL_M))
    raise AssertionError(f'no door joins the rooms {rooms}')


def choose_one_way(rng: np.random.Generator, doors: tuple[Pair, ...], count: int,
                   ) -> tuple[Pair, ...]:
    """
    Choose up to count doors and the way they open, as (from, to).

    Every room stays within reach of every other, there and back; so a door that alone joins two
    parts of the plan is never chosen, and a plan without loops has none.
    """
    chosen: list[Pair] = []
    for index in rng.permutation(len(doors)):
        first, second = doors[index]
        ways = [(first, second), (second, first)]
        rng.shuffle(ways)
        fitting = [way for way in ways if _are_all_joined(exits(doors, (*chosen, way)))]
        if len(chosen) < count:
            chosen += fitting[:1]
    return tuple(chosen)


def exits(doors: Iterable[Pair], one_way: Iterable[Pair]) -> dict[int, list[int]]:
    """Rooms that a robot can go to through the doors of each room, ascending."""
    barred = {(second, first) for first, second in one_way}
    ways = {way for first, second in doors for way in ((first, second), (second, first))}
    ends: dict[int, list[int]] = {room: [] for pair in ways for room in pair}
    for start, end in sorted(ways - barred):
        ends[start].append(end)
    return ends


def _are_all_joined(ends: dict[int, list[int]]) -> bool:
    """From any one room to all and back, so from each to each."""
    starts: dict[int, list[int]] = {room: [] for room in ends}
    for start, rooms in ends.items():
        for end in rooms:
            starts[end].append(start)
    return _reached(ends) == _reached(starts) == set(ends)


def _reached(ends: dict[int, list[int]]) -> set[int]:
    first = min(ends)
    reached, ahead = {first}, [first]
    while ahead:
        new = set(ends[ahead.pop()]) - reached
        reached |= new
        ahead += new
    return reached
