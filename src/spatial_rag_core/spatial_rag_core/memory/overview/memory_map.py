"""A memory as a picture: where it is dense, and the way that the robot went."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple
import warnings

from spatial_rag_core.errors import ConfigurationError, InputError, TargetUnavailableError
from spatial_rag_core.memory.overview.layout import Hexagons, hexagons, Places, Track, track
from spatial_rag_core.memory.overview.legend import (
    age_labels,
    CAPTION_IN,
    draw_age_bar,
    draw_count_bar,
    draw_north,
    FOOT_IN,
    INK,
    note,
    PALE,
    subtitle,
)
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame

import numpy as np
from numpy.typing import NDArray

_DPI = 160
_LONG_IN, _SHORT_IN = 8.0, 5.0  # sides of the map; a narrow one is widened to the latter
_LEFT_IN, _RIGHT_IN = 0.8, 1.05
_SMALLEST_EDGE_PX = 5
_MAX_DOTS = 200
_COUNT_COLORS = ('#eaf1f8', '#cddeee', '#a9c5e0', '#82a9cf', '#5f8dbb')
_AGE_COLORS = ('#f9b233', '#ee7b30', '#d6402f', '#a11444', '#5c0a3c')


class _Frame(NamedTuple):
    """The part of the map that is shown [m], and its size on paper [inch]."""

    x: tuple[float, float]
    y: tuple[float, float]
    width_in: float
    height_in: float

    @property
    def m_per_px(self) -> float:
        return (self.x[1] - self.x[0]) / (self.width_in * _DPI)


def draw_memory_map(places: Places, path: Path, *, title: str, datum: Datum,
                    map_frame: str = 'map') -> Hexagons:
    """
    Draw the H3 cells, coloured by their memories, and over them the path, coloured by age.

    path: its ending says the format, .png, .svg or .pdf.  Returns the hexagons that it shows.
    Raises InputError where there is no memory, ConfigurationError for another ending,
    TargetUnavailableError where the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second
    from matplotlib.figure import Figure
    if not len(places.timestamps):
        raise InputError(f'{title}: there is no memory to draw; select others')
    figure = Figure(dpi=_DPI, facecolor='white')
    formats = FigureCanvasAgg(figure).get_supported_filetypes()
    if path.suffix[1:].lower() not in formats:
        raise ConfigurationError(f'{path} has an ending that cannot be drawn; name a file '
                                 'that ends in .png, .svg or .pdf')
    cells, frame = _fitted(places, LocalFrame(datum))
    axes = _axes(figure, frame)
    draw_count_bar(figure, axes, _draw_hexagons(axes, frame, cells))
    way, ages = track(places)
    draw_age_bar(figure, axes, _draw_track(axes, frame, places, way, ages),
                 age_labels(ages, places.timestamps))
    _write(figure, axes, title, subtitle(places), note(cells, datum, map_frame))
    draw_north(figure, axes, datum)
    _save(figure, path)
    return cells


def _save(figure: Any, path: Path) -> None:
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Glyph', UserWarning)  # a name in rare letters
            figure.savefig(path)
    except OSError as error:
        raise TargetUnavailableError(f'{path} cannot be written: {error.strerror or error}; '
                                     'name another file') from error


def _fitted(places: Places, local: LocalFrame) -> tuple[Hexagons, _Frame]:
    """Hexagons that can be seen at the size that the memory has on paper."""
    extent_m = float(np.ptp(places.positions, axis=0).max())
    cells = hexagons(places.cells, local,
                     smallest_edge_m=extent_m / (_LONG_IN * _DPI) * _SMALLEST_EDGE_PX)
    points = np.concatenate([*cells.corners, places.positions])
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2 * 1.04
    half = np.maximum(half, half.max() * _SHORT_IN / _LONG_IN)
    inches = half * (_LONG_IN / half.max())
    (x_low, y_low), (x_high, y_high) = (middle - half).tolist(), (middle + half).tolist()
    return cells, _Frame((x_low, x_high), (y_low, y_high), *inches.tolist())


def _axes(figure: Any, frame: _Frame) -> Any:
    width = _LEFT_IN + frame.width_in + _RIGHT_IN
    height = FOOT_IN + frame.height_in + CAPTION_IN
    figure.set_size_inches(width, height)
    axes = figure.add_axes((_LEFT_IN / width, FOOT_IN / height,
                            frame.width_in / width, frame.height_in / height))
    axes.set(xlim=frame.x, ylim=frame.y, facecolor='#fbfbfa')
    axes.set_xlabel('x [m]', color=INK)
    axes.set_ylabel('y [m]', color=INK)
    axes.set_axisbelow(True)
    axes.grid(color='#e4e4e2', linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.spines[:].set_color('#b5b5b5')
    return axes


def _draw_hexagons(axes: Any, frame: _Frame, cells: Hexagons) -> Any:
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import LinearSegmentedColormap, LogNorm
    edge_px = np.ptp(cells.corners[0][:, 0]) / 2 / frame.m_per_px
    return axes.add_collection(PolyCollection(
        cells.corners, array=cells.counts, norm=LogNorm(*_decades(cells.counts)),
        cmap=LinearSegmentedColormap.from_list('count', _COUNT_COLORS), edgecolors='white',
        linewidths=float(np.clip(edge_px / 30, 0.1, 1.2)), zorder=2))


def _decades(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Ends of the scale: the power of ten below the smallest count, and the largest."""
    low, high = 10.0 ** math.floor(math.log10(int(counts.min()))), float(counts.max())
    if high < 10 * low and low > 1:
        low /= 10
    return low, max(10 * low, high)


def _draw_track(axes: Any, frame: _Frame, places: Places, way: Track,
                ages: NDArray[np.float64]) -> Any:
    """Thin and clear where the way covers much of the paper; with a seam where it does not."""
    from matplotlib.collections import LineCollection
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    style: dict[str, Any] = {
        'cmap': LinearSegmentedColormap.from_list('age', _AGE_COLORS), 'norm': Normalize(0, 1)}
    covered, segments = _covered(way, frame), list(way.segments)
    width = float(np.interp(covered, (0.02, 0.3), (1.6, 0.4)))
    if covered < 0.1:
        axes.add_collection(LineCollection(segments, colors='white', alpha=0.8, zorder=3,
                                           linewidths=2.2 * width, capstyle='round'))
    drawn = axes.add_collection(LineCollection(
        segments, array=way.ages, linewidths=width, capstyle='round', zorder=4,
        alpha=float(np.interp(covered, (0.1, 0.6), (1.0, 0.4))), **style))
    if len(ages) <= _MAX_DOTS:
        size = float(np.interp(len(ages), (10, _MAX_DOTS), (22, 6)))
        axes.scatter(*places.positions.T, s=size, c=ages, linewidths=0, zorder=5, **style)
    newest = places.positions[int(np.argmax(places.timestamps))]
    for color, line_width in (('white', 3.4), (INK, 1.5)):
        axes.scatter(*newest, s=75, facecolors='none', edgecolors=color, linewidths=line_width,
                     zorder=6)
    return drawn


def _covered(way: Track, frame: _Frame) -> float:
    """How much of the paper a path of one pixel's width would cover, if it never crossed."""
    lengths_m = np.linalg.norm(way.segments[:, 1] - way.segments[:, 0], axis=1)
    area_m2 = (frame.x[1] - frame.x[0]) * (frame.y[1] - frame.y[0])
    return float(lengths_m.sum()) * frame.m_per_px / area_m2


def _write(figure: Any, axes: Any, title: str, subtitle: str, note: str) -> None:
    height_in, left = figure.get_size_inches()[1], axes.get_position().x0
    most = int(figure.get_size_inches()[0] * 7)
    title = title if len(title) <= most else title[:most - 3] + '...'
    for up_in, text, style in (
            (height_in - CAPTION_IN + 0.4, title, {'fontsize': 13, 'fontweight': 'bold'}),
            (height_in - CAPTION_IN + 0.14, subtitle, {'fontsize': 9.5}),
            (0.12, note, {'fontsize': 8, 'color': PALE, 'linespacing': 1.4})):
        figure.text(left, up_in / height_in, text, parse_math=False, **{'color': INK, **style})
