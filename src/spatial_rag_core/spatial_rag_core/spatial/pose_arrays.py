"""Many poses at once: float64 [N, 7] = x, y, z [m], then the quaternion x, y, z, w."""

from __future__ import annotations

from spatial_rag_core.records import Pose, Vector

import numpy as np
from numpy.typing import NDArray

PoseArray = NDArray[np.float64]

POSE_CHANNELS = 9
"""Translation in the robot's frame [m] (3), first two columns of the relative rotation (3 + 3)."""

_ANGLE_WEIGHT_M2 = 3.0


def pose_array(pose: Pose) -> PoseArray:
    """One pose as float64 [7]."""
    return np.array((*pose.position, *pose.orientation))


def rotation_matrices(quaternions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit quaternions [N, 4] (x, y, z, w) to rotation matrices [N, 3, 3]."""
    x, y, z, w = np.moveaxis(quaternions, -1, 0)
    rows = (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
            2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
            2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y))
    return np.stack(rows, axis=-1).reshape(*quaternions.shape[:-1], 3, 3)


def quaternions_of(rotations: NDArray[np.float64]) -> NDArray[np.float64]:
    """
    Rotation matrices [..., 3, 3] to unit quaternions [..., 4] (x, y, z, w); w may be negative.

    Of the four ways to read one off a matrix that with the largest divisor is taken (Shepperd
    1978, Quaternion from Rotation Matrix, doi:10.2514/3.55767b).
    """
    m = np.moveaxis(rotations, (-2, -1), (0, 1))  # m[row, column]: [...]
    (xx, yy, zz) = m[0, 0], m[1, 1], m[2, 2]
    xy, xz, yz = m[0, 1] + m[1, 0], m[0, 2] + m[2, 0], m[1, 2] + m[2, 1]
    xw, yw, zw = m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]
    squares = np.stack([1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz, 1 + xx + yy + zz])
    x, y, z, w = squares
    ways = np.stack([np.stack(way, axis=-1) for way in (
        (x, xy, xz, xw), (xy, y, yz, yw), (xz, yz, z, zw), (xw, yw, zw, w))])  # [4, ..., 4]
    best = squares.argmax(axis=0)[None, ..., None]
    chosen = np.take_along_axis(ways, best, axis=0)[0]
    return np.asarray(chosen / np.linalg.norm(chosen, axis=-1, keepdims=True))


def poses_seen_from(pose: PoseArray, poses: PoseArray) -> Vector:
    """
    Poses [N, 7] as seen from `pose` [7], float32 [N, 9].

    Translation in the frame of `pose` [m], then the first two columns of the relative rotation
    (Zhou et al. 2019, On the Continuity of Rotation Representations, arXiv:1812.07035).
    """
    seen: Vector = poses_seen_from_each(pose[None], poses[None])[0]
    return seen


def poses_seen_from_each(pose: PoseArray, poses: PoseArray) -> Vector:
    """Poses [B, N, 7], each row as seen from its own of `pose` [B, 7], float32 [B, N, 9]."""
    to_robot = rotation_matrices(pose[:, 3:]).transpose(0, 2, 1)  # [B, 3, 3]
    apart = poses[:, :, :3] - pose[:, None, :3]
    translation = apart @ to_robot.transpose(0, 2, 1)
    turned = to_robot[:, None] @ rotation_matrices(poses[:, :, 3:])  # [B, N, 3, 3]
    parts = [translation, turned[..., 0], turned[..., 1]]
    seen: Vector = np.concatenate(parts, axis=2).astype(np.float32)
    return seen


def poses_from(start: PoseArray, position: NDArray[np.floating],
               rotation: NDArray[np.floating]) -> PoseArray:
    """
    Turn poses that are as seen from `start` [7] into those of its frame, [..., 7].

    position: [..., 3] [m].  rotation: matrices [..., 3, 3].
    """
    turn = rotation_matrices(start[None, 3:])[0]
    there = start[:3] + position.astype(np.float64) @ turn.T
    turned = quaternions_of(turn @ rotation.astype(np.float64))
    return np.concatenate([there, turned], axis=-1)


def pose_distances_m2(a: PoseArray, b: PoseArray) -> NDArray[np.float64]:
    """|dp|^2 + 3 (1 - cos angle) [m^2] between poses a [N, 7] and b [M, 7], [N, M]."""
    origin = b[:1, :3].sum(axis=0)  # near it the squares below keep their digits; b may be empty
    p, q = a[:, :3] - origin, b[:, :3] - origin
    apart = np.square(p).sum(1)[:, None] + np.square(q).sum(1)[None, :] - 2.0 * (p @ q.T)
    # cos of the angle between two unit quaternions' rotations: 2 (qa . qb)^2 - 1.
    cos = 2.0 * np.square(a[:, 3:] @ b[:, 3:].T) - 1.0
    distances: NDArray[np.float64] = np.maximum(apart, 0.0) + _ANGLE_WEIGHT_M2 * (1.0 - cos)
    return distances
