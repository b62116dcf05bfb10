"""Which H3 cell a place lies in, and which cells cover a region."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Box, Position
from spatial_rag_core.spatial.local_frame import LocalFrame

import h3

MAX_COVER_CELLS = 20_000


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

    def cell(self, position: Position) -> str:
        """H3 cell that a position of the map lies in; heights do not matter."""
        latitude_deg, longitude_deg = self.frame.to_geodetic(position.x, position.y)
        return str(h3.latlng_to_cell(latitude_deg, longitude_deg, self.resolution))

    def cover_disc(self, center: Position, radius_m: float,
                   max_cells: int = MAX_COVER_CELLS) -> set[str] | None:
        """
        Cells that together contain the disc, or None where these are more than max_cells.

        Each cell that meets the disc is in it, and few others.
        """
        return self._flood(center, max_cells, lambda x, y, reach: (
            math.hypot(x - center.x, y - center.y) <= radius_m + reach))

    def cover_box(self, box: Box, max_cells: int = MAX_COVER_CELLS) -> set[str] | None:
        """Cells that together contain the box's ground plan, or None as cover_disc."""
        middle = Position((box.low.x + box.high.x) / 2, (box.low.y + box.high.y) / 2)
        return self._flood(middle, max_cells, lambda x, y, reach: math.hypot(
            max(box.low.x - x, 0.0, x - box.high.x),
            max(box.low.y - y, 0.0, y - box.high.y)) <= reach)

    def _flood(self, start: Position, max_cells: int,
               meets: Callable[[float, float, float], bool]) -> set[str] | None:
        """Grow from the start's cell; the cells that meet a convex region hang together."""
        cover = {self.cell(start)}
        edge = set(cover)
        while edge:
            ring = _neighbours(edge) - cover
            edge = {cell for cell in ring if meets(*self._circle_around(cell))}
            cover |= edge
            if len(cover) > max_cells:
                return None
        return cover

    def _circle_around(self, cell: str) -> tuple[float, float, float]:
        """Centre x, y and radius of a circle of the map that contains the cell [m]."""
        x, y = self.frame.to_map(*h3.cell_to_latlng(cell))
        corners = (self.frame.to_map(*corner) for corner in h3.cell_to_boundary(cell))
        reach = max(math.hypot(cx - x, cy - y) for cx, cy in corners)
        return x, y, reach * 1.001  # edges are arcs of great circles, a little outside the chord


def _neighbours(cells: Iterable[str]) -> set[str]:
    return {neighbour for cell in cells for neighbour in h3.grid_disk(cell, 1)}
