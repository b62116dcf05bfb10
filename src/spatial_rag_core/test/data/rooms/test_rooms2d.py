from dataclasses import replace
import math

from spatial_rag_core.data.rooms.room_plan import CELL_M, WALL
from spatial_rag_core.data.rooms.rooms2d import Rooms2D, Rooms2DConfig
from spatial_rag_core.errors import ActionError, ConfigurationError

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

AHEAD = np.array([1.0, 0.0], np.float32)
FIRM = Rooms2DConfig(slippery_zones=0, windy_zones=0, one_way_doors=0)


def heading(world: Rooms2D) -> float:
    turn = world.pose.orientation
    return 2.0 * math.atan2(turn.z, turn.w)


def place(world: Rooms2D, x: float, y: float, heading: float) -> None:
    world._x, world._y, world._heading = x, y, heading


def test_the_same_seed_gives_the_same_world_and_the_same_drive() -> None:
    actions = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    one, other = Rooms2D(Rooms2DConfig(seed=7)), Rooms2D(Rooms2DConfig(seed=7))
    for action in actions:
        a, b = one.step(action), other.step(action)
        assert a.pose == b.pose
        assert np.array_equal(a.rgb, b.rgb)
        assert np.array_equal(a.depth_m, b.depth_m)


def test_a_reset_starts_the_same_drive_again() -> None:
    world = Rooms2D()
    first = world.step([1.0, 0.5])
    world.reset()
    again = world.step([1.0, 0.5])
    assert (again.pose, again.time_sec) == (first.pose, 1 / 20)
    assert np.array_equal(again.rgb, first.rgb)


def test_a_start_can_be_drawn_by_lot() -> None:
    world = Rooms2D(Rooms2DConfig(seed=2))
    starts = [world.reset(start).pose for start in (*range(30), 0)]
    assert starts[0] == starts[-1]
    assert len({world.room_map.room_at(*start.position[:2]) for start in starts}) > 3
    assert len(set(starts)) == 30


def test_a_change_is_drawn_from_its_own_seed() -> None:
    maps = [Rooms2D(Rooms2DConfig(seed=2, change_seed=change)).room_map
            for change in (None, 0, 0, 1)]
    assert maps[1].styles == maps[2].styles
    assert len({one.styles for one in maps}) == 3


def test_another_seed_gives_another_world() -> None:
    assert not np.array_equal(Rooms2D(Rooms2DConfig(seed=1)).observe().rgb,
                              Rooms2D(Rooms2DConfig(seed=2)).observe().rgb)


def test_an_observation_has_the_shapes_and_types_that_it_promises() -> None:
    seen = Rooms2D(Rooms2DConfig(image_size_px=32)).step(AHEAD)
    assert (seen.rgb.dtype, seen.rgb.shape) == (np.uint8, (32, 32, 3))
    assert (seen.depth_m.dtype, seen.depth_m.shape) == (np.float32, (32, 32))
    assert (seen.proprio.dtype, seen.proprio.shape) == (np.float32, (2,))
    assert seen.pose.position.z == 0.0


def test_ahead_is_x_and_left_is_positive() -> None:
    world = Rooms2D(FIRM)
    start = world.pose.position
    for _ in range(10):
        seen = world.step(AHEAD)
    assert seen.pose.position.x > start.x + 0.1
    assert seen.pose.position.y == pytest.approx(start.y)
    for _ in range(10):
        seen = world.step([0.0, 1.0])
    assert heading(world) > 0.2
    assert seen.proprio[1] == pytest.approx(1.0, abs=0.1)


def test_the_drive_has_inertia_and_reaches_the_speed_asked_for() -> None:
    world = Rooms2D(FIRM)
    speeds = [world.step([0.5, 0.0]).proprio[0] for _ in range(30)]
    assert 0.0 < speeds[0] < 0.2
    assert speeds == sorted(speeds)
    assert speeds[-1] == pytest.approx(0.5, abs=0.01)


def test_an_action_beyond_the_limits_is_cut_to_them() -> None:
    wild, tame = Rooms2D(FIRM), Rooms2D(FIRM)
    for _ in range(10):
        assert wild.step([99.0, -99.0]).pose == tame.step([1.0, -2.0]).pose


@pytest.mark.parametrize('action', [[1.0], [1.0, 2.0, 3.0], [math.nan, 0.0], [[1.0, 0.0]]])
def test_an_action_that_is_none_is_refused(action: list[float]) -> None:
    with pytest.raises(ActionError):
        Rooms2D().step(action)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 5), drive=st.integers(0, 2**32),
       speed=st.sampled_from([1.0, 10.0]), rate_hz=st.sampled_from([1.0, 20.0]))
def test_no_drive_leads_into_a_wall_or_a_pillar(
        seed: int, drive: int, speed: float, rate_hz: float) -> None:
    config = Rooms2DConfig(seed=seed, image_size_px=8, max_speed_m_s=speed, rate_hz=rate_hz)
    world = Rooms2D(config)
    rng = np.random.default_rng(drive)
    for _ in range(20):
        action = rng.uniform(-1, 1, 2) * (speed, 2.0)
        for _ in range(10):
            world.advance(action)
            x, y, _ = world.pose.position
            assert world.room_map.is_clear(x, y, config.robot_radius_m - 1e-9)
            assert world.room_map.room_at(x, y) >= 0


def test_a_fast_robot_does_not_jump_through_a_wall() -> None:
    world = Rooms2D(Rooms2DConfig(max_speed_m_s=2.0, rate_hz=1.0, response_sec=0.0))
    cells, gap = world.room_map.cells, world.room_map.clearance_m
    is_parting = (cells[:, 2:-2] == WALL) & (cells[:, :-4] > 0) & (cells[:, 4:] > 0)
    is_open = (gap[:, :-4] >= 0.25) & (gap[:, 4:] >= 0.25)
    tries = np.argwhere(is_parting & is_open)
    for row, column in tries:
        x, y = (column + 0.5) * CELL_M, (row + 0.5) * CELL_M
        place(world, x, y, 0.0)
        world.advance([2.0, 0.0])
        assert world.pose.position.x < (column + 2) * CELL_M
    assert len(tries) > 20


def against_the_outer_wall(angle: float) -> Rooms2D:
    """Stand the robot before the left outer wall, turned from its normal by angle [rad]."""
    world = Rooms2D(FIRM)
    xs, ys = world.room_map.cell_centers
    along = np.where(xs < 0.7, world.room_map.clearance_m, 0.0)  # where no door frame is near
    row, column = np.unravel_index(along.argmax(), along.shape)
    place(world, float(xs[row, column]), float(ys[row, column]), math.pi - angle)
    return world


def test_a_wall_ahead_stops_the_robot_and_its_speed_says_so() -> None:
    world = against_the_outer_wall(0.0)
    speeds = [world.step(AHEAD).proprio[0] for _ in range(40)]
    assert max(speeds) > 0.3
    assert speeds[-1] == pytest.approx(0.0, abs=1e-6)
    assert world.pose.position.x == pytest.approx(0.25 + 0.2, abs=0.05)


def test_the_robot_slides_along_a_wall_that_it_meets_at_an_angle() -> None:
    world = against_the_outer_wall(math.radians(60))
    before = world.pose.position
    for _ in range(20):
        speed = world.step(AHEAD).proprio[0]
    assert world.pose.position.y > before.y + 0.2
    assert 0.2 < speed < 0.95


@pytest.mark.parametrize(('name', 'value'), [
    ('seed', -1), ('size_m', 2.0), ('image_size_px', 0), ('field_of_view_deg', 180.0),
    ('camera_height_m', 3.0), ('far_limit_m', 0.0), ('rate_hz', 0.0), ('robot_radius_m', 0.0),
    ('max_speed_m_s', math.inf), ('max_turn_rate_rad_s', math.nan), ('response_sec', -0.1),
    ('change_seed', -1)])
def test_a_value_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(ConfigurationError, match=f'{name} must lie between .* got {value}'):
        replace(Rooms2DConfig(), **{name: value})
