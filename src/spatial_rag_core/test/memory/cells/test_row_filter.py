from __future__ import annotations

import math

from spatial_rag_core.memory.cells.row_filter import bounds_of, RowFilter, squared_limit
from spatial_rag_core.records import MemoryQuery

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from ..index_contract import brute_force, CONTEXTS, queries, some_rows
from .arenas import filled_arena

reproducibly = settings(derandomize=True, deadline=None, database=None, max_examples=300)
MEMORIES = some_rows(203)


@reproducibly
@given(st.floats(1e-6, 1e7))
def test_the_squared_limit_is_exactly_where_the_rounded_root_passes_the_radius(
        radius: float) -> None:
    limit = squared_limit(radius)
    assert math.sqrt(limit) <= radius
    assert math.sqrt(math.nextafter(limit, math.inf)) > radius


def filter_of(query: MemoryQuery) -> RowFilter:
    return RowFilter(query, np.array(
        [number in CONTEXTS and CONTEXTS[number].meets(query) for number in range(12)]))


@reproducibly
@given(queries())
def test_on_pages_and_among_rows_the_same_is_admitted_as_by_brute_force(
        query: MemoryQuery) -> None:
    arena = filled_arena(MEMORIES)
    expected = np.sort(brute_force(MEMORIES, query)[0]).tolist()
    wanted, columns = filter_of(query), arena.columns
    pages = np.random.default_rng(0).permutation(arena.page_count).astype(np.int32)
    on_pages = wanted.rows(columns, pages)
    among = wanted.among(columns, np.arange(len(MEMORIES.seqs)))
    assert np.sort(columns.seqs.take(on_pages)).tolist() == expected
    assert columns.seqs.take(among).tolist() == expected


@reproducibly
@given(queries())
def test_the_bounds_hold_all_that_is_admitted(query: MemoryQuery) -> None:
    bounds = bounds_of(query)
    if bounds is None:
        assert query.radius_m is None
        assert query.box is None
        return
    admitted = np.isin(MEMORIES.seqs, brute_force(MEMORIES, query)[0])
    inside = (MEMORIES.positions <= bounds[:3]) & (-MEMORIES.positions <= bounds[3:])
    assert inside[admitted].all()


def test_the_share_of_wanted_memories_is_told_from_a_sample() -> None:
    arena = filled_arena(some_rows(20_000))
    vector = np.zeros(4, np.float32)
    assert RowFilter(MemoryQuery(vector=vector), None).share(arena) == 1.0
    half = RowFilter(MemoryQuery(vector=vector, before=14.5), None).share(arena)
    assert half == pytest.approx(0.5, abs=0.05)
    none = RowFilter(MemoryQuery(vector=vector, after=99.0), None).share(arena)
    assert none == 0.0
