"""A query as conditions on the payload, and as a check to the last bit of what comes back."""

from __future__ import annotations

import math
from typing import NamedTuple

from spatial_rag_core.memory.qdrant.points import cell_field, cell_resolutions, Places
from spatial_rag_core.records import MemoryQuery, Position
from spatial_rag_core.spatial.h3_cells import H3Grid

from h3.api import basic_int
import numpy as np
from numpy.typing import NDArray

_CELLS_ABOUT = 24
"""Cells that a cover should have: more of them take longer to find than they spare."""
_ULPS = 16
"""Numbers in Qdrant may be a last bit off, and sums of them too: see points.py."""


class AnyOf(NamedTuple):
    """The field holds one of these; of a list of words: one word of it is one of these."""

    field: str
    values: tuple[str, ...] | tuple[int, ...]


class Between(NamedTuple):
    """The field's number lies within both bounds; None does not bound."""

    field: str
    low: float | None
    high: float | None


class Outside(NamedTuple):
    """The field's number does not lie strictly between the bounds."""

    field: str
    low: float
    high: float


Condition = AnyOf | Between | Outside


class Region(NamedTuple):
    """Cells that contain all that a bounded query admits, and the part of them it takes up."""

    condition: AnyOf
    share: float


def conditions_of(query: MemoryQuery) -> list[Condition]:
    """
    Return what every memory that the query admits satisfies; cells are apart, see region_of.

    Words are exact; bounds of numbers are a few last bits too wide: see admitted.
    """
    found: list[Condition] = [
        AnyOf(field, (word,)) for field, word in (
            ('session', query.session), ('robot', query.robot), ('map_id', query.map_id))
        if word is not None]
    found += [AnyOf('labels', (label,)) for label in query.labels]
    if query.after is not None or query.before is not None:
        found.append(_between('timestamp', query.after, query.before))
    if query.min_age_sec > 0.0 and query.timestamp is not None:
        low, high = query.timestamp - query.min_age_sec, query.timestamp + query.min_age_sec
        slack = _slack(query.timestamp, query.min_age_sec)
        if low + slack < high - slack:
            found.append(Outside('timestamp', low + slack, high - slack))
    low_z, high_z = _heights(query)
    if low_z is not None:
        found.append(_between('z', low_z, high_z))
    return found


def _heights(query: MemoryQuery) -> tuple[float, float] | tuple[None, None]:
    """Lowest and highest z that is admitted [m]."""
    spans = []
    if query.pose is not None:
        z = query.pose.position.z
        spans = [(z - reach, z + reach) for reach in (query.radius_m, query.max_dz_m)
                 if reach is not None]
    if query.box is not None:
        spans.append((query.box.low.z, query.box.high.z))
    if not spans:
        return None, None
    return max(low for low, _ in spans), min(high for _, high in spans)


def _between(field: str, low: float | None, high: float | None) -> Between:
    slack = _slack(low or 0.0, high or 0.0)
    return Between(field, None if low is None else low - slack,
                   None if high is None else high + slack)


def _slack(*values: float) -> float:
    return _ULPS * math.ulp(max(map(abs, values)))


def admitted(places: Places, query: MemoryQuery) -> NDArray[np.bool_]:
    """Which places satisfy the query's conditions on time and space to the last bit, [N]."""
    positions, timestamps = places['position'], places['timestamp']
    keep = np.ones(len(places), np.bool_)
    if query.pose is not None:
        offset = positions - np.asarray(query.pose.position)
        if query.radius_m is not None:
            keep &= np.linalg.norm(offset, axis=1) <= query.radius_m
        if query.max_dz_m is not None:
            keep &= np.abs(offset[:, 2]) <= query.max_dz_m
    if query.box is not None:
        keep &= ((positions >= query.box.low) & (positions <= query.box.high)).all(axis=1)
    if query.min_age_sec > 0.0 and query.timestamp is not None:
        keep &= np.abs(timestamps - query.timestamp) >= query.min_age_sec
    if query.after is not None:
        keep &= timestamps >= query.after
    if query.before is not None:
        keep &= timestamps <= query.before
    return keep


def region_of(query: MemoryQuery, grid: H3Grid) -> Region | None:
    """Cells for a bounded query; None: it has no bounds, or they are wider than any cover."""
    if query.radius_m is not None and query.pose is not None:
        center = query.pose.position
        width = height = 2 * query.radius_m
    elif query.box is not None:
        low, high = query.box.low, query.box.high
        center = Position((low.x + high.x) / 2, (low.y + high.y) / 2)
        width, height = high.x - low.x, high.y - low.y
    else:
        return None
    resolution = _resolution_for(width, height, cell_resolutions(grid.resolution))
    if resolution is None:
        return None
    cells = _cover(query, center, H3Grid(grid.frame, resolution))
    if cells is None:
        return None
    area = width * height * (math.pi / 4 if query.box is None else 1.0)
    covered = len(cells) * basic_int.average_hexagon_area(resolution, unit='m^2')
    return Region(AnyOf(cell_field(resolution), tuple(cells)), min(1.0, area / covered))


def _cover(query: MemoryQuery, center: Position, grid: H3Grid) -> list[int] | None:
    limit = 20 * _CELLS_ABOUT
    if query.box is not None:
        cover = grid.cover_box(query.box, limit)
    else:
        assert query.radius_m is not None
        cover = grid.cover_disc(center, query.radius_m, limit)
    if cover is None or cover.resolution != grid.resolution:
        return None
    return sorted(cover.cells)


def _resolution_for(width: float, height: float, resolutions: list[int]) -> int | None:
    """Finest resolution at which a rectangle [m] needs about _CELLS_ABOUT cells or fewer."""
    for resolution in reversed(resolutions):
        edge = basic_int.average_hexagon_edge_length(resolution, unit='m')
        area = basic_int.average_hexagon_area(resolution, unit='m^2')
        if (width + 2 * edge) * (height + 2 * edge) <= _CELLS_ABOUT * area:
            return resolution
    return None

