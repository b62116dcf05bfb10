"""How the surfaces of a simulated world look, so that different places look different."""

from __future__ import annotations

import colorsys
from typing import NamedTuple

import numpy as np

Color = tuple[float, float, float]
"""Red, green, blue, each from 0 to 255."""


class SurfaceStyle(NamedTuple):
    """
    Two colours that alternate on a wall, and the floor before it.

    along_per_m: changes of colour per metre along the wall; up_per_m: per metre of height.
    Both give checks, one gives stripes.
    """

    colors: tuple[Color, Color]
    along_per_m: float
    up_per_m: float
    floor: Color


class Pillar(NamedTuple):
    """A landmark from floor to ceiling, round, at (x, y) in the map frame [m]."""

    x: float
    y: float
    radius_m: float
    style: SurfaceStyle


_PATTERNS = ((2.0, 0.0), (0.0, 2.5), (1.5, 1.5), (0.7, 0.0), (0.0, 1.2), (3.0, 3.0), (1.0, 2.5))
_DOOR_FRAME = SurfaceStyle(((235, 230, 220), (235, 230, 220)), 0.0, 0.0, (150, 120, 90))


def room_style(rng: np.random.Generator, number: int, room_count: int) -> SurfaceStyle:
    """Choose the look of room `number`; 0 is the frame of the doors."""
    if number == 0:
        return _DOOR_FRAME
    hue = (number + float(rng.uniform(-0.2, 0.2))) / room_count
    other = hue + float(rng.choice((0.0, 0.12, 0.5)))
    along, up = _PATTERNS[(number + int(rng.integers(2))) % len(_PATTERNS)]
    colors = _rgb(hue, 0.75, 0.95), _rgb(other, 0.45, 0.55)
    return SurfaceStyle(colors, along, up, _rgb(hue + 0.4, 0.35, 0.75))


def restyle_rooms(rng: np.random.Generator, styles: tuple[SurfaceStyle, ...],
                  ) -> tuple[SurfaceStyle, ...]:
    """Let half of the rooms, by lot, take each other's places in the row of colours."""
    room_count = len(styles) - 1
    rooms = rng.permutation(room_count)[:max(2, (room_count + 1) // 2)] + 1
    changed = list(styles)
    for room, other in zip(rooms, np.roll(rooms, 1), strict=True):
        changed[room] = room_style(rng, int(other), room_count)
    return tuple(changed)


def pillar_style(rng: np.random.Generator, index: int, count: int) -> SurfaceStyle:
    """Choose the bands of pillar `index` of `count`."""
    hue = (index + float(rng.uniform(-0.3, 0.3))) / count
    colors = _rgb(hue, 1.0, 1.0), _rgb(hue + 0.5, 0.2, float(rng.choice((0.15, 1.0))))
    return SurfaceStyle(colors, 0.0, float(rng.choice((0.0, 1.5, 3.0))), (0.0, 0.0, 0.0))


def _rgb(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1.0, saturation, value)
    return 255 * red, 255 * green, 255 * blue
