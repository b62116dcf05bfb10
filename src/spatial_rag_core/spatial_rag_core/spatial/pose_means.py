"""Means of poses and how far each lies from one; poses float64 [N, 7], see pose_arrays.py."""

from __future__ import annotations

from spatial_rag_core.spatial.pose_arrays import PoseArray

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def mean_pose(poses: PoseArray, weights: Floats) -> PoseArray:
    """
    Weighted mean of poses [N, 7], float64 [7]; weights [N], sum 1.

    The rotation is that with the least mean squared chord to all (Markley et al. 2007, Averaging
    Quaternions, doi:10.2514/1.28949): the sign of a quaternion does not matter.
    """
    position = weights @ poses[:, :3]
    moments = poses[:, 3:].T @ (poses[:, 3:] * weights[:, None])
    quaternion = np.linalg.eigh(moments)[1][:, -1]
    return np.concatenate([position, quaternion])


def turns_from(pose: PoseArray, poses: PoseArray) -> Floats:
    """Rotation vectors in the map's axes [rad] that turn `pose` [7] into each, float64 [N, 3]."""
    x, y, z, w = poses[:, 3:].T
    a, b, c, d = (*-pose[3:6], pose[6])  # the inverse of a unit quaternion
    turned = np.stack([w * a + x * d + y * c - z * b, w * b - x * c + y * d + z * a,
                       w * c + x * b - y * a + z * d], axis=1)
    cosine = w * d - x * a - y * b - z * c
    turned *= np.where(cosine < 0.0, -1.0, 1.0)[:, None]  # the shorter way
    sine = np.linalg.norm(turned, axis=1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, np.abs(cosine)[:, None])
    turns: Floats = turned * np.divide(angle, sine, out=np.full_like(sine, 2.0), where=sine > 1e-9)
    return turns
