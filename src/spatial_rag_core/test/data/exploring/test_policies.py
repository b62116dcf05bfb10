from functools import cache
import math

from spatial_rag_core.data.exploring.policies import make_policy, POLICIES
from spatial_rag_core.data.rooms.room_zones import WIND_LIMIT_M_S
from spatial_rag_core.data.rooms.rooms2d import Rooms2D, Rooms2DConfig
from spatial_rag_core.errors import ConfigurationError

import numpy as np
import pytest

MOST_M_S = 1.0 + WIND_LIMIT_M_S
COVERAGE = {'loops': 0.4, 'frontier': 0.7, 'patrol': 0.25, 'random_walk': 0.25}
DURATION_SEC = 300

each_policy = pytest.mark.parametrize('name', POLICIES)
each_drive = pytest.mark.parametrize(('seed', 'rate_hz'), [(0, 5), (1, 5), (4, 5), (11, 5),
                                                           (2, 20), (5, 20)])


@cache
def drive(name: str, seed: int, rate_hz: int) -> tuple[Rooms2D, np.ndarray]:
    """The world, and positions in it, [steps, (x, y)] [m]."""
    world = Rooms2D(Rooms2DConfig(seed=seed, rate_hz=rate_hz, image_size_px=8))
    world.reset(seed)
    policy = make_policy(name, world.room_map, seed, step_sec=1 / rate_hz)
    places = [world.pose.position[:2]]
    for _ in range(rate_hz * DURATION_SEC):
        world.advance(policy.act(world.pose))
        places.append(world.pose.position[:2])
    return world, np.array(places)


@each_policy
@each_drive
def test_no_policy_jumps(name: str, seed: int, rate_hz: int) -> None:
    _, places = drive(name, seed, rate_hz)
    steps_m = np.linalg.norm(np.diff(places, axis=0), axis=1)
    assert steps_m.max() <= MOST_M_S / rate_hz + 1e-9
    assert steps_m.mean() > 0.3 / rate_hz


@each_policy
@each_drive
def test_no_policy_gets_stuck(name: str, seed: int, rate_hz: int) -> None:
    _, places = drive(name, seed, rate_hz)
    window = 20 * rate_hz
    reach_m = [np.ptp(places[start:start + window], axis=0).max()
               for start in range(0, len(places) - window, window // 4)]
    assert min(reach_m) > 0.75


@each_policy
@each_drive
def test_each_policy_gets_about(name: str, seed: int, rate_hz: int) -> None:
    world, places = drive(name, seed, rate_hz)
    xs, ys = world.room_map.cell_centers
    is_floor = world.room_map.cells > 0
    seen = np.zeros(is_floor.sum(), bool)
    for x, y in places[::rate_hz // 5]:
        seen |= np.hypot(xs[is_floor] - x, ys[is_floor] - y) < 0.75
    assert seen.mean() > COVERAGE[name]


def test_a_wind_that_presses_a_robot_at_a_pillar_does_not_hold_it() -> None:
    world = Rooms2D(Rooms2DConfig(seed=120, size_m=8.0, change_seed=120, image_size_px=8))
    world.reset(120)
    policy = make_policy('frontier', world.room_map, 120)
    places = []
    for _ in range(4000):
        world.advance(policy.act(world.pose))
        places.append(world.pose.position[:2])
    assert min(np.ptp(places[start:start + 400], axis=0).max()
               for start in range(0, 3600, 100)) > 0.75


def test_a_patrol_sees_every_room_and_repeats_its_round() -> None:
    world, places = drive('patrol', 2, 20)
    rooms = {world.room_map.room_at(x, y) for x, y in places} - {0}
    assert len(rooms) == world.room_map.room_count
    late = places[len(places) // 2:]
    gaps = np.array([np.hypot(*(places[:len(places) // 2] - place).T).min()
                     for place in late[::10]])
    assert np.percentile(gaps, 90) < 0.3


@each_policy
def test_a_policy_repeats_itself_by_seed_and_acts_in_speed_and_turn_rate(name: str) -> None:
    ends = []
    for seed in (1, 1, 2):
        world = Rooms2D(Rooms2DConfig(image_size_px=8, rate_hz=5))
        policy = make_policy(name, world.room_map, seed, cruise_m_s=0.5)
        for _ in range(300):
            action = policy.act(world.pose)
            assert (action.dtype, action.shape) == (np.float32, (2,))
            assert 0.0 <= action[0] <= 0.5
            world.advance(action)
        ends.append(world.pose)
    assert ends[0] == ends[1] != ends[2]


def test_a_random_walk_is_smooth_in_the_open() -> None:
    world = Rooms2D(Rooms2DConfig(image_size_px=8))
    policy = make_policy('random_walk', world.room_map, 3, step_sec=0.05)
    actions = []
    for _ in range(2000):
        actions.append(policy.act(world.pose))
        world.advance(actions[-1])
    changes = np.abs(np.diff(np.array(actions), axis=0))
    assert (np.median(changes, axis=0) < (0.1, 0.25)).all()
    assert math.dist(world.pose.position, (0.0, 0.0, 0.0)) > 0.0


def test_an_unknown_name_is_refused_with_those_known() -> None:
    with pytest.raises(ConfigurationError, match=f"one of {', '.join(POLICIES)}, got 'fly'"):
        make_policy('fly', Rooms2D().room_map, 0)
