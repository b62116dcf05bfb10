from dataclasses import replace
import math

from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_zones import (
    draw_zones,
    Ground,
    HiddenTraits,
    WIND_LIMIT_M_S,
    Zone,
    zone_cells,
)
from spatial_rag_core.data.rooms.rooms2d import Rooms2D, Rooms2DConfig
from spatial_rag_core.errors import ConfigurationError

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

PLAIN = Rooms2DConfig(slippery_zones=0, windy_zones=0, one_way_doors=0)


def world_of(**traits: float | tuple[float, float]) -> Rooms2D:
    """Rooms with one zone that fills the first of them."""
    world = Rooms2D(PLAIN)
    zone = Zone(1, *world.room_map.viewpoints[0, 0], 99.0, **traits)
    world.room_map = replace(world.room_map, zones=(zone,))
    return world


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**63 - 1))
def test_zones_lie_in_rooms_of_their_own_and_cover_a_good_part_of_them(seed: int) -> None:
    room_map = RoomMap.from_seed(seed, hidden=HiddenTraits(2, 2))
    assert [zone.grip < 1.0 for zone in room_map.zones] == [True, True, False, False]
    assert len({zone.room for zone in room_map.zones}) == 4
    for zone in room_map.zones:
        inside = zone_cells(room_map.cells, zone)
        assert set(room_map.cells[inside]) == {zone.room}
        assert inside.sum() > 0.15 * (room_map.cells == zone.room).sum()
        assert 0.2 <= zone.grip <= 1.0
        assert math.hypot(*zone.wind) <= WIND_LIMIT_M_S


def test_the_same_seed_draws_the_same_secrets_and_another_does_not() -> None:
    one, same, other = (RoomMap.from_seed(seed) for seed in (4, 4, 5))
    assert (one.zones, one.one_way) == (same.zones, same.one_way)
    assert one.zones != other.zones


def test_secrets_do_not_alter_what_is_seen() -> None:
    secret, plain = Rooms2D(Rooms2DConfig(seed=6)), Rooms2D(replace(PLAIN, seed=6))
    assert secret.room_map.zones
    assert secret.room_map.one_way
    assert not plain.room_map.zones + plain.room_map.one_way
    for start in range(20):
        one, other = secret.reset(start), plain.reset(start)
        assert one.pose == other.pose
        assert np.array_equal(one.rgb, other.rgb)
        assert np.array_equal(one.depth_m, other.depth_m)


def test_winds_that_meet_add_up_to_no_storm() -> None:
    cells = RoomMap.from_seed(0).cells
    zones = draw_zones(np.random.default_rng(0), cells, 0, 100)
    ground = Ground(cells, zones)
    speeds = [math.hypot(*ground.at(x, y)[1])
              for x in np.arange(0.3, 15.5, 0.5) for y in np.arange(0.3, 15.5, 0.5)]
    assert max(speeds) <= WIND_LIMIT_M_S + 1e-9
    assert np.mean(np.array(speeds) > 0.0) > 0.5


def test_slippery_ground_makes_the_drive_follow_more_slowly() -> None:
    firm, slippery = Rooms2D(PLAIN), world_of(grip=0.25)
    for _ in range(4):  # 0.2 s, the time constant on firm ground
        on_firm, on_slippery = firm.step([1.0, 1.0]), slippery.step([1.0, 1.0])
    assert on_firm.proprio == pytest.approx((1.0 - math.exp(-1.0),) * 2, abs=0.03)
    assert on_slippery.proprio == pytest.approx((1.0 - math.exp(-0.25),) * 2, abs=0.03)


def drift_rad(world: Rooms2D) -> float:
    """How far the motion's direction lies behind the robot's, after a turn at speed."""
    for action, steps in ((1.0, 0.0), 12), ((1.0, 2.0), 8):
        for _ in range(steps):
            before = world.pose
            after = world.step(action).pose
    moved = math.atan2(after.position.y - before.position.y, after.position.x - before.position.x)
    headings = [2.0 * math.atan2(p.orientation.z, p.orientation.w) for p in (before, after)]
    return sum(headings) / 2 - moved


def test_on_slippery_ground_momentum_carries_on_through_a_turn() -> None:
    assert drift_rad(Rooms2D(PLAIN)) == pytest.approx(0.0, abs=1e-6)
    assert drift_rad(world_of(grip=0.25)) > 0.1


def test_wind_moves_a_robot_that_stands_and_proprio_feels_only_what_blows_along_it() -> None:
    world = world_of(wind=(-0.1, 0.3))
    start = world.pose.position
    for _ in range(20):  # 1 s
        seen = world.step([0.0, 0.0])
    moved = seen.pose.position.x - start.x, seen.pose.position.y - start.y
    assert moved == pytest.approx((-0.1, 0.3), abs=1e-6)
    assert seen.proprio == pytest.approx((-0.1, 0.0), abs=1e-6)


def test_one_time_means_one_motion_however_it_is_cut_into_steps() -> None:
    ends = []
    for rate_hz in (5.0, 100.0):
        world = Rooms2D(replace(PLAIN, rate_hz=rate_hz, windy_zones=50, slippery_zones=50))
        for _ in range(round(2.0 * rate_hz)):
            end = world.step([0.6, 0.8]).pose.position
        ends.append(end)
    assert ends[0] == pytest.approx(ends[1], abs=0.2)


@pytest.mark.parametrize('name', ['slippery_zones', 'windy_zones', 'one_way_doors'])
def test_a_count_below_nothing_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f'{name} must lie between 0 and 1000, got -1'):
        HiddenTraits(**{name: -1})
    with pytest.raises(ConfigurationError, match=f'{name} must lie between 0 and 1000, got -1'):
        Rooms2DConfig(**{name: -1})
