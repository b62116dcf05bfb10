"""The picture and its depth against rays that are marched in small steps."""

import math

from spatial_rag_core.data.rooms.raycast import Raycaster, WALL_HEIGHT_M
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.rooms2d import Rooms2D

import numpy as np
import pytest

SIZE = 16
HEIGHT_M = 1.0
STEP_M = 0.004


def marched_depth(room_map: RoomMap, x: float, y: float, heading: float, row: int, column: int,
                  ) -> float:
    """Walk along one pixel's ray until it is in something; the depth on the optical axis [m]."""
    left = 1.0 - (2 * column + 1) / SIZE
    up = 1.0 - (2 * row + 1) / SIZE
    ray = (math.cos(heading) - math.sin(heading) * left,
           math.sin(heading) + math.cos(heading) * left)
    depth = 0.0
    while (0.0 < HEIGHT_M + depth * up < WALL_HEIGHT_M
           and room_map.is_clear(x + depth * ray[0], y + depth * ray[1], 1e-6)):
        depth += STEP_M
    return depth


def random_views(room_map: RoomMap, count: int) -> list[tuple[float, float, float]]:
    rng = np.random.default_rng(4)
    xs, ys = room_map.cell_centers
    free = rng.permutation(np.argwhere(room_map.clearance_m > 0.25))[:count]
    return [(float(xs[row, column] + rng.uniform(-0.1, 0.1)),
             float(ys[row, column] + rng.uniform(-0.1, 0.1)), float(rng.uniform(-4, 4)))
            for row, column in free]


@pytest.mark.parametrize('seed', [0, 1])
def test_depth_is_where_a_marched_ray_ends(seed: int) -> None:
    room_map = RoomMap.from_seed(seed)
    camera = Raycaster(room_map, SIZE, 90.0, HEIGHT_M, 100.0)
    misses = pixels = 0
    for x, y, heading in random_views(room_map, 6):
        _, depth = camera.render(x, y, heading)
        for row in range(1, SIZE, 4):
            for column in range(SIZE):
                expected = marched_depth(room_map, x, y, heading, row, column)
                misses += abs(depth[row, column] - expected) > 2 * STEP_M
                pixels += 1
    assert misses <= pixels // 100  # a ray that grazes an edge may fall to either side


@pytest.mark.parametrize('quarter', range(4))
def test_looking_straight_along_an_axis_warns_of_nothing(quarter: int) -> None:
    room_map = RoomMap.from_seed(0)
    x, y = room_map.viewpoints[0, 0]
    _, depth = Raycaster(room_map, 33, 90.0, HEIGHT_M, 20.0).render(
        float(x), float(y), quarter * math.pi / 2)
    assert np.isfinite(depth).all()
    assert (depth > 0.0).all()


def test_the_far_limit_cuts_depth_and_leaves_the_picture() -> None:
    room_map = RoomMap.from_seed(0)
    x, y = map(float, room_map.viewpoints[0, 0])
    far_rgb, far = Raycaster(room_map, 64, 90.0, HEIGHT_M, 100.0).render(x, y, 0.0)
    near_rgb, near = Raycaster(room_map, 64, 90.0, HEIGHT_M, 2.0).render(x, y, 0.0)
    assert far.max() > 2.0
    assert np.array_equal(near, np.minimum(far, 2.0))
    assert np.array_equal(near_rgb, far_rgb)


def test_a_turn_to_the_left_moves_the_picture_to_the_right() -> None:
    room_map = RoomMap.from_seed(0)
    camera = Raycaster(room_map, 65, 90.0, HEIGHT_M, 20.0)
    x, y = map(float, room_map.viewpoints[1, 0])
    ahead, _ = camera.render(x, y, 0.0)
    turned, _ = camera.render(x, y, math.pi / 4)
    # What stood 45 deg to the left, at the left edge, is now in the middle; light varies.
    left, middle = ahead[32, 0].astype(float), turned[32, 32].astype(float)
    assert left / left.sum() == pytest.approx(middle / middle.sum(), abs=0.03)


def test_places_differ_more_than_small_steps_do() -> None:
    world = Rooms2D()
    camera = world._camera
    for room in world.room_map.viewpoints:
        x, y = map(float, room[0])
        here, nearby = (camera.render(x + dx, y, 0.1)[0].astype(float) for dx in (0.0, 0.05))
        others = [camera.render(*map(float, other[0]), 0.1)[0].astype(float)
                  for other in world.room_map.viewpoints if other is not room]
        away = [np.abs(here - other).mean() for other in others
                if not np.array_equal(here, other)]
        assert len(away) == world.room_map.room_count - 1
        assert np.abs(here - nearby).mean() < min(away)
