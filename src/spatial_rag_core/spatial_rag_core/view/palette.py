"""Colours of a memory, the same on paper and in RViz: cells by their memories, memories by age."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Colors = NDArray[np.float32]
"""RGBA, 0 to 1, float32 [N, 4]."""

COUNT_COLORS = ('#eaf1f8', '#cddeee', '#a9c5e0', '#82a9cf', '#5f8dbb')
"""From the least to the most memories in a cell."""

AGE_COLORS = ('#f9b233', '#ee7b30', '#d6402f', '#a11444', '#5c0a3c')
"""From the oldest memory to the newest."""

RECALL_COLOR, PATH_COLOR = '#0e8a7d', '#2456d6'
"""Lines to what was retrieved; where the model expects the robot to go."""

SHADES = 32
"""So many colours of a scale are told apart; what changes less need not be sent again."""


def shades_of(values: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Numbers of the shades of values on a scale from 0 to 1, each from 0 to SHADES - 1."""
    return np.rint(np.clip(values, 0.0, 1.0) * (SHADES - 1)).astype(np.uint8)


def count_scale(counts: NDArray[np.int64]) -> tuple[float, float]:
    """Ends of the scale: the power of ten below the smallest count, and the largest."""
    low, high = 10.0 ** math.floor(math.log10(int(counts.min()))), float(counts.max())
    if high < 10 * low and low > 1:
        low /= 10
    return low, max(10 * low, high)


def on_count_scale(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where counts > 0 lie on their own scale, 0 to 1, which goes by powers."""
    low, high = np.log(count_scale(counts))
    placed: NDArray[np.float64] = np.clip((np.log(counts) - low) / (high - low), 0.0, 1.0)
    return placed


def blended(stops: tuple[str, ...], shades: NDArray[np.uint8], alpha: float = 1.0) -> Colors:
    """Colours of shades between the stops, which stand at equal distances."""
    colors = np.full((len(shades), 4), alpha, np.float32)
    places = np.linspace(0.0, 1.0, len(stops))
    for channel, values in enumerate(np.array([rgb(stop) for stop in stops]).T):
        colors[:, channel] = np.interp(shades / (SHADES - 1), places, values)
    return colors


def rgb(color: str) -> tuple[float, float, float]:
    """Red, green and blue, 0 to 1, of '#rrggbb'."""
    red, green, blue = (int(color[at:at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
