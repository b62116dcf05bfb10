"""The sheet that maps of a memory are drawn on: its axes in metres, its cells, its file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple
import warnings

from spatial_rag_core.errors import ConfigurationError, TargetUnavailableError
from spatial_rag_core.memory.file.private_file import private_file
from spatial_rag_core.memory.overview.legend import CAPTION_IN, FOOT_IN, INK, PALE
from spatial_rag_core.view.palette import AGE_COLORS, Colors, COUNT_COLORS, count_scale

import numpy as np
from numpy.typing import NDArray

DPI = 160
LONG_IN, SHORT_IN = 8.0, 5.0  # sides of the map; a narrow one is widened to the latter
LEFT_IN, RIGHT_IN = 0.8, 1.05


class Window(NamedTuple):
    """The part of the map that is shown [m], and its size on paper [inch]."""

    x: tuple[float, float]
    y: tuple[float, float]
    width_in: float
    height_in: float

    @property
    def m_per_px(self) -> float:
        """Metres that one dot of the paper spans."""
        return (self.x[1] - self.x[0]) / (self.width_in * DPI)


def window_around(points: NDArray[np.float64]) -> Window:
    """Return what shows all points [N, 2] [m], as large as the paper allows."""
    low, high = points.min(axis=0), points.max(axis=0)
    middle, half = (low + high) / 2, (high - low) / 2 * 1.04
    half = np.maximum(half, half.max() * SHORT_IN / LONG_IN)
    inches = half * (LONG_IN / half.max())
    (x_low, y_low), (x_high, y_high) = (middle - half).tolist(), (middle + half).tolist()
    return Window((x_low, x_high), (y_low, y_high), *inches.tolist())


def new_figure(path: Path) -> Any:
    """An empty figure; raises ConfigurationError for an ending that cannot be drawn."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # half a second
    from matplotlib.figure import Figure
    figure = Figure(dpi=DPI, facecolor='white')
    if path.suffix[1:].lower() not in FigureCanvasAgg(figure).get_supported_filetypes():
        raise ConfigurationError(f'{path} has an ending that cannot be drawn; name a file '
                                 'that ends in .png, .svg or .pdf')
    return figure


def add_map(figure: Any, window: Window, more_width_in: float = 0.0) -> Any:
    """Set the size of the figure and return the axes of the map; more_width_in: on the right."""
    width = LEFT_IN + window.width_in + RIGHT_IN + more_width_in
    height = FOOT_IN + window.height_in + CAPTION_IN
    figure.set_size_inches(width, height)
    axes = figure.add_axes((LEFT_IN / width, FOOT_IN / height,
                            window.width_in / width, window.height_in / height))
    axes.set_xlabel('x [m]', color=INK)
    axes.set_ylabel('y [m]', color=INK)
    make_ground(axes, window)
    return axes


def make_ground(axes: Any, window: Window) -> None:
    """Make axes show the window, on a pale grid."""
    axes.set(xlim=window.x, ylim=window.y, facecolor='#fbfbfa')
    axes.set_axisbelow(True)
    axes.grid(color='#e4e4e2', linewidth=0.6)
    axes.tick_params(colors=INK, labelsize=9, length=3)
    axes.spines[:].set_color('#b5b5b5')


def draw_cells(axes: Any, window: Window, corners: Sequence[NDArray[np.float64]],
               colors: Colors) -> None:
    """Draw cells by their corners, each [5 to 10, 2] [m], and their colours."""
    from matplotlib.collections import PolyCollection
    edge_px = np.ptp(corners[0][:, 0]) / 2 / window.m_per_px
    axes.add_collection(PolyCollection(
        corners, facecolors=colors, edgecolors='white', zorder=2,
        linewidths=float(np.clip(edge_px / 30, 0.1, 1.2))))


def count_colors(counts: NDArray[np.int64]) -> Any:
    """The scale of counts as matplotlib takes it for a bar."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LogNorm
    return ScalarMappable(LogNorm(*count_scale(counts)), _color_map('count', COUNT_COLORS))


def age_colors() -> Any:
    """The scale of ages, 0 to 1, as matplotlib takes it."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    return ScalarMappable(Normalize(0, 1), _color_map('age', AGE_COLORS))


def _color_map(name: str, stops: tuple[str, ...]) -> Any:
    from matplotlib.colors import LinearSegmentedColormap
    return LinearSegmentedColormap.from_list(name, stops)


def draw_ring(axes: Any, place: Sequence[float]) -> None:
    """Put a ring around a place [m]."""
    for color, width in (('white', 3.4), (INK, 1.5)):
        axes.scatter(*place[:2], s=75, facecolors='none', edgecolors=color, linewidths=width,
                     zorder=6)


def write_captions(figure: Any, axes: Any, title: str, subtitle: str, note: str) -> None:
    """Write above and below the map."""
    height_in, left = figure.get_size_inches()[1], axes.get_position().x0
    most = int(figure.get_size_inches()[0] * 7)
    title = title if len(title) <= most else title[:most - 3] + '...'
    for up_in, text, style in (
            (height_in - CAPTION_IN + 0.4, title, {'fontsize': 13, 'fontweight': 'bold'}),
            (height_in - CAPTION_IN + 0.14, subtitle, {'fontsize': 9.5}),
            (0.12, note, {'fontsize': 8, 'color': PALE, 'linespacing': 1.4})):
        figure.text(left, up_in / height_in, text, parse_math=False, **{'color': INK, **style})


def save(figure: Any, path: Path) -> None:
    """Write the file; raises TargetUnavailableError."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings('ignore', 'Glyph', UserWarning)  # a name in rare letters
            with private_file(path) as file:
                figure.savefig(file, format=path.suffix[1:].lower())
    except OSError as error:
        raise TargetUnavailableError(f'{path} cannot be written: {error.strerror or error}; '
                                     'name another file') from error
