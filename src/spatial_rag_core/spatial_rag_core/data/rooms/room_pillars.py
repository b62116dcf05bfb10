"""Where the pillars of a floor plan stand, by lot."""

from __future__ import annotations

from spatial_rag_core.data.rooms.room_plan import CELL_M
from spatial_rag_core.data.rooms.room_styles import Pillar, pillar_style

import numpy as np
from numpy.typing import NDArray

_PILLARS_PER_ROOM = 2
_PILLAR_GAP_M = 0.9


def place_pillars(rng: np.random.Generator, cells: NDArray[np.int8],
                  clearance_m: NDArray[np.float64]) -> tuple[Pillar, ...]:
    """Stand pillars where a robot can still pass on each side."""
    ys, xs = (np.indices(cells.shape) + 0.5) * CELL_M
    pillars: list[Pillar] = []
    total = int(cells.max()) * _PILLARS_PER_ROOM
    for index in range(total):
        free = (cells == 1 + index // _PILLARS_PER_ROOM)
        free &= clearance_m >= _PILLAR_GAP_M + 0.2
        for other in pillars:
            free &= np.hypot(xs - other.x, ys - other.y) >= 2 * _PILLAR_GAP_M
        places = np.argwhere(free)
        if len(places):
            row, column = places[rng.integers(len(places))]
            radius_m = float(rng.uniform(0.12, 0.2))
            pillars.append(Pillar(float(xs[row, column]), float(ys[row, column]), radius_m,
                                  pillar_style(rng, index, total)))
    return tuple(pillars)
