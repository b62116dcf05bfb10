"""Properties of the ground and the air that no picture shows: slippery and windy zones."""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import NamedTuple

from spatial_rag_core.data.rooms.room_plan import CELL_M
from spatial_rag_core.errors import ConfigurationError

import numpy as np
from numpy.typing import NDArray

WIND_LIMIT_M_S = 0.4
"""No wind is stronger [m/s]."""

_WIND_M_S = 0.2, WIND_LIMIT_M_S
_GRIP = 0.25, 0.4
_RADIUS_M = 1.5, 2.5


@dataclass(frozen=True)
class HiddenTraits:
    """
    How many zones and one-way doors a map has; all 0 for a world without secrets.

    A plan with too few loops has fewer one-way doors.  Raises ConfigurationError below 0.
    """

    slippery_zones: int = 3
    windy_zones: int = 3
    one_way_doors: int = 2

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1000:
                raise ConfigurationError(f'{name} must lie between 0 and 1000, got {value}')


class Zone(NamedTuple):
    """
    The part of one room within radius_m of (x, y) in the map frame [m].

    grip: share of the usual hold on the ground, 1 is firm.  wind: added to a robot's velocity,
    along x and y of the map frame [m/s].
    """

    room: int
    x: float
    y: float
    radius_m: float
    grip: float = 1.0
    wind: tuple[float, float] = (0.0, 0.0)


class Ground:
    """What the zones do at each place; where zones overlap, all of them, within WIND_LIMIT_M_S."""

    def __init__(self, cells: NDArray[np.int8], zones: tuple[Zone, ...]) -> None:
        grip, wind = np.ones(cells.shape), np.zeros((*cells.shape, 2))
        for zone in zones:
            is_inside = zone_cells(cells, zone)
            grip[is_inside] *= zone.grip
            wind[is_inside] += zone.wind
        speed = np.hypot(wind[..., 0], wind[..., 1])
        wind *= np.minimum(1.0, WIND_LIMIT_M_S / np.maximum(speed, WIND_LIMIT_M_S))[..., None]
        self._grip: list[list[float]] = [row.tolist() for row in grip]
        self._wind: list[list[list[float]]] = [row.tolist() for row in wind]

    def at(self, x: float, y: float) -> tuple[float, tuple[float, float]]:
        """Return grip and wind (x, y) [m/s] at a point on the map [m]."""
        row, column = int(y / CELL_M), int(x / CELL_M)
        wind_x, wind_y = self._wind[row][column]
        return self._grip[row][column], (wind_x, wind_y)


def zone_cells(cells: NDArray[np.int8], zone: Zone) -> NDArray[np.bool_]:
    """Pick the cells of a plan that a zone covers, bool [rows, columns]."""
    rows, columns = np.indices(cells.shape)
    gap = np.hypot((columns + 0.5) * CELL_M - zone.x, (rows + 0.5) * CELL_M - zone.y)
    inside: NDArray[np.bool_] = (cells == zone.room) & (gap <= zone.radius_m)
    return inside


def draw_zones(rng: np.random.Generator, cells: NDArray[np.int8], slippery: int, windy: int,
               ) -> tuple[Zone, ...]:
    """Draw zones by lot, each in a room of its own as long as there are rooms."""
    rooms = rng.permutation(int(cells.max())) + 1
    zones = []
    for index in range(slippery + windy):
        room = int(rooms[index % len(rooms)])
        places = np.argwhere(cells == room)
        row, column = places.mean(axis=0) + rng.uniform(-3.0, 3.0, 2)  # cells
        radius_m = float(rng.uniform(*_RADIUS_M))
        at = room, float((column + 0.5) * CELL_M), float((row + 0.5) * CELL_M), radius_m
        zones.append(Zone(*at, grip=float(rng.uniform(*_GRIP))) if index < slippery
                     else Zone(*at, wind=_draw_wind(rng)))
    return tuple(zones)


def _draw_wind(rng: np.random.Generator) -> tuple[float, float]:
    direction, speed = float(rng.uniform(0.0, math.tau)), float(rng.uniform(*_WIND_M_S))
    return speed * math.cos(direction), speed * math.sin(direction)
