"""How rooms are laid out on a grid and joined by doors."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CELL_M = 0.25
"""Side of a grid cell, and thickness of a wall [m]."""

WALL = -1
DOOR = 0

_ROOM_M = 5.0
_DOOR_CELLS = 5
_JITTER_CELLS = 3
_EXTRA_DOOR_CHANCE = 0.5


class Room(NamedTuple):
    """A rectangle of free cells, half open: rows [bottom, top), columns [left, right)."""

    bottom: int
    top: int
    left: int
    right: int


class Plan(NamedTuple):
    """cells: int8 [rows, columns] as in RoomMap.  doors: pairs of rooms that are joined."""

    cells: NDArray[np.int8]
    doors: tuple[tuple[int, int], ...]
    room_count: int


class _Door(NamedTuple):
    rooms: tuple[int, int]
    cells: tuple[slice, slice]


def draw_plan(rng: np.random.Generator, cell_count: int) -> Plan:
    """Lay out a square of cell_count x cell_count cells, all rooms joined, some in loops."""
    rooms = _draw_rooms(rng, cell_count)
    cells = np.full((cell_count, cell_count), WALL, np.int8)
    for number, room in enumerate(rooms, start=1):
        cells[room.bottom:room.top, room.left:room.right] = number
    doors = _choose_doors(rng, _possible_doors(rng, rooms), len(rooms))
    for door in doors:
        cells[door.cells] = DOOR
    return Plan(cells, tuple(sorted(door.rooms for door in doors)), len(rooms))


def _draw_rooms(rng: np.random.Generator, cell_count: int) -> list[Room]:
    strips = max(2, round((cell_count * CELL_M) / _ROOM_M))
    rooms = []
    for low, high in pairwise(_walls(rng, cell_count, strips)):
        across = max(2, strips - int(rng.integers(2)))
        rooms += [Room(low + 1, high, left + 1, right)
                  for left, right in pairwise(_walls(rng, cell_count, across))]
    return rooms


def _walls(rng: np.random.Generator, cell_count: int, rooms: int) -> list[int]:
    """Cell indices of the walls that part a strip into rooms, the outer walls included."""
    even = np.linspace(0, cell_count - 1, rooms + 1).round().astype(int)
    even[1:-1] += rng.integers(-_JITTER_CELLS, _JITTER_CELLS + 1, rooms - 1)
    return [int(wall) for wall in even]


def _possible_doors(rng: np.random.Generator, rooms: list[Room]) -> list[_Door]:
    doors = []
    for a, first in enumerate(rooms, start=1):
        for b, second in enumerate(rooms[a:], start=a + 1):
            rows = max(first.bottom, second.bottom), min(first.top, second.top)
            columns = max(first.left, second.left), min(first.right, second.right)
            if second.left == first.right + 1 and _fits(rows):
                wall = slice(first.right, first.right + 1)
                doors.append(_Door((a, b), (_opening(rng, *rows), wall)))
            elif second.bottom == first.top + 1 and _fits(columns):
                wall = slice(first.top, first.top + 1)
                doors.append(_Door((a, b), (wall, _opening(rng, *columns))))
    return doors


def _fits(shared: tuple[int, int]) -> bool:
    return shared[1] - shared[0] >= _DOOR_CELLS + 2


def _opening(rng: np.random.Generator, low: int, high: int) -> slice:
    start = int(rng.integers(low + 1, high - _DOOR_CELLS))
    return slice(start, start + _DOOR_CELLS)


def _choose_doors(rng: np.random.Generator, doors: list[_Door], rooms: int) -> list[_Door]:
    """Keep a random spanning tree (Kruskal's algorithm) and some more for loops."""
    group = list(range(rooms + 1))
    chosen = []
    for index in rng.permutation(len(doors)):
        a, b = doors[index].rooms
        joins = group[a] != group[b]
        if joins:
            group = [group[a] if member == group[b] else member for member in group]
        if joins or rng.random() < _EXTRA_DOOR_CHANCE:
            chosen.append(doors[index])
    return chosen
