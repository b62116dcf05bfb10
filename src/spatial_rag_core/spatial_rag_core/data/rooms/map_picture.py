"""A RoomMap as seen from above, for people."""

from __future__ import annotations

from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_plan import CELL_M, WALL

import numpy as np
from numpy.typing import NDArray

_WALL_COLOR = (40, 40, 40)


def draw_map(room_map: RoomMap, pixels_per_m: int = 32) -> NDArray[np.uint8]:
    """
    Draw floors, walls (in the colour of the room beside them) and pillars.

    Returns uint8 [height, width, 3]; x grows to the right and y upwards, as in RViz.
    """
    width, height = (round(side * pixels_per_m) for side in room_map.size_m)
    rows, columns = np.mgrid[0:height, 0:width]
    xs, ys = (columns + 0.5) / pixels_per_m, (height - rows - 0.5) / pixels_per_m
    cells = room_map.cells[(ys / CELL_M).astype(int), (xs / CELL_M).astype(int)]
    floors = np.array([style.floor for style in room_map.styles])
    picture = np.where((cells == WALL)[..., None], _WALL_COLOR, floors[np.maximum(cells, 0)])
    for number, style in enumerate(room_map.styles[1:], start=1):
        picture[_rim(room_map, number, xs, ys)] = style.colors[0]
    for pillar in room_map.pillars:
        picture[np.hypot(xs - pillar.x, ys - pillar.y) <= pillar.radius_m] = pillar.style.colors[0]
    return picture.astype(np.uint8)


def _rim(room_map: RoomMap, number: int, xs: NDArray[np.float64], ys: NDArray[np.float64],
         ) -> NDArray[np.bool_]:
    """Pick the pixels of a room within half a cell of its walls."""
    rows, columns = np.nonzero(room_map.cells == number)
    edge_x = columns.min() * CELL_M, (columns.max() + 1) * CELL_M
    edge_y = rows.min() * CELL_M, (rows.max() + 1) * CELL_M
    gap = np.minimum(np.minimum(xs - edge_x[0], edge_x[1] - xs),
                     np.minimum(ys - edge_y[0], edge_y[1] - ys))
    rim: NDArray[np.bool_] = (gap > 0) & (gap < CELL_M / 2)
    return rim
