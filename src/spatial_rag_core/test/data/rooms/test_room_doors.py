from dataclasses import replace
from itertools import product
import math

from spatial_rag_core.data.exploring.routes import cell_at, routes_to
from spatial_rag_core.data.rooms.room_doors import choose_one_way, exits, OneWayDoor
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_plan import DOOR
from spatial_rag_core.data.rooms.room_zones import HiddenTraits
from spatial_rag_core.data.rooms.rooms2d import Rooms2D, Rooms2DConfig

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

MANY = HiddenTraits(0, 0, 1000)
SEEDS = range(8)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**63 - 1))
def test_each_room_can_be_reached_from_each_other_and_back(seed: int) -> None:
    room_map = RoomMap.from_seed(seed, hidden=MANY)
    cells = [cell_at(x, y) for x, y in room_map.viewpoints[:, 0]]
    for goal, (row, column) in product(cells, cells):
        routes = routes_to(room_map, goal)
        assert routes.cost[row * routes.columns + column] < math.inf


def ways_of(room_map: RoomMap) -> set[tuple[int, int]]:
    return {(start, end) for start, ends in room_map.exits.items() for end in ends}


@pytest.mark.parametrize('seed', SEEDS)
def test_routes_go_through_no_door_the_wrong_way(seed: int) -> None:
    room_map = RoomMap.from_seed(seed, hidden=MANY)
    doors = {cell: door for door in room_map.one_way for cell in door.cells}
    for x, y in room_map.viewpoints[:, 1]:
        routes = routes_to(room_map, cell_at(x, y))
        for cell, onward in enumerate(routes.onward):
            here, there = divmod(cell, routes.columns), divmod(onward, routes.columns)
            door = doors.get(here) or doors.get(there)
            if onward >= 0 and door is not None:
                assert np.dot(np.subtract(there, here), door.step) >= 0


def before(door: OneWayDoor, is_entry: bool) -> tuple[float, float, float]:
    """A place 0.6 m before the middle of the door, and the heading through it."""
    up, right = door.step if is_entry else (-door.step[0], -door.step[1])
    x, y = ((low + high) / 2 for low, high in zip(door.low, door.high, strict=True))
    return x - 0.6 * right, y - 0.6 * up, math.atan2(up, right)


def drive_through(world: Rooms2D, door: OneWayDoor, is_entry: bool) -> int:
    """Room in which the robot is after it has driven at the door for 2 s."""
    world._x, world._y, world._heading = before(door, is_entry)
    for _ in range(40):
        world.advance([1.0, 0.0])
    return world.room_map.room_at(world._x, world._y)


@pytest.mark.parametrize('seed', SEEDS)
def test_a_one_way_door_lets_a_robot_in_and_not_back(seed: int) -> None:
    world = Rooms2D(Rooms2DConfig(seed=seed, windy_zones=0, slippery_zones=0, one_way_doors=9))
    for door in world.room_map.one_way:
        world.room_map = replace(world.room_map, pillars=())
        assert drive_through(world, door, is_entry=True) == door.rooms[1]
        assert drive_through(world, door, is_entry=False) == door.rooms[1]
    assert len(world.room_map.one_way) >= 1


def test_who_has_looked_into_a_one_way_door_may_turn_back_until_the_middle_is_in() -> None:
    world = Rooms2D(Rooms2DConfig(seed=0, windy_zones=0, slippery_zones=0))
    door = world.room_map.one_way[0]
    x, y, _ = before(door, is_entry=True)
    up, right = door.step
    near = x + 0.35 * right, y + 0.35 * up  # the rim stands in the door, the middle does not
    back = -0.1 * right, -0.1 * up
    assert world.room_map.lets_pass(*near, *back, 0.2)
    inside = x + 0.6 * right, y + 0.6 * up
    assert not world.room_map.lets_pass(*inside, *back, 0.2)
    assert world.room_map.lets_pass(*inside, -back[0], -back[1], 0.2)


@pytest.mark.parametrize('seed', SEEDS)
def test_a_one_way_door_is_a_whole_door_between_its_rooms(seed: int) -> None:
    room_map = RoomMap.from_seed(seed, hidden=MANY)
    for door in room_map.one_way:
        assert tuple(sorted(door.rooms)) in room_map.doors
        assert {room_map.cells[cell] for cell in door.cells} == {DOOR}
        width, depth = sorted(high - low for low, high in zip(door.low, door.high, strict=True))
        assert (width, depth) == (0.25, 1.25)


def test_a_door_that_alone_joins_two_rooms_opens_both_ways() -> None:
    doors = ((1, 2), (2, 3), (3, 4), (2, 4))
    for seed in range(20):
        chosen = choose_one_way(np.random.default_rng(seed), doors, 9)
        assert {tuple(sorted(way)) for way in chosen} == {(2, 3), (3, 4), (2, 4)}
        assert exits(doors, chosen)[1] == [2]


def test_all_doors_of_a_ring_may_open_one_way_round() -> None:
    chosen = choose_one_way(np.random.default_rng(0), ((1, 2), (2, 3), (1, 3)), 9)
    assert set(chosen) in ({(1, 2), (2, 3), (3, 1)}, {(2, 1), (3, 2), (1, 3)})


def test_no_more_one_way_doors_than_asked_for() -> None:
    assert [len(RoomMap.from_seed(0, hidden=HiddenTraits(0, 0, count)).one_way)
            for count in range(3)] == [0, 1, 2]
    assert len(ways_of(RoomMap.from_seed(0, hidden=HiddenTraits(0, 0, 2)))) == (
        2 * len(RoomMap.from_seed(0).doors) - 2)
