"""A floor plan of rooms and doors, drawn by lot from a seed, for a simulated robot."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
import math

from spatial_rag_core.data.rooms.room_doors import choose_one_way, exits, one_way_door, OneWayDoor
from spatial_rag_core.data.rooms.room_pillars import place_pillars
from spatial_rag_core.data.rooms.room_plan import CELL_M, draw_plan, WALL
from spatial_rag_core.data.rooms.room_styles import Pillar, restyle_rooms, room_style, SurfaceStyle
from spatial_rag_core.data.rooms.room_zones import draw_zones, Ground, HiddenTraits, Zone
from spatial_rag_core.errors import ConfigurationError

import numpy as np
from numpy.typing import NDArray

_VIEWPOINT_GAP_M = 0.6


@dataclass(frozen=True, eq=False)
class RoomMap:
    """
    Where walls, doors and pillars stand, and how they look; z is up, the ceiling is flat.

    cells: int8 [rows, columns]: WALL, DOOR, or the number of the room (1, 2, …).  The cell
    [iy, ix] covers x in [ix, ix + 1)·CELL_M and y in [iy, iy + 1)·CELL_M of the map frame [m].
    styles: looks of the door frames (index DOOR) and of each room (index = its number).
    doors: pairs of rooms that a door joins, the smaller number first.
    one_way: those of them that open one way only.  zones: what else no picture shows.
    """

    cells: NDArray[np.int8]
    styles: tuple[SurfaceStyle, ...]
    doors: tuple[tuple[int, int], ...]
    pillars: tuple[Pillar, ...]
    one_way: tuple[OneWayDoor, ...] = ()
    zones: tuple[Zone, ...] = ()

    @classmethod
    def from_seed(cls, seed: int, size_m: float = 16.0,
                  hidden: HiddenTraits = HiddenTraits()) -> RoomMap:  # noqa: B008 (frozen)
        """
        Draw a square plan with sides of size_m; the same seed gives the same plan.

        Every room can be reached from every other; what is hidden does not alter what is seen.
        Raises ConfigurationError for a size outside 8 to 64 m.
        """
        if not 8.0 <= size_m <= 64.0:
            raise ConfigurationError(f'size_m must lie between 8 and 64 m, got {size_m}')
        rng = np.random.default_rng(seed)
        plan = draw_plan(rng, round(size_m / CELL_M))
        styles = tuple(room_style(rng, number, plan.room_count)
                       for number in range(plan.room_count + 1))
        bare = cls(plan.cells, styles, plan.doors, ())
        pillars = place_pillars(rng, plan.cells, bare.clearance_m)
        rng = np.random.default_rng((seed, 1))
        ways = choose_one_way(rng, plan.doors, hidden.one_way_doors)
        zones = draw_zones(rng, plan.cells, hidden.slippery_zones, hidden.windy_zones)
        return replace(bare, pillars=pillars, zones=zones,
                       one_way=tuple(one_way_door(plan.cells, way) for way in ways))

    def changed(self, seed: int) -> RoomMap:
        """
        Return the same plan and doors after some time; the same seed gives the same change.

        Half of the rooms have swapped their looks, pillars have moved, zones are others.
        """
        rng = np.random.default_rng((seed, 2))
        bare = replace(self, styles=restyle_rooms(rng, self.styles), pillars=())
        moved = place_pillars(rng, self.cells, bare.clearance_m)
        slippery = sum(zone.grip < 1.0 for zone in self.zones)
        zones = draw_zones(rng, self.cells, slippery, len(self.zones) - slippery)
        return replace(bare, pillars=moved, zones=zones)

    @property
    def size_m(self) -> tuple[float, float]:
        """Extent along x and y [m]."""
        rows, columns = self.cells.shape
        return columns * CELL_M, rows * CELL_M

    @property
    def room_count(self) -> int:
        """How many rooms there are."""
        return len(self.styles) - 1

    def room_at(self, x: float, y: float) -> int:
        """Return the number of the room at a point [m], DOOR in a door, WALL elsewhere."""
        row, column = math.floor(y / CELL_M), math.floor(x / CELL_M)
        rows, columns = self.cells.shape
        if not (0 <= row < rows and 0 <= column < columns):
            return WALL
        return int(self.cells[row, column])

    def is_clear(self, x: float, y: float, radius_m: float) -> bool:
        """Tell whether a disc at a point [m] touches neither wall nor pillar."""
        reach = range(math.floor((y - radius_m) / CELL_M), math.floor((y + radius_m) / CELL_M) + 1)
        for row in reach:
            for column in range(math.floor((x - radius_m) / CELL_M),
                                math.floor((x + radius_m) / CELL_M) + 1):
                if self._is_wall(row, column) and _cell_gap(row, column, x, y) < radius_m:
                    return False
        return all(math.hypot(x - pillar.x, y - pillar.y) >= radius_m + pillar.radius_m
                   for pillar in self.pillars)

    def lets_pass(self, x: float, y: float, dx: float, dy: float, radius_m: float) -> bool:
        """Tell whether a disc at a point may move by (dx, dy) [m], a short way, and be clear."""
        return self.is_clear(x + dx, y + dy, radius_m) and not any(
            door.bars(x, y, dx, dy, radius_m) for door in self.one_way)

    @cached_property
    def exits(self) -> dict[int, list[int]]:
        """Rooms that a robot can go to through the doors of each room, ascending."""
        return exits(self.doors, (door.rooms for door in self.one_way))

    @cached_property
    def ground(self) -> Ground:
        """What the zones do at each place."""
        return Ground(self.cells, self.zones)

    def _is_wall(self, row: int, column: int) -> bool:
        rows, columns = self._wall_shape
        return not (0 <= row < rows and 0 <= column < columns) or self._walls[row][column]

    @cached_property
    def _walls(self) -> list[list[bool]]:
        walls: list[list[bool]] = (self.cells == WALL).tolist()
        return walls

    @cached_property
    def _wall_shape(self) -> tuple[int, int]:
        return len(self._walls), len(self._walls[0])

    @cached_property
    def cell_centers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Coordinates x and y of the middle of each cell, float64 [rows, columns] each [m]."""
        rows, columns = self.cells.shape
        ys, xs = np.mgrid[0:rows, 0:columns]
        return (xs + 0.5) * CELL_M, (ys + 0.5) * CELL_M

    @cached_property
    def clearance_m(self) -> NDArray[np.float64]:
        """Distance from the middle of each cell to what stands nearest, [rows, columns] [m]."""
        xs, ys = self.cell_centers
        is_wall = self.cells == WALL
        wall_x, wall_y = xs[is_wall], ys[is_wall]
        clearance = np.empty(self.cells.shape)
        for row in range(len(clearance)):  # by rows, to bound the memory of all pairs
            dx = np.maximum(np.abs(xs[row, :, None] - wall_x) - CELL_M / 2, 0.0)
            dy = np.maximum(np.abs(ys[row, :, None] - wall_y) - CELL_M / 2, 0.0)
            clearance[row] = np.sqrt(dx * dx + dy * dy).min(axis=1)
        for pillar in self.pillars:
            gap = np.hypot(xs - pillar.x, ys - pillar.y) - pillar.radius_m
            clearance = np.minimum(clearance, np.maximum(gap, 0.0))
        return clearance

    @cached_property
    def viewpoints(self) -> NDArray[np.float64]:
        """Two open places of each room, float64 [rooms, 2, (x, y)] [m]; room n is at n - 1."""
        return np.array([self._open_places(number) for number in range(1, self.room_count + 1)])

    def _open_places(self, number: int) -> list[list[float]]:
        """Take the room's most open cell and the one farthest from it with room to stand."""
        in_room = np.where(self.cells == number, self.clearance_m, 0.0)
        open_cells = np.argwhere(in_room >= min(_VIEWPOINT_GAP_M, in_room.max()))
        first = np.unravel_index(in_room.argmax(), in_room.shape)
        second = open_cells[np.argmax(np.abs(open_cells - first).sum(axis=1))]
        return [[(column + 0.5) * CELL_M, (row + 0.5) * CELL_M]
                for row, column in (first, second)]


def _cell_gap(row: int, column: int, x: float, y: float) -> float:
    dx = max(column * CELL_M - x, 0.0, x - (column + 1) * CELL_M)
    dy = max(row * CELL_M - y, 0.0, y - (row + 1) * CELL_M)
    return math.hypot(dx, dy)
