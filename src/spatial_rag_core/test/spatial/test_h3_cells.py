from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Box, Position
from spatial_rag_core.spatial.h3_cells import Cover, H3Grid
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame

import h3
from h3.api import basic_int
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
# Some metres from the datum, or some thousand kilometres.
anywhere = st.one_of(near, st.floats(-1e7, 1e7))
radii = st.sampled_from([0.1, 1.0, 5.0, 50.0, 700.0, 5000.0])
unit = st.floats(0.0, 1.0)
points = st.lists(st.tuples(unit, unit), min_size=1, max_size=20)
max_cells = st.sampled_from([7, 64, 1000])


def holds(cover: Cover | None, grid: H3Grid, x: float, y: float) -> bool:
    """Whether a place's cell is in the cover, and the parent of its finest cell too."""
    assert cover is not None
    place = grid.frame.to_geodetic(x, y)
    direct = basic_int.latlng_to_cell(*place, cover.resolution)
    parent = basic_int.cell_to_parent(basic_int.latlng_to_cell(*place, 15), cover.resolution)
    return direct in cover.cells and parent in cover.cells


@any_grid
def test_every_point_of_a_disc_lies_in_a_covering_cell(grid: H3Grid) -> None:
    @reproducibly
    @given(anywhere, anywhere, radii, points, max_cells)
    def claim(x: float, y: float, radius: float, points: list[tuple[float, float]],
              most: int) -> None:
        cover = grid.cover_disc(Position(x, y), radius, most)
        for outward, turn in points:
            r, angle = radius * math.sqrt(outward), 2 * math.pi * turn
            assert holds(cover, grid, x + r * math.cos(angle), y + r * math.sin(angle))

    claim()


@any_grid
def test_every_point_of_a_box_lies_in_a_covering_cell(grid: H3Grid) -> None:
    @reproducibly
    @given(anywhere, anywhere, st.sampled_from([0.0, 3.0, 60.0, 2e4]), radii, points, max_cells)
    def claim(x: float, y: float, wide: float, high: float, points: list[tuple[float, float]],
              most: int) -> None:
        cover = grid.cover_box(Box(Position(x, y, -1.0), Position(x + wide, y + high, 1.0)), most)
        for right, up in points:
            assert holds(cover, grid, x + right * wide, y + up * high)

    claim()


@pytest.mark.parametrize('pentagon', basic_int.get_pentagons(13)[:4])
def test_a_disc_around_a_pentagon_is_covered_too(pentagon: int) -> None:
    grid = H3Grid(LocalFrame(Datum(*basic_int.cell_to_latlng(pentagon))), 13)

    @reproducibly
    @given(st.floats(-30.0, 30.0), st.floats(-30.0, 30.0), st.floats(0.1, 40.0), points)
    def claim(x: float, y: float, radius: float, points: list[tuple[float, float]]) -> None:
        cover = grid.cover_disc(Position(x, y), radius)
        assert cover is not None
        assert cover.resolution == 13
        for outward, turn in points:
            r, angle = radius * outward, 2 * math.pi * turn
            assert holds(cover, grid, x + r * math.cos(angle), y + r * math.sin(angle))

    claim()


@pytest.mark.parametrize('place', [(0.0, 0.0), (7e6, -7e6)])
def test_a_cover_holds_few_cells_that_do_not_meet_the_disc(place: tuple[float, float]) -> None:
    grid = H3Grid(LocalFrame(), 13)
    cover = grid.cover_disc(Position(*place), 20.0)
    assert cover is not None
    assert cover.resolution == 13
    corners = [grid.frame.to_map(*corner) for cell in cover.cells
               for corner in basic_int.cell_to_boundary(cell)]
    assert max(math.dist(corner, place) for corner in corners) < 20.0 + 10 * 13.0


@pytest.mark.parametrize(('most', 'resolution'), [(20_000, 13), (100, 13), (40, 12), (7, 11)])
def test_the_finest_resolution_whose_cover_is_small_enough_is_taken(
        most: int, resolution: int) -> None:
    grid = H3Grid(LocalFrame(), 13)
    cover = grid.cover_disc(Position(3.0, 4.0), 20.0, most)
    assert cover is not None
    assert cover.resolution == resolution
    assert len(cover.cells) <= most
    assert {basic_int.get_resolution(cell) for cell in cover.cells} == {resolution}
    if resolution < 13:
        finer = H3Grid(LocalFrame(), resolution + 1).cover_disc(Position(3.0, 4.0), 20.0)
        assert finer is not None
        assert len(finer.cells) > most


def test_where_no_resolution_has_so_few_cells_there_is_no_cover() -> None:
    grid = H3Grid(LocalFrame(), 15)
    assert grid.cover_disc(Position(0.0, 0.0), 1e7, 3) is None
    assert grid.cover_box(Box(Position(-1e7, -1e7), Position(1e7, 1e7)), 3) is None
    whole = grid.cover_disc(Position(0.0, 0.0), 1e7)
    assert whole is not None
    assert basic_int.latlng_to_cell(0.0, 60.0, whole.resolution) in whole.cells


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
        assert grid.cell_number(Position(x, y)) == h3.str_to_int(cell)

    claim()


def test_height_does_not_matter() -> None:
    grid = H3Grid(LocalFrame(), 15)
    assert grid.cell(Position(1.0, 2.0, -50.0)) == grid.cell(Position(1.0, 2.0, 50.0))


@pytest.mark.parametrize('resolution', [-1, 16])
def test_a_resolution_that_h3_lacks_is_refused(resolution: int) -> None:
    with pytest.raises(ConfigurationError,
                       match=f'h3_resolution must lie between 0 and 15, got {resolution}'):
        H3Grid(LocalFrame(), resolution)
