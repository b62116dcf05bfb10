from dataclasses import replace

from spatial_rag_core.data.rooms.map_picture import draw_map
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_zones import HiddenTraits
from spatial_rag_core.data.rooms.scene_picture import ONE_WAY, Scene

import numpy as np

SECRET = RoomMap.from_seed(5)
PLAIN = RoomMap.from_seed(5, hidden=HiddenTraits(0, 0, 0))


def test_without_secrets_it_is_the_map() -> None:
    assert np.array_equal(Scene(PLAIN).pixels(), draw_map(PLAIN))


def test_each_zone_shows_where_it_is_and_nowhere_else() -> None:
    for zone in SECRET.zones:
        only = replace(PLAIN, zones=(zone,))
        is_other = (Scene(only, 8).pixels() != draw_map(PLAIN, 8)).any(axis=2)
        rows, columns = np.nonzero(is_other)
        places = np.stack((columns + 0.5, 128 - rows - 0.5)) / 8.0
        gaps = np.hypot(places[0] - zone.x, places[1] - zone.y)
        assert len(gaps) > 20
        assert gaps.max() < zone.radius_m + 0.8  # half an arrow reaches over the rim


def test_an_arrow_stands_in_each_one_way_door() -> None:
    assert SECRET.one_way
    picture = Scene(SECRET, 32).pixels()
    for door in SECRET.one_way:
        x, y = ((low + high) / 2 for low, high in zip(door.low, door.high, strict=True))
        spot = picture[int(512 - 32 * y) - 3:, int(32 * x) - 3:][:7, :7].reshape(-1, 3)
        assert (spot == ONE_WAY).all(axis=1).any()


def test_the_robot_and_its_way_are_drawn_over_it() -> None:
    scene = Scene(PLAIN, 32)
    scene.draw_path([(2.0, 2.0), (3.0, 2.0)])
    scene.draw_robot((4.0, 4.0), 0.0)
    picture = scene.pixels()
    assert tuple(picture[512 - 64, 80]) == (255, 220, 0)
    assert tuple(picture[512 - 128 - 4, 126]) == (20, 20, 20)
    assert np.array_equal(scene.pixels(), picture)
