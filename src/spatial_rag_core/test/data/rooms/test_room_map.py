from spatial_rag_core.data.exploring.routes import routes_to
from spatial_rag_core.data.rooms.map_picture import draw_map
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_plan import DOOR, WALL
from spatial_rag_core.errors import ConfigurationError

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63), size_m=st.sampled_from([8.0, 16.0, 24.0]))
def test_every_place_can_be_reached_from_every_other(seed: int, size_m: float) -> None:
    room_map = RoomMap.from_seed(seed, size_m)
    start = tuple(np.argwhere(room_map.cells == 1)[0])
    cost = np.reshape(routes_to(room_map, (int(start[0]), int(start[1]))).cost,
                      room_map.cells.shape)
    passable = (room_map.cells != WALL) & (room_map.clearance_m > 0.0)
    assert np.isfinite(cost[passable]).all()
    assert set(np.unique(room_map.cells)) == {WALL, DOOR, *range(1, room_map.room_count + 1)}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63))
def test_a_robot_can_stand_at_every_viewpoint(seed: int) -> None:
    room_map = RoomMap.from_seed(seed)
    for number, places in enumerate(room_map.viewpoints, start=1):
        for x, y in places:
            assert room_map.room_at(x, y) == number
            assert room_map.is_clear(x, y, 0.3)


def test_the_outer_walls_are_closed() -> None:
    cells = RoomMap.from_seed(3).cells
    assert (np.concatenate((cells[0], cells[-1], cells[:, 0], cells[:, -1])) == WALL).all()


def test_beyond_the_map_all_is_wall() -> None:
    room_map = RoomMap.from_seed(0)
    assert room_map.room_at(-0.1, 5.0) == room_map.room_at(5.0, 99.0) == WALL
    assert not room_map.is_clear(-5.0, 5.0, 0.2)


def test_clearance_is_the_radius_of_the_largest_disc_that_fits() -> None:
    room_map = RoomMap.from_seed(1)
    xs, ys = room_map.cell_centers
    rng = np.random.default_rng(0)
    free = np.argwhere(room_map.clearance_m > 0.0)
    for row, column in rng.permutation(free)[:300]:
        x, y, gap = xs[row, column], ys[row, column], room_map.clearance_m[row, column]
        assert room_map.is_clear(x, y, gap - 1e-6)
        assert not room_map.is_clear(x, y, gap + 1e-6)


def test_no_two_rooms_look_alike() -> None:
    styles = RoomMap.from_seed(0).styles[1:]
    assert len({(style.colors, style.along_per_m, style.up_per_m) for style in styles}) == len(
        styles)


def looks(room_map: RoomMap) -> list[tuple[object, ...]]:
    return [(style.colors, style.along_per_m, style.up_per_m) for style in room_map.styles[1:]]


@pytest.mark.parametrize('seed', range(5))
def test_a_changed_map_has_the_same_plan_and_another_filling(seed: int) -> None:
    before = RoomMap.from_seed(seed)
    after, again, other = (before.changed(change) for change in (1, 1, 2))
    assert np.array_equal(after.cells, before.cells)
    assert (after.doors, after.one_way) == (before.doors, before.one_way)
    kept = sum(a == b for a, b in zip(looks(before), looks(after), strict=True))
    assert 0.3 <= kept / before.room_count <= 0.6
    places = [{(pillar.x, pillar.y) for pillar in one.pillars} for one in (before, after)]
    assert len(places[0] & places[1]) <= 0.25 * len(places[0])
    assert not set(before.zones) & set(after.zones)
    assert [z.grip < 1.0 for z in after.zones] == [z.grip < 1.0 for z in before.zones]
    assert (after.styles, after.pillars, after.zones) == (
        again.styles, again.pillars, again.zones)
    assert after.pillars != other.pillars
    assert len(set(looks(after))) == after.room_count


@pytest.mark.parametrize('size_m', [7.9, 65.0, float('nan')])
def test_a_size_out_of_range_is_refused(size_m: float) -> None:
    with pytest.raises(ConfigurationError, match='size_m must lie between 8 and 64 m'):
        RoomMap.from_seed(0, size_m)


def test_the_picture_shows_floors_walls_and_pillars_where_they_are() -> None:
    room_map = RoomMap.from_seed(0)
    picture = draw_map(room_map, pixels_per_m=20)
    assert (picture.dtype, picture.shape) == (np.uint8, (320, 320, 3))
    assert (picture[[0, -1]] == 40).all()
    for pillar in room_map.pillars:
        shown = picture[int(320 - 20 * pillar.y), int(20 * pillar.x)]
        assert shown == pytest.approx(np.floor(pillar.style.colors[0]))
    for number, ((x, y), _) in enumerate(room_map.viewpoints, start=1):
        shown = picture[int(320 - 20 * y), int(20 * x)]
        assert shown == pytest.approx(np.floor(room_map.styles[number].floor))
