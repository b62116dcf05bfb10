from __future__ import annotations

import math

from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.qdrant.filters import (
    admitted,
    AnyOf,
    Between,
    Condition,
    conditions_of,
    Outside,
    region_of,
)
from spatial_rag_core.memory.qdrant.points import Payload, places_of, points_of
from spatial_rag_core.records import Box, MemoryQuery, Pose, Position

from hypothesis import given, settings
import numpy as np
import pytest

from ..index_contract import brute_force, GRID, queries, scattered_rows, some_rows

ZERO = np.zeros(4, np.float32)
HERE = Pose(Position(0.0, 0.0))


def satisfied(payload: Payload, condition: Condition) -> bool:
    value = payload[condition.field]
    if isinstance(condition, AnyOf):
        return bool(set(condition.values) & set(value if isinstance(value, list) else [value]))
    if isinstance(condition, Between):
        return ((condition.low is None or value >= condition.low)
                and (condition.high is None or value <= condition.high))
    return not condition.low < value < condition.high


def one_bit_off(payload: Payload, chance: np.random.Generator) -> Payload:
    """As Qdrant reads numbers: at times the neighbour of the one that was written."""
    return {field: math.nextafter(value, chance.choice([-math.inf, math.inf]))
            if field in ('timestamp', 'z') else value for field, value in payload.items()}


@pytest.mark.parametrize('rows', [some_rows(300), scattered_rows(300)], ids=['few', 'any'])
def test_conditions_leave_out_nothing_that_belongs_to_the_answer(rows: IndexRows) -> None:
    chance = np.random.default_rng(0)
    payloads = [one_bit_off(payload, chance)
                for payload in points_of(rows, GRID.frame, GRID.resolution).payloads]

    @settings(derandomize=True, deadline=None, database=None, max_examples=150)
    @given(queries())
    def claim(query: MemoryQuery) -> None:
        conditions = conditions_of(query)
        region = region_of(query, GRID)
        conditions += [] if region is None else [region.condition]
        let_through = [all(satisfied(payload, each) for each in conditions)
                       for payload in payloads]
        keep = admitted(places_of(rows), query) & let_through
        assert set(rows.seqs[keep].tolist()) == set(brute_force(rows, query)[0].tolist())

    claim()


@pytest.mark.parametrize(('radius_m', 'field'), [
    (0.3, 'h3_15'), (1.0, 'h3_15'), (5.0, 'h3_13'), (8.0, 'h3_13'), (40.0, 'h3_11'),
    (300.0, 'h3_9'), (3000.0, 'h3_7'), (20_000.0, 'h3_5')])
def test_a_cover_is_of_few_cells_however_large_the_disc(radius_m: float, field: str) -> None:
    region = region_of(MemoryQuery(vector=ZERO, pose=HERE, radius_m=radius_m), GRID)
    assert region is not None
    assert region.condition.field == field
    assert 1 <= len(region.condition.values) <= 40
    assert 0.0 < region.share <= 1.0


def test_what_is_larger_than_any_cover_has_none() -> None:
    assert region_of(MemoryQuery(vector=ZERO, pose=HERE, radius_m=1e6), GRID) is None
    assert region_of(MemoryQuery(vector=ZERO), GRID) is None


def test_a_long_corridor_has_a_cover_as_well() -> None:
    corridor = Box(Position(-100.0, 0.0, 0.0), Position(100.0, 2.0, 3.0))
    region = region_of(MemoryQuery(vector=ZERO, box=corridor), GRID)
    assert region is not None
    assert region.condition.field == 'h3_11'


def test_heights_are_asked_for_where_anything_limits_them() -> None:
    pose = Pose(Position(0.0, 0.0, 10.0))
    box = Box(Position(0, 0, 9.5), Position(1, 1, 30.0))
    for fields, span in (({'radius_m': 5.0}, (5, 15)), ({'max_dz_m': 1.0}, (9, 11)),
                         ({'radius_m': 5.0, 'max_dz_m': 1.0}, (9, 11)),
                         ({'box': box, 'max_dz_m': 1.0}, (9.5, 11))):
        query = MemoryQuery(vector=ZERO, pose=pose, **fields)  # type: ignore[arg-type]
        [heights] = [each for each in conditions_of(query) if each.field == 'z']
        assert isinstance(heights, Between)
        assert (heights.low, heights.high) == pytest.approx(span)
        assert heights.low <= span[0]
        assert heights.high >= span[1]
    assert conditions_of(MemoryQuery(vector=ZERO, pose=pose)) == []


def test_the_least_age_is_a_gap_around_the_moment_and_a_little_smaller() -> None:
    [gap] = conditions_of(MemoryQuery(vector=ZERO, timestamp=1.7e9, min_age_sec=60.0))
    assert isinstance(gap, Outside)
    assert 1.7e9 - 60 < gap.low < 1.7e9 - 59.999
    assert 1.7e9 + 59.999 < gap.high < 1.7e9 + 60
    nothing = MemoryQuery(vector=ZERO, timestamp=1.7e9, min_age_sec=1e-12)
    assert conditions_of(nothing) == []
