"""What explains the picture of a memory: its scales, its captions, north."""

from __future__ import annotations

from datetime import datetime, timezone
import math
from typing import Any

from spatial_rag_core.spatial.local_frame import Datum

import numpy as np
from numpy.typing import NDArray

CAPTION_IN, FOOT_IN = 0.75, 1.65
"""Room above and below the map [inch]."""

INK, PALE = '#333333', '#808080'
_SHORT_SEC, _DAY_SEC = 10.0, 86_400.0


def draw_count_bar(figure: Any, axes: Any, colors: Any) -> None:
    """Put the scale of the cells on the right."""
    from matplotlib.ticker import FuncFormatter, NullFormatter
    box, width_in = axes.get_position(), figure.get_size_inches()[0]
    bar = figure.colorbar(colors, cax=figure.add_axes(
        (box.x1 + 0.14 / width_in, box.y0, 0.15 / width_in, box.height)))
    bar.set_label('memories in a cell', color=INK, fontsize=9, labelpad=6)
    bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda count, _: f'{count:,.0f}'))
    bar.ax.yaxis.set_minor_formatter(NullFormatter())
    _make_plain(bar)


def draw_age_bar(figure: Any, axes: Any, colors: Any, labels: dict[float, str]) -> None:
    """Put the scale of the path below."""
    box, height_in = axes.get_position(), figure.get_size_inches()[1]
    bar = figure.colorbar(colors, orientation='horizontal', cax=figure.add_axes(
        (box.x0, 0.92 / height_in, box.width, 0.11 / height_in)))
    bar.set_ticks(list(labels), labels=list(labels.values()))
    _make_plain(bar)


def _make_plain(bar: Any) -> None:
    bar.outline.set_visible(False)
    bar.ax.tick_params(colors=INK, labelsize=8, length=2)


def age_labels(ages: NDArray[np.float64], timestamps: NDArray[np.float64]) -> dict[float, str]:
    """Ages, 0 to 1, and the UTC times of the memories there; without a date where one will do."""
    order = np.argsort(ages, kind='stable')
    ticks = np.linspace(0, 1, 5) if np.ptp(timestamps) > 0 else np.ones(1)
    at = np.minimum(np.searchsorted(ages[order], ticks), len(order) - 1)
    span_sec = np.ptp(timestamps)
    style = ('%H:%M:%S.%f' if span_sec < _SHORT_SEC else
             '%H:%M:%S' if span_sec < _DAY_SEC else '%Y-%m-%d\n%H:%M')
    return {tick: _time(float(timestamps[order[i]]), style)
            for tick, i in zip(ticks.tolist(), at.tolist(), strict=True)}


def subtitle(count: int, sessions: int, first: float, last: float) -> str:
    """How many memories of when; Unix times [s]."""
    is_one_day = _time(first, '%Y%m%d') == _time(last, '%Y%m%d')
    return (f'{_counted(count, "memory", "memories")}, '
            f'{_counted(sessions, "session", "sessions")}, '
            f'{_time(first, "%Y-%m-%d %H:%M:%S")} to '
            f'{_time(last, "%H:%M:%S" if is_one_day else "%Y-%m-%d %H:%M:%S")} UTC')


def note(marks: str, resolution: int, datum: Datum, map_frame: str) -> str:
    """Two lines: what the marks mean, and where on Earth it is."""
    place = (f'datum {abs(datum.latitude_deg):.5f}° {"N" if datum.latitude_deg >= 0 else "S"} '
             f'{abs(datum.longitude_deg):.5f}° {"E" if datum.longitude_deg >= 0 else "W"}, '
             f'heading {datum.heading_deg:g}°') if datum != Datum() else (
        'no datum, y is taken for north')
    return (f'{marks}\nFrame {map_frame}, {place}; H3 cells of resolution {resolution}.')


def draw_north(figure: Any, axes: Any, datum: Datum) -> None:
    """Put an arrow above the upper right corner; the datum's heading is from east to x."""
    box, size_in = axes.get_position(), figure.get_size_inches()
    turn = math.radians(90.0 - datum.heading_deg)
    along = np.array([math.cos(turn), math.sin(turn)]) / size_in
    center = np.array([box.x1, box.y1]) + np.array([-0.22, 0.36]) / size_in
    axes.annotate('', center + 0.1 * along, center - 0.2 * along, xycoords='figure fraction',
                  textcoords='figure fraction', annotation_clip=False,
                  arrowprops={'arrowstyle': '-|>', 'color': INK, 'linewidth': 1.2})
    figure.text(*(center + 0.2 * along), 'N', ha='center', va='center', fontsize=9, color=INK)


def _counted(count: int, one: str, many: str) -> str:
    return f'{count:,} {one if count == 1 else many}'


def _time(unix_sec: float, style: str) -> str:
    try:
        text = datetime.fromtimestamp(unix_sec, timezone.utc).strftime(style)
    except (OverflowError, ValueError, OSError):
        return f'{unix_sec:g} s'
    return text[:-5] if style.endswith('%f') else text  # tenths of a second will do
