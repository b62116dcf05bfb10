"""H3 cells of many memories at once, as numbers."""

from __future__ import annotations

from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.spatial.local_frame import LocalFrame

from h3.api import basic_int
import numpy as np
from numpy.typing import NDArray

_BORDER_M = 1e-6
"""Nearer to the border of two cells than this [m], rounding decides: either is right."""


def cell_numbers(spec: JournalSpec, xy_m: NDArray[np.float64]) -> NDArray[np.uint64]:
    """Cells, uint64 [N], of places of the map [m], [N, 2]."""
    latitudes, longitudes = LocalFrame(spec.datum).to_geodetic_many(xy_m).T.tolist()
    return np.array(list(map(basic_int.latlng_to_cell, latitudes, longitudes,
                             len(xy_m) * [spec.h3_resolution])), np.uint64)


def misplaced(spec: JournalSpec, xy_m: NDArray[np.float64],
              cells: NDArray[np.uint64]) -> NDArray[np.intp]:
    """Indices of the cells that their place [m], [N, 2], does not lie in."""
    wrong = np.flatnonzero(cell_numbers(spec, xy_m) != cells)
    if not len(wrong):
        return wrong
    around = _BORDER_M * np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])
    near = cell_numbers(spec, (xy_m[wrong, None] + around).reshape(-1, 2)).reshape(-1, 4)
    found: NDArray[np.intp] = wrong[(near != cells[wrong, None]).all(axis=1)]
    return found
