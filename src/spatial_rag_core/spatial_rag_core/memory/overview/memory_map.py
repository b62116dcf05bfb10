"""A memory as a picture: where it is dense, and the way that the robot went."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.errors import InputError
from spatial_rag_core.memory.overview.layout import Hexagons, hexagons, Places, Track, track
from spatial_rag_core.memory.overview.legend import (
    age_labels,
    draw_age_bar,
    draw_count_bar,
    draw_north,
    note,
    subtitle,
)
from spatial_rag_core.memory.overview.paper import (
    add_map,
    age_colors,
    count_colors,
    DPI,
    draw_cells,
    draw_ring,
    LONG_IN,
    new_figure,
    save,
    Window,
    window_around,
    write_captions,
)
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame
from spatial_rag_core.view.palette import blended, COUNT_COLORS, on_count_scale, shades_of

import numpy as np
from numpy.typing import NDArray

_SMALLEST_EDGE_PX = 5
_MAX_DOTS = 200
_MARKS = 'The path is coloured by time (UTC), the ring is the newest memory.'


def draw_memory_map(places: Places, path: Path, *, title: str, datum: Datum,
                    map_frame: str = 'map') -> Hexagons:
    """
    Draw the H3 cells, coloured by their memories, and over them the path, coloured by age.

    path: its ending says the format, .png, .svg or .pdf.  Returns the hexagons that it shows.
    Raises InputError where there is no memory, ConfigurationError for another ending,
    TargetUnavailableError where the file cannot be written.
    """
    if not len(places.timestamps):
        raise InputError(f'{title}: there is no memory to draw; select others')
    figure = new_figure(path)
    cells, window = _fitted(places, LocalFrame(datum))
    axes = add_map(figure, window)
    draw_cells(axes, window, cells.corners,
               blended(COUNT_COLORS, shades_of(on_count_scale(cells.counts))))
    draw_count_bar(figure, axes, count_colors(cells.counts))
    way, ages = track(places)
    _draw_track(axes, window, places, way, ages)
    draw_age_bar(figure, axes, age_colors(), age_labels(ages, places.timestamps))
    write_captions(figure, axes, title, _subtitle(places),
                   note(_MARKS, cells.resolution, datum, map_frame))
    draw_north(figure, axes, datum)
    save(figure, path)
    return cells


def _subtitle(places: Places) -> str:
    return subtitle(len(places.timestamps), len(np.unique(places.sessions)),
                    float(places.timestamps.min()), float(places.timestamps.max()))


def _fitted(places: Places, local: LocalFrame) -> tuple[Hexagons, Window]:
    """Hexagons that can be seen at the size that the memory has on paper."""
    extent_m = float(np.ptp(places.positions, axis=0).max())
    cells = hexagons(places.cells, local,
                     smallest_edge_m=extent_m / (LONG_IN * DPI) * _SMALLEST_EDGE_PX)
    return cells, window_around(np.concatenate([*cells.corners, places.positions]))


def _draw_track(axes: Any, window: Window, places: Places, way: Track,
                ages: NDArray[np.float64]) -> None:
    """Thin and clear where the way covers much of the paper; with a seam where it does not."""
    from matplotlib.collections import LineCollection
    style: dict[str, Any] = {'cmap': age_colors().cmap, 'norm': age_colors().norm}
    covered, segments = _covered(way, window), list(way.segments)
    width = float(np.interp(covered, (0.02, 0.3), (1.6, 0.4)))
    if covered < 0.1:
        axes.add_collection(LineCollection(segments, colors='white', alpha=0.8, zorder=3,
                                           linewidths=2.2 * width, capstyle='round'))
    axes.add_collection(LineCollection(
        segments, array=way.ages, linewidths=width, capstyle='round', zorder=4,
        alpha=float(np.interp(covered, (0.1, 0.6), (1.0, 0.4))), **style))
    if len(ages) <= _MAX_DOTS:
        size = float(np.interp(len(ages), (10, _MAX_DOTS), (22, 6)))
        axes.scatter(*places.positions.T, s=size, c=ages, linewidths=0, zorder=5, **style)
    draw_ring(axes, places.positions[int(np.argmax(places.timestamps))])


def _covered(way: Track, window: Window) -> float:
    """How much of the paper a path of one pixel's width would cover, if it never crossed."""
    lengths_m = np.linalg.norm(way.segments[:, 1] - way.segments[:, 0], axis=1)
    area_m2 = (window.x[1] - window.x[0]) * (window.y[1] - window.y[0])
    return float(lengths_m.sum()) * window.m_per_px / area_m2
