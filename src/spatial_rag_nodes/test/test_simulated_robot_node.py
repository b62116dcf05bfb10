"""simulated_robot_node as a process."""

from collections.abc import Callable
import math
import signal
from typing import Any

import numpy as np
import pytest

pytestmark = pytest.mark.ros

TOPICS = ('/camera/image_raw', '/camera/depth/image_raw', '/pose', '/actions', '/proprio')


def stamp_of(message: Any) -> tuple[int, int]:
    return message.header.stamp.sec, message.header.stamp.nanosec


def listen(probe: Any, prefix: str = '') -> dict[str, list[Any]]:
    """Fills with what the robot publishes, by topic."""
    from geometry_msgs.msg import PoseStamped
    from sensor_msgs.msg import Image
    from std_msgs.msg import Float32MultiArray
    kinds = (Image, Image, PoseStamped, Float32MultiArray, Float32MultiArray)
    return {topic: probe.listen(kind, prefix + topic)
            for kind, topic in zip(kinds, TOPICS, strict=True)}


def wait(probe: Any, heard: dict[str, list[Any]], count: int) -> None:
    probe.until(lambda: all(len(messages) >= count for messages in heard.values()),
                message=lambda: str({topic: len(got) for topic, got in heard.items()}))


def test_it_publishes_what_a_robot_publishes(probe: Any, start_node: Callable[..., Any]) -> None:
    heard = listen(probe)
    node = start_node('simulated_robot_node', subscriptions_expected=5)
    wait(probe, heard, 40)

    picture, depth, pose, action, proprio = (heard[topic][20] for topic in TOPICS)
    assert (picture.encoding, picture.width, picture.height) == ('rgb8', 64, 64)
    assert (picture.step, len(picture.data)) == (64 * 3, 64 * 64 * 3)
    assert picture.header.frame_id == 'camera_optical'
    assert np.ptp(np.frombuffer(picture.data, np.uint8)) > 50

    assert (depth.encoding, depth.width, depth.height) == ('32FC1', 64, 64)
    assert (depth.step, len(depth.data), depth.is_bigendian) == (64 * 4, 64 * 64 * 4, 0)
    metres = np.frombuffer(depth.data, '<f4')
    assert np.isfinite(metres).all()
    assert 0 < metres.max() < 100

    assert pose.header.frame_id == 'map'
    for message in heard['/pose']:
        q = message.pose.orientation
        assert math.hypot(q.x, q.y, q.z, q.w) == pytest.approx(1.0, abs=1e-9)

    for message, label, size in ((action, 'action', 2), (proprio, 'proprio', None)):
        (dim,) = message.layout.dim
        assert dim.label == label
        assert dim.size == dim.stride == len(message.data)
        assert message.layout.data_offset == 0
        assert size in (None, dim.size)
        assert np.isfinite(message.data).all()

    node.signal(signal.SIGINT)
    assert node.wait() == 0
    assert 'Traceback' not in node.output


def test_picture_depth_and_pose_of_a_moment_carry_one_stamp_and_stamps_grow(
        probe: Any, start_node: Callable[..., Any]) -> None:
    heard = listen(probe)
    start_node('simulated_robot_node', subscriptions_expected=5)
    wait(probe, heard, 30)
    stamps = [[stamp_of(message) for message in heard[topic][:30]] for topic in TOPICS[:3]]
    assert stamps[0] == stamps[1] == stamps[2]
    assert stamps[0] == sorted(set(stamps[0]))


def test_the_robot_moves(probe: Any, start_node: Callable[..., Any]) -> None:
    heard = listen(probe)
    start_node('simulated_robot_node', subscriptions_expected=5)

    def distance() -> float:
        points = [message.pose.position for message in heard['/pose']]
        return max((math.dist((p.x, p.y), (points[0].x, points[0].y)) for p in points),
                   default=0.0)
    probe.until(lambda: distance() > 0.3, message=lambda: f'it went {distance():.2f} m')


def test_it_explores_a_changed_world_as_it_is_told(
        probe: Any, start_node: Callable[..., Any]) -> None:
    from spatial_rag_core.data.exploring.policies import make_policy
    from spatial_rag_core.data.rooms.rooms2d import Rooms2D, Rooms2DConfig
    heard = listen(probe)
    start_node('simulated_robot_node', subscriptions_expected=5, seed=3, change_seed=1,
               slippery_zones=0, policy='random_walk', policy_seed=2)
    wait(probe, heard, 20)
    world = Rooms2D(Rooms2DConfig(seed=3, change_seed=1, slippery_zones=0))
    policy = make_policy('random_walk', world.room_map, 2, step_sec=0.05)
    seen = world.observe()
    for picture, message in zip(heard['/camera/image_raw'][:20], heard['/actions'], strict=False):
        action = policy.act(seen.pose)
        assert bytes(picture.data) == seen.rgb.tobytes()
        assert np.array_equal(message.data, action)
        seen = world.step(action)


def test_one_seed_shows_the_same_world_twice_and_another_seed_another(
        probe: Any, start_node: Callable[..., Any]) -> None:
    runs = []
    for number, seed in enumerate((7, 7, 8)):
        heard = listen(probe, f'/run{number}')
        node = start_node('simulated_robot_node', '-r', f'__ns:=/run{number}', seed=seed,
                          subscriptions_expected=5)
        wait(probe, heard, 10)
        node.signal(signal.SIGTERM)
        assert node.wait() == 0
        runs.append([bytes(message.data) for message in heard['/camera/image_raw'][:10]])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len(set(runs[0])) > 1


@pytest.mark.parametrize(('name', 'value', 'reason'), [
    ('rate_hz', 0.5, 'rate_hz must lie between 1 and 200 Hz, got 0.5'),
    ('image_size_px', 4, 'image_size_px must lie between 8 and 1024 px, got 4'),
    ('windy_zones', -1, 'windy_zones must lie between 0 and 1000, got -1'),
    ('policy', 'fly', "policy must be one of loops, frontier, patrol, random_walk, got 'fly'")])
def test_a_parameter_out_of_range_is_refused_in_one_line(
        start_node: Callable[..., Any], name: str, value: object, reason: str) -> None:
    node = start_node('simulated_robot_node', **{name: value})
    assert node.wait() == 1
    lines = node.output.strip().splitlines()
    assert len(lines) == 1, node.output
    assert reason in lines[0]
