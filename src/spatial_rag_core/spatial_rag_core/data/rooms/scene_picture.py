"""A RoomMap from above with what it hides, and a robot on its way; for people."""

from __future__ import annotations

import math

from spatial_rag_core.data.rooms.map_picture import draw_map
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_plan import CELL_M
from spatial_rag_core.data.rooms.room_zones import Zone, zone_cells

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Point = tuple[float, float]
Color = tuple[int, int, int]

SLIPPERY: Color = (60, 150, 255)
WINDY: Color = (250, 250, 250)
ONE_WAY: Color = (220, 30, 30)
_PATH: Color = (255, 220, 0)
_ROBOT: Color = (20, 20, 20)
_VEIL = 0.4
_ROBOT_RADIUS_M = 0.2
_ARROW_M = 0.9
_WIND_SPACING_M = 1.25


class Scene:
    """
    A picture to draw on; x grows to the right and y upwards, lengths are in metres.

    Slippery zones are veiled in blue, windy ones in white with arrows along the wind; a red arrow
    stands in each one-way door.
    """

    def __init__(self, room_map: RoomMap, pixels_per_m: int = 32) -> None:
        self._map = room_map
        self._scale = pixels_per_m
        self._picture = draw_map(room_map, pixels_per_m)
        for zone in room_map.zones:
            self._veil(zone)
        for zone in room_map.zones:
            self._draw_wind(zone)
        for door in room_map.one_way:
            middle = (door.low[0] + door.high[0]) / 2, (door.low[1] + door.high[1]) / 2
            self._draw_arrow(middle, math.atan2(*door.step), _ARROW_M, ONE_WAY)

    def draw_path(self, path: ArrayLike, color: Color = _PATH) -> None:
        """Draw a way, [points, (x, y)]."""
        points = np.array([self._pixel(x, y) for x, y in np.asarray(path, np.float64)], np.int32)
        cv2.polylines(self._picture, [points], False, color, self._width(0.06), cv2.LINE_AA)

    def draw_robot(self, place: Point, heading: float) -> None:
        """Draw a disc that points along heading [rad]."""
        middle = self._pixel(*place)
        cv2.circle(self._picture, middle, self._width(_ROBOT_RADIUS_M), _ROBOT, -1, cv2.LINE_AA)
        tip = self._pixel(place[0] + 2 * _ROBOT_RADIUS_M * math.cos(heading),
                          place[1] + 2 * _ROBOT_RADIUS_M * math.sin(heading))
        cv2.line(self._picture, middle, tip, ONE_WAY, self._width(0.1), cv2.LINE_AA)

    def pixels(self) -> NDArray[np.uint8]:
        """Return the picture, uint8 [height, width, 3]."""
        return np.array(self._picture, np.uint8)

    def _pixel(self, x: float, y: float) -> tuple[int, int]:
        return round(x * self._scale), round(len(self._picture) - y * self._scale)

    def _width(self, length_m: float) -> int:
        return max(1, round(length_m * self._scale))

    def _veil(self, zone: Zone) -> None:
        picture, is_inside = self._picture, zone_cells(self._map.cells, zone)
        rows, columns = np.indices(picture.shape[:2])
        across = (columns / self._scale / CELL_M).astype(int)
        up = ((len(picture) - 1 - rows) / self._scale / CELL_M).astype(int)
        here = is_inside[up, across]
        color = np.array(SLIPPERY if zone.grip < 1.0 else WINDY)
        picture[here] = (1.0 - _VEIL) * picture[here] + _VEIL * color

    def _draw_wind(self, zone: Zone) -> None:
        if zone.wind == (0.0, 0.0):
            return
        is_inside = zone_cells(self._map.cells, zone)
        every = round(_WIND_SPACING_M / CELL_M)
        direction = math.atan2(zone.wind[1], zone.wind[0])
        for row, column in np.argwhere(is_inside):
            if row % every == column % every == 0:
                place = (column + 0.5) * CELL_M, (row + 0.5) * CELL_M
                self._draw_arrow(place, direction, 2.0 * math.hypot(*zone.wind), WINDY)

    def _draw_arrow(self, middle: Point, direction: float, length_m: float, color: Color) -> None:
        ahead_x = 0.5 * length_m * math.cos(direction)
        ahead_y = 0.5 * length_m * math.sin(direction)
        tail = self._pixel(middle[0] - ahead_x, middle[1] - ahead_y)
        tip = self._pixel(middle[0] + ahead_x, middle[1] + ahead_y)
        cv2.arrowedLine(self._picture, tail, tip, color, self._width(0.06), cv2.LINE_AA,
                        tipLength=0.35)
