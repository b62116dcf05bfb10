from itertools import groupby

from spatial_rag_core.data.exploring.wander import WanderPolicy
from spatial_rag_core.data.rooms.rooms2d import Rooms2D, Rooms2DConfig

import numpy as np
import pytest


def drive(seed: int, duration_sec: int) -> tuple[np.ndarray, list[int]]:
    """Positions, float64 [steps, 2] [m], and the rooms in the order of the visits."""
    world = Rooms2D(Rooms2DConfig(seed=seed, image_size_px=8))
    policy = WanderPolicy(world.room_map, seed)
    places = []
    for _ in range(20 * duration_sec):
        world.advance(policy.act(world.pose))
        places.append(world.pose.position[:2])
    rooms = [world.room_map.room_at(x, y) for x, y in places]
    return np.array(places), [room for room, _ in groupby(room for room in rooms if room)]


@pytest.mark.parametrize('seed', range(8))
def test_a_minute_leads_through_several_rooms_and_back_to_places_seen(seed: int) -> None:
    places, rooms = drive(seed, 60)
    assert len(set(rooms)) >= 3
    gaps = np.linalg.norm(places[:, None] - places[None], axis=2)
    steps = np.arange(len(places))
    later = steps[:, None] - steps[None] > 200  # 10 s
    assert ((gaps < 0.5) & later).any(axis=1).mean() > 0.02
    assert np.linalg.norm(np.diff(places, axis=0), axis=1).sum() > 35.0


@pytest.mark.parametrize('seed', range(3))
def test_in_time_it_sees_every_room_and_the_first_one_again(seed: int) -> None:
    _, rooms = drive(seed, 480)
    assert set(rooms) == set(range(1, max(rooms) + 1))
    assert len(set(rooms)) == Rooms2D(Rooms2DConfig(seed=seed)).room_map.room_count
    assert rooms.count(1) >= 3


def test_the_same_seed_drives_the_same_way_and_another_does_not() -> None:
    world = Rooms2D(Rooms2DConfig(image_size_px=8))
    ways = []
    for seed in (1, 1, 2):
        world.reset()
        policy = WanderPolicy(world.room_map, seed)
        for _ in range(600):
            world.advance(policy.act(world.pose))
        ways.append(world.pose)
    assert ways[0] == ways[1] != ways[2]


def test_an_action_is_speed_and_turn_rate_as_float32() -> None:
    world = Rooms2D()
    action = WanderPolicy(world.room_map, 0, cruise_m_s=0.4).act(world.pose)
    assert (action.dtype, action.shape) == (np.float32, (2,))
    assert 0.0 <= action[0] <= 0.4
