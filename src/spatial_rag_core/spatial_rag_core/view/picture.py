"""A scene on paper: the same points, hexagons and lines that RViz shows, from above."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_rag_core.memory.overview.layout import remembered_ages
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
)
from spatial_rag_core.memory.overview.paper import (
    add_map,
    age_colors,
    count_colors,
    DPI,
    draw_cells,
    draw_ring,
    make_ground,
    new_figure,
    save,
    Window,
    window_around,
    write_captions,
)
from spatial_rag_core.view.drawn_memory import DrawnMemory
from spatial_rag_core.view.moment import Foresight, Moment
from spatial_rag_core.view.moment_pictures import MomentPictures
from spatial_rag_core.view.palette import PATH_COLOR
from spatial_rag_core.view.shapes import LINE_WIDTHS_M, path_points, recall_lines, recalled_points

import numpy as np

_MARKS = ('Points are memories, coloured by time (UTC); the ring is the robot, green lines lead '
          'to what it recalls\n(thicker: nearer in latent), blue is where the model expects it.')
_NAMES = ('camera', 'decoded $z_t$', 'decoded $\\hat z_{t+1}$', 'best memory')
_GAP_IN, _NAME_IN, _BOTTOM_IN = 0.16, 0.24, 0.2
_POINT_M, _MANY = 0.14, 20_000
_LEAST_REACH_M = 0.8
_THIN_PT, _THICK_PT = 1.5, 4.0  # the widest line, on the whole map and near the robot


@dataclass(frozen=True, eq=False)
class Scene:
    """All that one picture shows."""

    drawn: DrawnMemory
    moment: Moment
    foresight: Foresight | None
    pictures: MomentPictures


def draw_scene(scene: Scene, path: Path, *, title: str, subtitle: str) -> None:
    """
    Draw the whole memory, what lies around the robot, and the pictures of the moment.

    path: its ending says the format, .png, .svg or .pdf. Raises ConfigurationError for another
    ending, ImageError for a picture that cannot be read, TargetUnavailableError where the file
    cannot be written.
    """
    figure = new_figure(path)
    drawn, spec = scene.drawn, scene.drawn.spec
    drawn.settle()
    points, _ = drawn.all_points()
    window = window_around(np.concatenate(
        [points[:, :2], *(corners[:, :2] for corners, _ in drawn.all_hexagons())]))
    column_in = _column_in(window)
    axes = add_map(figure, window, column_in + 2 * _GAP_IN)
    near = _around(scene, column_in)
    _draw_memory(axes, drawn, window)
    _draw_moment(axes, scene, _THIN_PT)
    _outline(axes, near)
    draw_count_bar(figure, axes, count_colors(drawn.hexagons.counts))
    times = drawn.points.timestamps
    draw_age_bar(figure, axes, age_colors(), age_labels(remembered_ages(times), times))
    write_captions(figure, axes, title, subtitle, note(
        _MARKS, drawn.hexagons.resolution, spec.datum, spec.map_frame))
    draw_north(figure, axes, spec.datum)
    _draw_near(figure, scene, near)
    _draw_pictures(figure, scene.pictures, column_in)
    save(figure, path)


def _column_in(window: Window) -> float:
    """Width of the column on the right: a square map above two rows of two pictures."""
    free = FOOT_IN + window.height_in - _BOTTOM_IN - 2 * (_NAME_IN + _GAP_IN)
    return (free + _GAP_IN) / 2


def _around(scene: Scene, side_in: float) -> Window:
    """A square around the robot that holds what it recalls and where it is expected."""
    here = np.array(scene.moment.pose.position)
    seen = [here, *(memory.position for memory in scene.moment.recalled)]
    if scene.foresight is not None:
        seen.extend(scene.foresight.positions)
    reach = max(1.15 * float(np.abs(np.array(seen) - here)[:, :2].max()), _LEAST_REACH_M)
    x, y = here[:2].tolist()
    return Window((x - reach, x + reach), (y - reach, y + reach), side_in, side_in)


def _draw_memory(axes: Any, drawn: DrawnMemory, window: Window) -> None:
    hexagons = drawn.all_hexagons()
    draw_cells(axes, window, [corners[:, :2] for corners, _ in hexagons],
               np.array([color for _, color in hexagons]))
    points, colors = drawn.all_points()
    size_px = float(np.clip(_POINT_M / window.m_per_px, 1.5, 9.0))
    axes.scatter(*points[:, :2].T, s=(size_px * 72 / DPI) ** 2, c=colors, linewidths=0, zorder=3,
                 rasterized=len(points) > _MANY)


def _draw_moment(axes: Any, scene: Scene, widest_pt: float) -> None:
    from matplotlib.collections import LineCollection
    for shape, width_m in zip(recall_lines(scene.moment), LINE_WIDTHS_M, strict=True):
        axes.add_collection(LineCollection(
            [*shape.vertices[:, :2].reshape(-1, 2, 2)], colors=shape.colors[::2], capstyle='round',
            linewidths=width_m / LINE_WIDTHS_M[-1] * widest_pt, zorder=4))
    if scene.foresight is not None:
        axes.plot(*scene.foresight.positions[:, :2].T, color=PATH_COLOR, linewidth=1.6, zorder=5)
    for shape, size in ((recalled_points(scene.moment), 30), (path_points(scene.foresight), 20)):
        axes.scatter(*shape.vertices[:, :2].T, s=size, c=shape.colors, edgecolors='white',
                     linewidths=0.6, zorder=6)
    draw_ring(axes, scene.moment.pose.position)


def _outline(axes: Any, near: Window) -> None:
    from matplotlib.patches import Rectangle
    axes.add_patch(Rectangle((near.x[0], near.y[0]), near.x[1] - near.x[0],
                             near.y[1] - near.y[0], fill=False, edgecolor=INK, linewidth=0.8,
                             zorder=7))


def _draw_near(figure: Any, scene: Scene, near: Window) -> None:
    width_in, height_in = figure.get_size_inches()
    left, top = width_in - near.width_in - _GAP_IN, height_in - CAPTION_IN
    axes = _axes(figure, left, top - near.height_in, near.width_in)
    make_ground(axes, near)
    axes.tick_params(labelbottom=False, labelleft=False, length=0)
    _draw_memory(axes, scene.drawn, near)
    _draw_moment(axes, scene, _THICK_PT)
    _name(figure, left, top + 0.08, f'around the robot, {near.x[1] - near.x[0]:.1f} m wide')


def _draw_pictures(figure: Any, pictures: MomentPictures, column_in: float) -> None:
    left = figure.get_size_inches()[0] - column_in - _GAP_IN
    side = (column_in - _GAP_IN) / 2
    for number, (name, make) in enumerate(zip(_NAMES, pictures, strict=True)):
        row, column = 1 - number // 2, number % 2
        x = left + column * (side + _GAP_IN)
        y = _BOTTOM_IN + row * (side + _NAME_IN + _GAP_IN / 2)
        axes = _axes(figure, x, y, side)
        axes.set(xticks=[], yticks=[], facecolor='#f0f0ee')
        axes.spines[:].set_color('#b5b5b5')
        _name(figure, x, y + side + 0.06, name)
        if (picture := make()) is None:
            axes.text(0.5, 0.5, 'none', ha='center', va='center', color=PALE, fontsize=9)
        else:
            axes.imshow(picture, interpolation='nearest')


def _axes(figure: Any, left_in: float, bottom_in: float, side_in: float) -> Any:
    width, height = figure.get_size_inches()
    return figure.add_axes((left_in / width, bottom_in / height,
                            side_in / width, side_in / height))


def _name(figure: Any, left_in: float, bottom_in: float, text: str) -> None:
    width, height = figure.get_size_inches()
    figure.text(left_in / width, bottom_in / height, text, fontsize=8.5, color=INK)
