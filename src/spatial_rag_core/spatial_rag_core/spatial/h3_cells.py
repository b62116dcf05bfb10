"""
Which H3 cell a place lies in, and which cells cover a region.

H3 knows places by latitude and longitude alone, so by the ellipsoid's normal. Two bounds make a
cover sure to be whole. H3's grid is regular in the gnomonic projection of an icosahedron's faces
(h3geo.org, core library overview), which lengthens every arc: neighbours of resolution r lie at
most SPACING_RAD / √7^r apart, and a cell with all its finer cells, to any resolution, lies within
Σ 1/√7^i = 1 / (√7 − 1) of that from its centre. And where the normal is turned by γ from the
map's vertical, a metre of the map turns it by at least cos²γ / LEAST_CURVED_M.
"""

from __future__ import annotations

from collections.abc import Callable
import math
from typing import NamedTuple

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Box, Position
from spatial_rag_core.spatial.local_frame import ECCENTRICITY_SQUARED, LocalFrame, SEMI_MAJOR_M

import h3
from h3.api import basic_int, memview_int
import numpy as np
from numpy.typing import NDArray

MAX_COVER_CELLS = 20_000
SPACING_RAD = 0.38196601125010500003  # RES0_U_GNOMONIC in H3's constants.h
FAMILY = 1.001 / (math.sqrt(7) - 1)  # and a little for rounding
LEAST_CURVED_M = SEMI_MAJOR_M / math.sqrt(1 - ECCENTRICITY_SQUARED)
MOST_CURVED_M = SEMI_MAJOR_M * (1 - ECCENTRICITY_SQUARED)
STEEPEST_RAD = math.radians(89.0)

Distance = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""How far points x [n], y [n] of the map lie from a region, float64 [n] [m]."""


class Cover(NamedTuple):
    """Cells of one resolution that together contain a region."""

    resolution: int
    cells: frozenset[int]


class _Region(NamedTuple):
    """A convex region of the map: a point in it, how far others are, its area [m²], its tilt."""

    middle: Position
    distance: Distance
    area: float
    tilt: float  # γ, at most [rad]


class H3Grid:
    """
    The H3 cells of one resolution, seen from the map frame.

    resolution: 0 to 15; the mean edge is 3.6 m at 13 and 0.58 m at 15 (h3geo.org, table of cell
    statistics; edges near the datum differ by up to 40 %).
    """

    def __init__(self, frame: LocalFrame, resolution: int) -> None:
        if not 0 <= resolution <= 15:
            raise ConfigurationError(
                f'h3_resolution must lie between 0 and 15, got {resolution}')
        self.frame = frame
        self.resolution = resolution
        self._up = _normals(np.array([[frame.datum.latitude_deg, frame.datum.longitude_deg]]))[0]

    def cell(self, position: Position) -> str:
        """H3 cell that a position of the map lies in; heights do not matter."""
        return str(h3.int_to_str(self.cell_number(position)))

    def cell_number(self, position: Position) -> int:
        """The same cell as H3's 64-bit number."""
        return self._cell_number(position.x, position.y, self.resolution)

    def cover_disc(self, center: Position, radius_m: float,
                   max_cells: int = MAX_COVER_CELLS) -> Cover | None:
        """
        Cells that together contain the disc, at most max_cells of them.

        They are of the finest resolution that allows it, none finer than the grid's; None where
        no resolution does. Each cell that meets the disc is in it, and few others. A place of the
        disc has its cell of that resolution in it, and so its finer cell's parent, which may be
        another.
        """
        return self._cover(_Region(
            center, lambda x, y: np.hypot(x - center.x, y - center.y) - radius_m,
            math.pi * radius_m ** 2, self._tilt(center.x, center.y) + radius_m / MOST_CURVED_M),
            max_cells)

    def cover_box(self, box: Box, max_cells: int = MAX_COVER_CELLS) -> Cover | None:
        """Cells that together contain the box's ground plan, as for cover_disc."""
        low, high = box.low, box.high
        tilt = max(self._tilt(x, y) for x in (low.x, high.x) for y in (low.y, high.y))
        return self._cover(_Region(
            Position((low.x + high.x) / 2, (low.y + high.y) / 2),
            lambda x, y: np.hypot(np.maximum(np.maximum(low.x - x, x - high.x), 0.0),
                                  np.maximum(np.maximum(low.y - y, y - high.y), 0.0)),
            (high.x - low.x) * (high.y - low.y), tilt), max_cells)

    def _cover(self, region: _Region, max_cells: int) -> Cover | None:
        for resolution in range(self.resolution, -1, -1):
            if _fewest_cells(region, resolution) <= max_cells:
                cells = self._flood(region, resolution, max_cells)
                if cells is not None:
                    return Cover(resolution, frozenset(cells))
        return None

    def _flood(self, region: _Region, resolution: int, max_cells: int) -> set[int] | None:
        """Grow from the middle's cell; the cells that meet a convex region hang together."""
        cover = {self._cell_number(region.middle.x, region.middle.y, resolution)}
        seen, edge = set(cover), list(cover)
        while edge and len(cover) <= max_cells:
            ring = {near for cell in edge for near in memview_int.grid_disk(cell, 1)} - seen
            seen |= ring
            edge = self._meeting(list(ring), region, resolution)
            cover.update(edge)
        return cover if len(cover) <= max_cells else None

    def _meeting(self, cells: list[int], region: _Region, resolution: int) -> list[int]:
        """Those of the cells that can meet the region."""
        family = FAMILY * _spacing(resolution)
        tilt = region.tilt + family
        places = np.array([basic_int.cell_to_latlng(cell) for cell in cells])
        meets = _angles(_normals(places), self._up) <= tilt
        if tilt < STEEPEST_RAD:  # beyond, a cell may reach to the horizon of the map
            reach = family * LEAST_CURVED_M / math.cos(tilt) ** 2
            on_map = self.frame.to_map_many(places[meets])
            meets[meets] = region.distance(on_map[:, 0], on_map[:, 1]) <= reach
        return [cell for cell, is_met in zip(cells, meets.tolist(), strict=True) if is_met]

    def _cell_number(self, x: float, y: float, resolution: int) -> int:
        return int(basic_int.latlng_to_cell(*self.frame.to_geodetic(x, y), resolution))

    def _tilt(self, x: float, y: float) -> float:
        """Angle between the ellipsoid's normal at a point of the map and at its origin [rad]."""
        place = np.array([self.frame.to_geodetic(x, y)])
        return float(_angles(_normals(place), self._up)[0])


def _fewest_cells(region: _Region, resolution: int) -> float:
    """Return a number of cells that no cover of the region can be smaller than."""
    if region.tilt >= STEEPEST_RAD:
        return 0.0
    solid_angle: float = region.area * (math.cos(region.tilt) ** 2 / LEAST_CURVED_M) ** 2
    return solid_angle / (math.sqrt(0.75) * _spacing(resolution) ** 2)


def _spacing(resolution: int) -> float:
    """Return the largest angle between the centres of neighbours [rad]."""
    return SPACING_RAD * math.sqrt(7) ** -resolution


def _normals(places_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit normals [n, 3] of the ellipsoid at latitudes and longitudes [n, 2]."""
    latitude, longitude = np.radians(places_deg).T
    return np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude),
                     np.sin(latitude)], axis=1)


def _angles(normals: NDArray[np.float64], to: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angles [n] between unit vectors [rad]; from the chord, which small angles need."""
    chords = np.linalg.norm(normals - to, axis=1)
    return np.asarray(2 * np.arcsin(np.minimum(chords / 2, 1.0)))
