from __future__ import annotations

from collections.abc import Callable
import math
from typing import Literal

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import IDENTITY, Pose, Position, Quaternion
from spatial_rag_core.streams.motion import MotionActions, twist
from spatial_rag_core.streams.pose_buffer import PoseBuffer

import pytest

MS = 1_000_000
Axes = Literal['body', 'optical']
# A camera that looks along body x: optical z forward, x right, y down (REP 103).
BODY_FROM_OPTICAL = Quaternion(-0.5, 0.5, -0.5, 0.5)


def times(a: Quaternion, b: Quaternion) -> Quaternion:
    ax, ay, az, aw = a
    bx, by, bz, bw = b
    return Quaternion(aw * bx + ax * bw + ay * bz - az * by, aw * by - ax * bz + ay * bw + az * bx,
                      aw * bz + ax * by - ay * bx + az * bw, aw * bw - ax * bx - ay * by - az * bz)


def yawed(angle: float) -> Quaternion:
    return Quaternion(0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2))


def straight(t: float) -> Pose:
    """0.7 m/s forward, the robot's nose at 120° of the map."""
    return Pose(Position(0.7 * t * math.cos(2.1), 0.7 * t * math.sin(2.1)), yawed(2.1))


def spinning(t: float) -> Pose:
    return Pose(Position(3.0, 4.0), yawed(-1.2 * t))


def sideways(t: float) -> Pose:
    """0.3 m/s to the left of a robot that looks along map y, climbing at 0.1 m/s."""
    return Pose(Position(-0.3 * t, 0.0, 0.1 * t), yawed(math.pi / 2))


def as_camera(path: Callable[[float], Pose]) -> Callable[[float], Pose]:
    return lambda t: Pose(path(t).position, times(path(t).orientation, BODY_FROM_OPTICAL))


def filled(path: Callable[[float], Pose], until_ns: int = 1000 * MS) -> PoseBuffer:
    poses = PoseBuffer()
    for stamp in range(0, until_ns + 1, 20 * MS):
        poses.insert(stamp, path(stamp / 1e9))
    return poses


CASES = [
    (straight, 2, [0.7, 0.0]),
    (straight, 3, [0.7, 0.0, 0.0]),
    (spinning, 2, [0.0, -1.2]),
    (sideways, 3, [0.0, 0.3, 0.0]),
    (sideways, 6, [0.0, 0.3, 0.1, 0.0, 0.0, 0.0]),
    (spinning, 6, [0.0, 0.0, 0.0, 0.0, 0.0, -1.2]),
]


@pytest.mark.parametrize('axes', ['body', 'optical'])
@pytest.mark.parametrize(('path', 'action_dim', 'action'), CASES)
def test_the_action_is_the_motion_in_the_robots_own_axes(
        path: Callable[[float], Pose], action_dim: int, action: list[float], axes: Axes) -> None:
    poses = filled(path if axes == 'body' else as_camera(path))
    found = MotionActions(poses, action_dim, axes, window_sec=0.1).at(517 * MS)
    assert found is not None
    assert found.tolist() == pytest.approx(action, abs=1e-6)


def test_the_rotation_between_body_and_camera_is_right_here() -> None:
    forward, right, down = ((0, 0, 1, 0), (1, 0, 0, 0), (0, 1, 0, 0))
    inverse = Quaternion(*(-v for v in BODY_FROM_OPTICAL[:3]), BODY_FROM_OPTICAL.w)
    for optical, body in ((forward, (1, 0, 0)), (right, (0, -1, 0)), (down, (0, 0, -1))):
        turned = times(times(BODY_FROM_OPTICAL, Quaternion(*optical)), inverse)
        assert turned[:3] == pytest.approx(body)


def test_where_the_poses_do_not_reach_back_there_is_no_action() -> None:
    motion = MotionActions(filled(straight), 2, window_sec=0.1)
    assert motion.at(99 * MS) is None  # a window that begins before the first pose
    assert motion.at(100 * MS) is not None
    assert MotionActions(PoseBuffer(), 2, window_sec=0.1).at(0) is None


def test_a_pose_that_is_a_little_late_does_not_make_the_robot_seem_slower() -> None:
    motion = MotionActions(filled(straight, 1000 * MS), 2, window_sec=0.1)
    found = motion.at(1060 * MS)
    assert found is not None
    assert found.tolist() == pytest.approx([0.7, 0.0], abs=1e-6)
    assert motion.at(1101 * MS) is None  # beyond the tolerance


def test_a_turn_through_the_back_is_the_short_one() -> None:
    end = Quaternion(*(-v for v in yawed(3.2)))
    turned = twist(Pose(Position(0, 0), yawed(3.1)), Pose(Position(0, 0), end), 0.1)
    assert turned == pytest.approx((0, 0, 0, 0, 0, 1.0))
    assert twist(Pose(Position(0, 0)), Pose(Position(0, 0), IDENTITY), 0.1) == (0,) * 6


@pytest.mark.parametrize('action_dim', [1, 4, 5, 7])
def test_a_size_that_no_motion_has_is_refused(action_dim: int) -> None:
    with pytest.raises(ConfigurationError,
                       match=rf'action_dim \[2, 3, 6\], got {action_dim}; publish actions'):
        MotionActions(PoseBuffer(), action_dim, window_sec=0.1)


def test_unknown_axes_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="'body' or 'optical', got 'ned'"):
        MotionActions(PoseBuffer(), 2, 'ned', window_sec=0.1)  # type: ignore[arg-type]
