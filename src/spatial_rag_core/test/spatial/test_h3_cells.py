from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Box, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame

import h3
from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

DATUMS = [Datum(), Datum(48.0, 9.0, 37.0), Datum(-90.0, 0.0, 5.0), Datum(64.7, 10.5, 0.0),
          Datum(10.0, 180.0, -60.0)]  # 64.7, 10.5: beside a pentagon
GRIDS = {f'{datum.latitude_deg:g} deg, resolution {resolution}':
         H3Grid(LocalFrame(datum), resolution) for datum in DATUMS for resolution in (11, 13, 15)}
any_grid = pytest.mark.parametrize('grid', GRIDS.values(), ids=GRIDS)
reproducibly = settings(derandomize=True, deadline=None, database=None, max_examples=40)
near = st.floats(-200.0, 200.0)
unit = st.floats(0.0, 1.0)


def edge_m(grid: H3Grid) -> float:
    return float(h3.average_hexagon_edge_length(grid.resolution, unit='m'))


@any_grid
def test_every_point_of_a_disc_lies_in_a_covering_cell(grid: H3Grid) -> None:
    @reproducibly
    @given(near, near, st.floats(0.01, 6.0), st.lists(st.tuples(unit, unit), min_size=1))
    def claim(x: float, y: float, edges: float, points: list[tuple[float, float]]) -> None:
        radius = edges * edge_m(grid)
        cover = grid.cover_disc(Position(x, y), radius)
        assert cover is not None
        for outward, turn in points:
            r, angle = radius * math.sqrt(outward), 2 * math.pi * turn
            assert grid.cell(Position(x + r * math.cos(angle), y + r * math.sin(angle))) in cover

    claim()


@any_grid
def test_every_point_of_a_box_lies_in_a_covering_cell(grid: H3Grid) -> None:
    @reproducibly
    @given(near, near, st.floats(0.0, 15.0), st.floats(0.0, 15.0),
           st.lists(st.tuples(unit, unit), min_size=1))
    def claim(x: float, y: float, wide: float, high: float,
              points: list[tuple[float, float]]) -> None:
        wide, high = wide * edge_m(grid), high * edge_m(grid)
        cover = grid.cover_box(Box(Position(x, y, -1.0), Position(x + wide, y + high, 1.0)))
        assert cover is not None
        for right, up in points:
            assert grid.cell(Position(x + right * wide, y + up * high)) in cover

    claim()


def test_a_cover_holds_few_cells_that_do_not_meet_the_disc() -> None:
    grid = H3Grid(LocalFrame(), 13)
    cover = grid.cover_disc(Position(3.0, 4.0), 20.0)
    assert cover is not None
    area_m2 = sum(h3.cell_area(cell, unit='m^2') for cell in cover)
    assert area_m2 < 2.0 * math.pi * 20.0 ** 2


@any_grid
def test_a_cell_contains_its_position(grid: H3Grid) -> None:
    @reproducibly
    @given(near, near)
    def claim(x: float, y: float) -> None:
        cell = grid.cell(Position(x, y, 17.0))
        assert h3.get_resolution(cell) == grid.resolution
        center = grid.frame.to_map(*h3.cell_to_latlng(cell))
        corners = [grid.frame.to_map(*corner) for corner in h3.cell_to_boundary(cell)]
        assert math.dist(center, (x, y)) <= 1.001 * max(
            math.dist(center, corner) for corner in corners)

    claim()


def test_height_does_not_matter() -> None:
    grid = H3Grid(LocalFrame(), 15)
    assert grid.cell(Position(1.0, 2.0, -50.0)) == grid.cell(Position(1.0, 2.0, 50.0))


def test_a_cover_of_too_many_cells_is_none() -> None:
    grid = H3Grid(LocalFrame(), 15)
    assert grid.cover_disc(Position(0.0, 0.0), 1e6) is None
    assert grid.cover_box(Box(Position(-1e6, -1e6), Position(1e6, 1e6))) is None
    around = grid.cover_disc(Position(0.0, 0.0), 1.0)
    assert around is not None
    assert grid.cover_disc(Position(0.0, 0.0), 1.0, len(around)) == around
    assert grid.cover_disc(Position(0.0, 0.0), 1.0, len(around) - 1) is None


@pytest.mark.parametrize('resolution', [-1, 16])
def test_a_resolution_that_h3_lacks_is_refused(resolution: int) -> None:
    with pytest.raises(ConfigurationError,
                       match=f'h3_resolution must lie between 0 and 15, got {resolution}'):
        H3Grid(LocalFrame(), resolution)
