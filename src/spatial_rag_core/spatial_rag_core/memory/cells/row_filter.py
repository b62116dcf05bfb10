"""Which rows of an arena a query admits, exactly."""

from __future__ import annotations

from collections.abc import Callable
import functools
import math

from spatial_rag_core.memory.cells.arena import (
    Arena,
    Columns,
    PAGE_BITS,
    PAGE_ROWS,
    Pages,
    Places,
    Rows,
)
from spatial_rag_core.memory.cells.directory import Bounds
from spatial_rag_core.records import Box, MemoryQuery

import numpy as np
from numpy.typing import NDArray

SAMPLE_PAGES = 512
BEYOND_M = 1e-8  # more than the rounding of a sum of two coordinates of 1e7 m

Mask = NDArray[np.bool_]
Coordinate = NDArray[np.float64]
PlaceCondition = Callable[[Coordinate, Coordinate, Coordinate], Mask]
"""From x, y, z to a mask of their shape."""
Condition = Callable[[Columns, Rows], Mask]
"""From rows [n] to bool [n]."""


def bounds_of(query: MemoryQuery) -> Bounds | None:
    """Return a box of the map that holds all that the query admits; None: it has no region."""
    if query.radius_m is not None and query.pose is not None:
        bounds = bounds_around(query.pose.position, query.radius_m)
    elif query.box is not None:
        bounds = np.array([*query.box.high, *(-value for value in query.box.low)])
    else:
        return None
    if query.max_dz_m is not None and query.pose is not None:
        slab = bounds_around((math.inf, math.inf, query.pose.position.z), query.max_dz_m)
        bounds[2], bounds[5] = min(bounds[2], slab[2]), min(bounds[5], slab[5])
    return bounds


def bounds_around(center: tuple[float, float, float], reach_m: float) -> Bounds:
    """Return the box about a ball, a little larger than rounding can make it too small."""
    x, y, z = center
    reach = reach_m + BEYOND_M
    return np.array([x + reach, y + reach, z + reach, reach - x, reach - y, reach - z])


class RowFilter:
    """
    Finds the rows of some pages that a query admits.

    contexts: which context numbers do, see ContextBook; None: all.
    """

    def __init__(self, query: MemoryQuery, contexts: Mask | None) -> None:
        self._places = _place_conditions(query)
        self._others = _other_conditions(query, contexts)

    def share(self, arena: Arena) -> float:
        """Which part of all rows is admitted, 0 to 1, as a sample of pages says."""
        if not self._places and not self._others:
            return 1.0
        pages = np.linspace(0, arena.page_count - 1, SAMPLE_PAGES).astype(np.int32)
        return len(self.rows(arena.columns, pages)) / (SAMPLE_PAGES * PAGE_ROWS)

    def rows(self, columns: Columns, pages: Pages) -> Rows:
        """Rows of the pages that hold a memory that satisfies everything."""
        if self._places:
            keep = self._in_place(columns.places_on(pages))
        else:
            keep = columns.seqs.reshape(-1, PAGE_ROWS).take(pages, axis=0) != 0
        return self._by_the_others(columns, _rows_where(keep, pages))

    def among(self, columns: Columns, rows: Rows) -> Rows:
        """Those of the rows that satisfy everything."""
        if self._places:
            rows = rows.take(self._in_place(columns.places_of(rows)).nonzero()[0])
        return self._by_the_others(columns, rows)

    def _in_place(self, places: Places) -> Mask:
        keep = self._places[0](*places)
        for condition in self._places[1:]:
            keep &= condition(*places)
        return keep

    def _by_the_others(self, columns: Columns, rows: Rows) -> Rows:
        for condition in self._others:
            rows = rows.take(condition(columns, rows).nonzero()[0])
        return rows


def _rows_where(keep: Mask, pages: Pages) -> Rows:
    """Numbers of the rows for which `keep` bool [n, PAGE_ROWS] holds on pages [n]."""
    rows = keep.reshape(-1).nonzero()[0]
    ahead = np.arange(len(pages), dtype=np.int32)
    np.subtract(pages, ahead, out=ahead)
    ahead *= PAGE_ROWS
    rows += ahead.take(rows >> PAGE_BITS)
    return rows


def _place_conditions(query: MemoryQuery) -> list[PlaceCondition]:
    conditions: list[PlaceCondition] = []
    if query.radius_m is not None and query.pose is not None:
        center, limit = query.pose.position, squared_limit(query.radius_m)
        conditions.append(lambda x, y, z: squared_separations((x, y, z), center) <= limit)
    if query.box is not None:
        conditions.append(_within_box(query.box))
    if query.max_dz_m is not None and query.pose is not None:
        height, max_dz = query.pose.position.z, query.max_dz_m
        conditions.append(lambda x, y, z: np.abs(z - height) <= max_dz)
    return conditions


def _within_box(box: Box) -> PlaceCondition:
    def condition(*places: Coordinate) -> Mask:
        keep = (places[0] >= box.low.x) & (places[0] <= box.high.x)
        for values, low, high in zip(places[1:], box.low[1:], box.high[1:], strict=True):
            keep &= (values >= low) & (values <= high)
        return keep

    return condition


def squared_separations(places: Places, center: tuple[float, float, float]) -> Coordinate:
    """Squared distances of places from a point, of the shape of their x [m²]."""
    x, y, z = places
    total: Coordinate = x - center[0]
    total *= total
    offset = y - center[1]
    offset *= offset
    total += offset
    offset = z - center[2]
    offset *= offset
    total += offset
    return total


@functools.lru_cache(maxsize=64)
def squared_limit(radius: float) -> float:
    """Return the largest double whose root, correctly rounded, does not exceed the radius."""
    limit = radius * radius
    while math.sqrt(limit) > radius:
        limit = math.nextafter(limit, 0.0)
    while math.sqrt(above := math.nextafter(limit, math.inf)) <= radius:
        limit = above
    return limit


def _other_conditions(query: MemoryQuery, contexts: Mask | None) -> list[Condition]:
    conditions: list[Condition] = []
    if query.after is not None or query.before is not None:
        conditions.append(_within_time(query.after, query.before))
    if query.min_age_sec > 0.0 and query.timestamp is not None:
        conditions.append(_old_enough(query.timestamp, query.min_age_sec))
    if contexts is not None:
        conditions.append(lambda columns, rows: contexts.take(
            columns.contexts.take(rows), mode='clip'))
    return conditions


def _within_time(after: float | None, before: float | None) -> Condition:
    start = -math.inf if after is None else after
    end = math.inf if before is None else before

    def condition(columns: Columns, rows: Rows) -> Mask:
        timestamps = columns.timestamps.take(rows)
        return (timestamps >= start) & (timestamps <= end)

    return condition


def _old_enough(moment: float, min_age_sec: float) -> Condition:
    return lambda columns, rows: (
        np.abs(columns.timestamps.take(rows) - moment) >= min_age_sec)
