"""Shapes of a scene as arrays: what RViz draws as markers, and a picture as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from spatial_rag_core.view.cell_hexagons import Hexagon
from spatial_rag_core.view.moment import Foresight, Moment
from spatial_rag_core.view.palette import Colors, PATH_COLOR, RECALL_COLOR, rgb

import numpy as np
from numpy.typing import NDArray

LINE_WIDTHS_M = (0.01, 0.02, 0.03, 0.045, 0.06)
"""Lines to memories, from the farthest to the nearest in latent; a marker has one width."""


class Shape(NamedTuple):
    """
    Vertices float64 [V, 3] in the map frame [m], and their colours.

    Points have a colour each, lines one for each end, triangles one for each triangle.
    """

    vertices: NDArray[np.float64]
    colors: Colors


def triangles(hexagons: Sequence[Hexagon]) -> Shape:
    """Cells as triangles, all from the first corner of their cell."""
    vertices, colors = [np.empty((0, 3))], [np.empty((0, 4), np.float32)]
    for corners, color in hexagons:
        n = len(corners) - 2
        fan = np.stack([np.zeros(n, int), np.arange(1, n + 1), np.arange(2, n + 2)], axis=1)
        vertices.append(corners[fan.ravel()])
        colors.append(np.tile(color, (n, 1)))
    return Shape(np.concatenate(vertices), np.concatenate(colors))


def recall_lines(moment: Moment) -> list[Shape]:
    """Lines from the robot to what was recalled, for each of LINE_WIDTHS_M."""
    nearness = moment.nearness()
    classes = np.minimum((nearness * len(LINE_WIDTHS_M)).astype(int), len(LINE_WIDTHS_M) - 1)
    places = np.array([memory.position for memory in moment.recalled]).reshape(-1, 3)
    start = np.array(moment.pose.position)
    shapes = []
    for each in range(len(LINE_WIDTHS_M)):
        ends = places[classes == each]
        vertices = np.stack([np.broadcast_to(start, ends.shape), ends], axis=1).reshape(-1, 3)
        alpha = np.repeat(0.35 + 0.6 * nearness[classes == each], 2)
        shapes.append(Shape(vertices, _colors(RECALL_COLOR, alpha)))
    return shapes


def recalled_points(moment: Moment) -> Shape:
    """Where what was recalled was seen."""
    places = np.array([memory.position for memory in moment.recalled]).reshape(-1, 3)
    return Shape(places, _colors(RECALL_COLOR, np.ones(len(places))))


def path_points(foresight: Foresight | None) -> Shape:
    """Where the robot is expected after each step, paler the farther ahead it is."""
    ahead = np.empty((0, 3)) if foresight is None else foresight.positions[1:]
    return Shape(ahead, _colors(PATH_COLOR, np.linspace(0.95, 0.3, len(ahead))))


def _colors(color: str, alpha: NDArray[np.float64]) -> Colors:
    colors = np.empty((len(alpha), 4), np.float32)
    colors[:, :3], colors[:, 3] = rgb(color), alpha
    return colors
