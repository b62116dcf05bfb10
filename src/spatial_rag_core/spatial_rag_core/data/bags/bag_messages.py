"""What decoded messages of a recording say: stamps, poses, actions; see also pictures.py."""

from __future__ import annotations

from typing import Any

from spatial_rag_core.data.bags.bag_roles import ODOMETRY
from spatial_rag_core.errors import PoseError
from spatial_rag_core.records import as_action, Pose, Position, Quaternion, Vector
from spatial_rag_core.streams.motion import twist_action

import numpy as np


def stamp_of(msg: Any) -> int | None:
    """Stamp of its header [Unix ns], 0 where it was not filled in; None without a header."""
    header = getattr(msg, 'header', None)
    if header is None:
        return None
    return int(header.stamp.sec) * 1_000_000_000 + int(header.stamp.nanosec)


def numbers_of(msg: Any) -> Vector:
    """Return the numbers of a Float32MultiArray."""
    return np.asarray(msg.data, np.float32)[msg.layout.data_offset:]


def action_of(msg: Any, action_dim: int) -> Vector:
    """Return float32 [action_dim] of a Float32MultiArray or Twist; raises ActionError."""
    if hasattr(msg, 'linear'):
        linear, angular = msg.linear, msg.angular
        return twist_action((linear.x, linear.y, linear.z, angular.x, angular.y, angular.z),
                            action_dim)
    return as_action(numbers_of(msg), action_dim)


class FixedFrame:
    """Poses of the frame that the first one names."""

    def __init__(self, msgtype: str) -> None:
        self._is_odometry = msgtype == ODOMETRY
        self._frame_id: str | None = None

    def pose_of(self, msg: Any) -> Pose:
        """Raises PoseError for a pose of another frame, or one that is none."""
        self._frame_id = self._frame_id or msg.header.frame_id
        if msg.header.frame_id != self._frame_id:
            raise PoseError(f'pose is in frame {msg.header.frame_id!r}, those before in '
                            f'{self._frame_id!r}; record one topic for each frame')
        pose = msg.pose.pose if self._is_odometry else msg.pose
        p, q = pose.position, pose.orientation
        return Pose(Position(p.x, p.y, p.z), Quaternion(q.x, q.y, q.z, q.w))
