"""What a camera sees in a RoomMap: a picture and its depth, by casting one ray a column."""

from __future__ import annotations

from itertools import groupby
import math
from typing import NamedTuple

from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_plan import CELL_M, WALL
from spatial_rag_core.data.rooms.room_styles import SurfaceStyle

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WALL_HEIGHT_M = 2.4
_CEILING = (205.0, 205.0, 210.0)
_LIGHT_BY_NORMAL = {(0, 1): 1.0, (0, -1): 0.86, (1, 1): 0.74, (1, -1): 0.93}
_FADE_PER_M = 0.07
_NEAREST_M = 1e-6


class _Faces(NamedTuple):
    """Wall faces at right angles to one axis: at `at` on it, from `low` to `high` across [m]."""

    at: Floats
    low: Floats
    high: Floats
    style: Ints
    light: Floats


class _Hits(NamedTuple):
    """What each column's ray meets first, all [columns]."""

    depth: Floats
    style: Ints
    along_m: Floats
    light: Floats


class Raycaster:
    """
    A pinhole camera at camera_height_m that looks along the robot's heading, level.

    size_px: side of the square picture.  field_of_view_deg: horizontal and vertical [deg].
    far_limit_m: depth is cut to this [m].
    """

    def __init__(self, room_map: RoomMap, size_px: int, field_of_view_deg: float,
                 camera_height_m: float, far_limit_m: float) -> None:
        self._cells = room_map.cells
        self._far_limit_m = far_limit_m
        self._height_m = camera_height_m
        self._faces = _wall_faces(room_map.cells, 0), _wall_faces(room_map.cells, 1)
        self._pillars = np.array([(p.x, p.y, p.radius_m) for p in room_map.pillars]).reshape(-1, 3)
        self._first_pillar = len(room_map.styles)
        styles = room_map.styles + tuple(pillar.style for pillar in room_map.pillars)
        self._pattern = np.array([(s.along_per_m, s.up_per_m) for s in styles])
        self._palette = _palette(styles)
        self._first_floor = 2 * len(styles)
        slopes = _slopes(size_px, field_of_view_deg)
        self._sideways = slopes  # towards the left, for each column
        self._up = slopes[:, None]  # for each row
        rise = np.where(slopes > 0, WALL_HEIGHT_M - camera_height_m, -camera_height_m)
        self._plane_depth = (rise / slopes)[:, None]  # of ceiling and floor, for each row
        self._first_floor_row = int((slopes > 0).sum())

    def render(self, x: float, y: float, heading: float,
               ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """
        Look from (x, y) [m] along heading [rad].

        Returns rgb, uint8 [size, size, 3], and the depth along the optical axis, float32
        [size, size] [m], of the same pixels; row 0 is the top, column 0 the left.
        """
        ray_x = math.cos(heading) - math.sin(heading) * self._sideways
        ray_y = math.sin(heading) + math.cos(heading) * self._sideways
        hits = self._cast(x, y, _off_zero(ray_x), _off_zero(ray_y))
        row = self._first_floor_row
        is_wall = hits.depth <= self._plane_depth
        colors = self._wall_colors(hits)
        colors[:row][~is_wall[:row]] = len(self._palette) - 1
        np.copyto(colors[row:], self._floor_colors(x, y, ray_x, ray_y), where=~is_wall[row:])
        depth = np.minimum(hits.depth, self._plane_depth)
        light = np.where(is_wall, hits.light, 1.0) / (1.0 + _FADE_PER_M * depth)
        rgb = self._palette.take(colors, axis=0)
        rgb *= light.astype(np.float32)[:, :, None]
        return rgb.astype(np.uint8), np.minimum(depth, self._far_limit_m).astype(np.float32)

    def _cast(self, x: float, y: float, ray_x: Floats, ray_y: Floats) -> _Hits:
        across_x, across_y = self._faces
        depths = np.concatenate((
            _face_depths(across_x, x, y, ray_x, ray_y), _face_depths(across_y, y, x, ray_y, ray_x),
            self._pillar_depths(x, y, ray_x, ray_y)), axis=1)
        first = depths.argmin(axis=1)
        depth = depths[np.arange(len(depths)), first]
        along = np.where(first < len(across_x.at), y + depth * ray_y, x + depth * ray_x)
        styles = np.concatenate((across_x.style, across_y.style,
                                 self._first_pillar + np.arange(len(self._pillars))))
        light = np.concatenate((across_x.light, across_y.light, np.ones(len(self._pillars))))
        return _Hits(depth, styles[first], along, light[first])

    def _pillar_depths(self, x: float, y: float, ray_x: Floats, ray_y: Floats) -> Floats:
        """Solve |p + t·ray - center| = radius for the smaller t, [columns, pillars]."""
        to_x, to_y, radius = x - self._pillars[:, 0], y - self._pillars[:, 1], self._pillars[:, 2]
        a = (ray_x * ray_x + ray_y * ray_y)[:, None]
        b = ray_x[:, None] * to_x + ray_y[:, None] * to_y
        under_root = b * b - a * (to_x * to_x + to_y * to_y - radius * radius)
        depth = (-b - np.sqrt(np.maximum(under_root, 0.0))) / a
        return np.where((under_root >= 0.0) & (depth > _NEAREST_M), depth, np.inf)

    def _wall_colors(self, hits: _Hits) -> Ints:
        """Palette indices as if all were wall, [rows, columns]."""
        pattern = self._pattern[hits.style]
        along = np.floor(hits.along_m * pattern[:, 0]).astype(np.int64)
        up = np.floor((self._height_m + hits.depth * self._up) * pattern[:, 1]).astype(np.int64)
        colors: Ints = 2 * hits.style + ((along + up) & 1)
        return colors

    def _floor_colors(self, x: float, y: float, ray_x: Floats, ray_y: Floats) -> Ints:
        """Palette indices of the rows below the horizon as if all were floor."""
        depth = self._plane_depth[self._first_floor_row:]
        floor_x, floor_y = x + depth * ray_x, y + depth * ray_y
        rows, columns = self._cells.shape
        column = (floor_x / CELL_M).clip(0, columns - 1).astype(np.int64)
        row = (floor_y / CELL_M).clip(0, rows - 1).astype(np.int64)
        tile = (np.floor(floor_x) + np.floor(floor_y)).astype(np.int64) & 1
        floors = np.maximum(self._cells[row, column], 0).astype(np.int64)
        colors: Ints = self._first_floor + 2 * floors + tile
        return colors


def _slopes(size_px: int, field_of_view_deg: float) -> Floats:
    """Offsets from the optical axis per unit of depth at the pixels' middles, falling."""
    half = math.tan(math.radians(field_of_view_deg) / 2)
    return _off_zero(half * (1.0 - (2.0 * np.arange(size_px) + 1.0) / size_px))


def _off_zero(values: Floats) -> Floats:
    return np.where(np.abs(values) < 1e-9, 1e-9, values)


def _palette(styles: tuple[SurfaceStyle, ...]) -> NDArray[np.float32]:
    """Two colours of each wall, then two tones of each floor, then the ceiling, [n, 3]."""
    walls = [color for style in styles for color in style.colors]
    floors = [tuple(tone * c for c in style.floor) for style in styles for tone in (1.0, 0.8)]
    return np.array([*walls, *floors, _CEILING], np.float32)


def _face_depths(faces: _Faces, here: float, across: float, ray_here: Floats,
                 ray_across: Floats) -> Floats:
    """Depth at which each ray meets each face, [columns, faces]; inf where it misses."""
    depth = (faces.at - here) * (1.0 / ray_here)[:, None]
    point = across + depth * ray_across[:, None]
    is_hit = (depth > _NEAREST_M) & (point >= faces.low) & (point <= faces.high)
    return np.where(is_hit, depth, np.inf)


def _wall_faces(cells: NDArray[np.int8], axis: int) -> _Faces:
    """Join the sides of wall cells that border on free cells; axis 0 is x, 1 is y."""
    grid = cells.T if axis == 0 else cells  # [along the axis, across it]
    rows = []
    for index in range(1, len(grid)):
        before, after = grid[index - 1], grid[index]
        sides = [(int(max(a, b)), 1 if b > a else -1) if (a == WALL) != (b == WALL) else None
                 for a, b in zip(before, after, strict=True)]
        start = 0
        for side, run in groupby(sides):
            end = start + len(list(run))
            if side is not None:
                light = _LIGHT_BY_NORMAL[axis, side[1]]
                rows.append((index * CELL_M, start * CELL_M, end * CELL_M, side[0], light))
            start = end
    at, low, high, style, light_column = np.array(rows, float).T
    return _Faces(at, low, high, style.astype(np.int64), light_column)
