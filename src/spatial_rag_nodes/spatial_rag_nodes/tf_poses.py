"""Poses of the robot out of the transforms, where tf2_ros is installed."""

from __future__ import annotations

from collections.abc import Callable
import os
import time
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Pose
from spatial_rag_nodes.conversions import ns_from_time, pose_from_transform
from spatial_rag_nodes.health import Health

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.time import Time

LOOK_PERIOD_SEC = 0.02
"""Poses are taken at up to 50 Hz and interpolated between; tf itself may come far more often."""
PATIENCE_SEC = 3.0
"""How long after the start it is not told that there is no transform yet."""


class TfPoses:
    """
    Calls on_pose(stamp [ns], pose) with each new pose of base_frame in map_frame.

    The newest moment is taken for which all transforms on the way are known: tf interpolates
    the slower ones, and nothing is extrapolated.  Raises ConfigurationError without tf2_ros.
    """

    def __init__(self, node: Node, health: Health, map_frame: str, base_frame: str,
                 on_pose: Callable[[int, Pose], Any]) -> None:
        self._tf2_ros = _tf2_ros()
        self._health, self._on_pose = health, on_pose
        self._frames = map_frame, base_frame
        self._clock = node.get_clock()
        self._now_ns = self._stamp_ns = 0
        self._tell_at_sec = time.monotonic() + PATIENCE_SEC
        self._buffer = self._tf2_ros.Buffer()
        self._listener = self._tf2_ros.TransformListener(self._buffer, node)
        node.create_timer(LOOK_PERIOD_SEC, health.guarded(self._look),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _look(self) -> None:
        self._follow_time()
        try:
            transform = self._buffer.lookup_transform(*self._frames, Time())
        except self._tf2_ros.TransformException as error:
            self._tell(str(error))
            return
        stamp_ns = ns_from_time(transform.header.stamp)
        if stamp_ns == 0:
            self._tell('all transforms between them are static')
        elif stamp_ns != self._stamp_ns:
            self._stamp_ns = stamp_ns
            self._on_pose(stamp_ns, pose_from_transform(transform.transform))

    def _follow_time(self) -> None:
        """Where time is turned back tf would leave out what comes, for being too old."""
        before_ns, self._now_ns = self._now_ns, self._clock.now().nanoseconds
        if self._now_ns < before_ns:
            self._buffer.clear()

    def _tell(self, reason: str) -> None:
        """Not at once, for transforms take their time to come in; then once a second."""
        now_sec = time.monotonic()
        if now_sec >= self._tell_at_sec:
            self._tell_at_sec = now_sec + 1.0
            to, of = self._frames
            self._health.report('no transform', f'no pose of {of!r} in {to!r}: {reason}; are '
                                'base_frame and map_frame right, and is the robot localized?')


def _tf2_ros() -> Any:
    try:
        import tf2_ros
    except ImportError as error:
        distro = os.environ.get('ROS_DISTRO', '<distribution>')
        raise ConfigurationError(
            f'pose_source tf needs tf2_ros, which cannot be imported ({error}): sudo apt install '
            f'ros-{distro}-tf2-ros-py, or set pose_source to pose or odometry') from error
    return tf2_ros
