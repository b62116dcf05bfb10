"""Actions where none are published: the motion that the poses show."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
import math
from typing import Literal

from spatial_rag_core.errors import ActionError, ConfigurationError, PoseError
from spatial_rag_core.records import as_action, Pose, Quaternion, Vector
from spatial_rag_core.streams.pose_buffer import PoseBuffer

import numpy as np

BodyAxes = Literal['body', 'optical']

_COMPONENTS = {2: (0, 5), 3: (0, 1, 5), 6: (0, 1, 2, 3, 4, 5)}
"""action_dim → components of the twist (vx, vy, vz [m/s], wx, wy, wz [rad/s]), x forward."""


class MotionActions:
    """
    The action at a moment, taken from the robot's own motion over the last window_sec.

    action_dim 2: forward speed [m/s] and turn rate [rad/s]; 3: forward and leftward speed and
    turn rate; 6: the whole twist. axes 'body' means that the pose's x points forward and z up
    (REP 103), 'optical' that z points forward and y down (a camera's pose).
    """

    def __init__(self, poses: PoseBuffer, action_dim: int, axes: BodyAxes = 'body',
                 *, window_sec: float) -> None:
        check_motion(action_dim, axes)
        self._poses = poses
        self._action_dim = action_dim
        self._axes = axes
        self._window_ns = round(window_sec * 1e9)

    def at(self, stamp_ns: int) -> Vector | None:
        """
        Action float32 [action_dim] at stamp_ns, None where the poses do not reach back.

        Where the newest pose is a little older than stamp_ns, it is the motion up to that pose.
        """
        oldest_ns, newest_ns = self._poses.oldest_ns, self._poses.newest_ns
        if oldest_ns is None or newest_ns is None:
            return None
        end_ns = min(stamp_ns, newest_ns)
        start_ns = end_ns - self._window_ns
        if start_ns < oldest_ns:
            return None
        try:
            self._poses.at(stamp_ns)  # near enough in time, or the motion is an old one
            start, end = self._poses.at(start_ns), self._poses.at(end_ns)
        except PoseError:
            return None
        return motion_action(start, end, self._window_ns / 1e9, self._action_dim, self._axes)


def check_motion(action_dim: int, axes: str) -> None:
    """Raise ConfigurationError where no action of such a length or of such axes can be derived."""
    if action_dim not in _COMPONENTS:
        raise ConfigurationError(
            f'actions can be derived from motion for action_dim {sorted(_COMPONENTS)}, '
            f'got {action_dim}; publish actions and set action_source: topic')
    if axes not in ('body', 'optical'):
        raise ConfigurationError(f"pose_axes must be 'body' or 'optical', got {axes!r}")


def motion_action(start: Pose, end: Pose, duration_sec: float, action_dim: int,
                  axes: BodyAxes = 'body') -> Vector:
    """Action float32 [action_dim] that leads from one pose to the other; see MotionActions."""
    moved = twist(start, end, duration_sec)
    if axes == 'optical':
        moved = _optical_to_body(moved)
    return as_action([moved[index] for index in _COMPONENTS[action_dim]])


def past_motion(poses: Sequence[Pose], durations_sec: Sequence[float], action_dim: int,
                axes: BodyAxes = 'body') -> Vector:
    """
    Return what led to each of T poses, float32 [T, action_dim]; zeros for the first, not known.

    durations_sec: from each pose to the next, T - 1 of them.
    """
    moved = [motion_action(before, after, duration_sec, action_dim, axes)
             for (before, after), duration_sec in zip(pairwise(poses), durations_sec, strict=True)]
    return np.array([np.zeros(action_dim), *moved], np.float32)


def twist_action(velocity: Sequence[float], action_dim: int) -> Vector:
    """
    Action float32 [action_dim] of a commanded twist (vx, vy, vz [m/s], wx, wy, wz [rad/s]).

    Raises ActionError for an action_dim that a twist does not give, and a value not finite.
    """
    if action_dim not in _COMPONENTS:
        raise ActionError(f'a Twist gives actions of 2, 3 or 6 numbers, action_dim is '
                          f'{action_dim}; publish Float32MultiArray')
    return as_action([velocity[index] for index in _COMPONENTS[action_dim]], action_dim)


def twist(start: Pose, end: Pose, duration_sec: float) -> tuple[float, ...]:
    """Mean velocity (vx, vy, vz [m/s], wx, wy, wz [rad/s]) in the axes of `start`."""
    inverse = _conjugate(start.orientation)
    dx, dy, dz = (b - a for a, b in zip(start.position, end.position, strict=True))
    x, y, z, _ = _multiply(_multiply(inverse, Quaternion(dx, dy, dz, 0.0)), start.orientation)
    turn = _multiply(inverse, end.orientation)
    return tuple(value / duration_sec for value in (x, y, z, *_rotation_vector(turn)))


def _optical_to_body(moved: tuple[float, ...]) -> tuple[float, ...]:
    """REP 103: optical z is forward, x is right, y is down."""
    vx, vy, vz, wx, wy, wz = moved
    return vz, -vx, -vy, wz, -wx, -wy


def _conjugate(q: Quaternion) -> Quaternion:
    return Quaternion(-q.x, -q.y, -q.z, q.w)


def _multiply(a: Quaternion, b: Quaternion) -> Quaternion:
    return Quaternion(a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
                      a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
                      a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w,
                      a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z)


def _rotation_vector(q: Quaternion) -> tuple[float, float, float]:
    """Axis times angle [rad], the short way round."""
    sign = -1.0 if q.w < 0 else 1.0
    length = math.sqrt(q.x * q.x + q.y * q.y + q.z * q.z)
    scale = 2.0 if length < 1e-9 else 2 * math.atan2(length, sign * q.w) / length
    return sign * scale * q.x, sign * scale * q.y, sign * scale * q.z
