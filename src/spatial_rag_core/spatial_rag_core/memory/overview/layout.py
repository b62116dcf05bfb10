"""What a picture of a memory is made of: hexagons with counts, and the path with its gaps."""

from __future__ import annotations

from typing import NamedTuple

from spatial_rag_core.spatial.local_frame import LocalFrame

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray

MAX_HEXAGONS = 5000
MAX_SEGMENTS = 60_000

_JUMP_M, _PAUSE_SEC = 1.0, 30.0
_USUAL_STEPS = 20.0
"""A step this many times the session's median, in metres or seconds, and more than the above."""


class Places(NamedTuple):
    """
    N memories as a picture needs them, in any order.

    positions float64 [N, 2], map frame [m]; timestamps float64 [N], Unix [s]; sessions int [N]:
    a number for each session; cells uint64 [N]: H3 cells, all of one resolution.
    """

    positions: NDArray[np.float64]
    timestamps: NDArray[np.float64]
    sessions: NDArray[np.int64]
    cells: NDArray[np.uint64]


class Hexagons(NamedTuple):
    """Corners of each cell, float64 [5 to 10, 2] in the map frame [m], and its memories."""

    corners: list[NDArray[np.float64]]
    counts: NDArray[np.int64]
    resolution: int


class Track(NamedTuple):
    """
    The path as S straight pieces.

    segments float64 [S, 2, 2]: from, to, as x, y [m]; ages float64 [S]: 0 is the oldest memory,
    1 the newest, in time that was remembered, so that a night between two days takes no colour.
    """

    segments: NDArray[np.float64]
    ages: NDArray[np.float64]


def hexagons(cells: NDArray[np.uint64], frame: LocalFrame, smallest_edge_m: float) -> Hexagons:
    """Count memories by cell; coarser cells where there are too many or they are too small."""
    resolution = h3.get_resolution(int(cells[0]))
    unique, counts = np.unique(cells, return_counts=True)
    while resolution > 0 and (len(unique) > MAX_HEXAGONS
                              or _edge_m(int(unique[0]), frame) < smallest_edge_m):
        resolution -= 1
        unique, owner = np.unique(parents(unique, resolution), return_inverse=True)
        counts = np.bincount(owner, counts).astype(np.int64)
    return Hexagons([cell_corners(cell, frame) for cell in unique.tolist()], counts, resolution)


def parents(cells: NDArray[np.uint64], resolution: int) -> NDArray[np.uint64]:
    """
    Ancestors of H3 cells at a coarser resolution.

    Bits 52 to 55 are the resolution, then follow 15 digits of 3 bits, 7 where unused (h3geo.org,
    "H3 index bit layout").
    """
    unused = np.uint64((1 << 3 * (15 - resolution)) - 1)
    bare = cells & ~np.uint64(0xF << 52)
    return np.asarray(bare | np.uint64(resolution << 52) | unused, np.uint64)


def cell_corners(cell: int, frame: LocalFrame) -> NDArray[np.float64]:
    """Corners of an H3 cell, float64 [5 to 10, 2] in the map frame [m]."""
    return np.array([frame.to_map(*corner) for corner in h3.cell_to_boundary(cell)])


def _edge_m(cell: int, frame: LocalFrame) -> float:
    corners = cell_corners(cell, frame)
    return float(np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=1).min())


def track(places: Places) -> tuple[Track, NDArray[np.float64]]:
    """Return the path, at most MAX_SEGMENTS pieces, and the age of each memory, 0 to 1 [N]."""
    ages = remembered_ages(places.timestamps)
    order = np.lexsort((places.timestamps, places.sessions))
    positions = places.positions[order]
    gaps = _gaps(positions, places.timestamps[order], places.sessions[order])
    piece = np.concatenate(([0], np.cumsum(gaps)))
    kept = np.arange(0, len(order), max(1, -(-len(order) // MAX_SEGMENTS)))
    joined = piece[kept[1:]] == piece[kept[:-1]]
    ends = np.stack([positions[kept[:-1]], positions[kept[1:]]], axis=1)
    return Track(ends[joined], ages[order][kept[1:]][joined]), ages


def remembered_ages(timestamps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Age of each, 0 the oldest to 1 the newest; a pause counts as _PAUSE_SEC at most."""
    order = np.argsort(timestamps, kind='stable')
    elapsed = np.concatenate(([0.0], np.cumsum(np.minimum(
        np.diff(timestamps[order]), _PAUSE_SEC))))
    ages = np.empty(len(order))
    ages[order] = elapsed / elapsed[-1] if elapsed[-1] > 0 else 1.0
    return ages


def _gaps(positions: NDArray[np.float64], times: NDArray[np.float64],
          sessions: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where the path is broken between one memory and the next, bool [N - 1]."""
    lengths: NDArray[np.float64] = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    pauses: NDArray[np.float64] = np.diff(times)
    changes: NDArray[np.bool_] = np.diff(sessions) != 0
    if changes.all():
        return changes
    usual_m, usual_sec = np.median(lengths[~changes]), np.median(pauses[~changes])
    jumps = lengths > max(_JUMP_M, _USUAL_STEPS * usual_m)
    long = (pauses > max(_PAUSE_SEC, _USUAL_STEPS * usual_sec)) & (lengths > 2 * usual_m)
    return changes | jumps | long
