"""Poses of the robot out of the transforms, where tf2_ros is installed."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from spatial_rag_core.errors import InputError
from spatial_rag_core.records import Pose
from spatial_rag_nodes.conversions import ns_from_time, pose_from_transform
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.transform_tree import tree_of

from rclpy.clock import Clock, ClockType
from rclpy.node import Node

LOOK_PERIOD_SEC = 0.02
"""Poses are taken at up to 50 Hz and interpolated between; tf itself may come far more often."""
PATIENCE_SEC = 3.0
"""How long after the start it is not told that there is no transform yet."""


class TfPoses:
    """
    Calls on_pose(stamp [ns], pose) with each new pose of base_frame in map_frame.

    Nothing that comes in the transforms ends the node: it is told.  Raises ConfigurationError
    without tf2_ros.
    """

    def __init__(self, node: Node, health: Health, map_frame: str, base_frame: str,
                 on_pose: Callable[[int, Pose], Any]) -> None:
        self._node, self._health, self._on_pose = node, health, on_pose
        self._frames = map_frame, base_frame
        self._stamp_ns = 0
        self._tell_at_sec = time.monotonic() + PATIENCE_SEC
        self._tree = tree_of(node)
        node.create_timer(LOOK_PERIOD_SEC, health.guarded(self._look),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _look(self) -> None:
        self._tree.look(self._node, self._health)
        try:
            transform = self._tree.newest(*self._frames)
        except InputError as error:
            self._tell(str(error))
            return
        stamp_ns = ns_from_time(transform.header.stamp)
        if stamp_ns == 0:
            self._tell('all transforms between them are static')
        elif stamp_ns != self._stamp_ns:
            self._stamp_ns = stamp_ns
            self._on_pose(stamp_ns, pose_from_transform(transform.transform))

    def _tell(self, reason: str) -> None:
        """Not at once, for transforms take their time to come in; then once a second."""
        now_sec = time.monotonic()
        if now_sec >= self._tell_at_sec:
            self._tell_at_sec = now_sec + 1.0
            to, of = self._frames
            self._health.report('no transform', f'no pose of {of!r} in {to!r}: {reason}; are '
                                'base_frame and map_frame right, and is the robot localized?')
