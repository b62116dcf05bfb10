"""Poses by the book, one at a time: a vector is turned by q v q*, nothing is a matrix formula."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def random_poses(n: int, seed: int = 0, spread_m: float = 2.0) -> Array:
    """Positions within a few metres, rotations of any axis and angle, float64 [n, 7]."""
    dice = np.random.default_rng(seed)
    q = dice.normal(size=(n, 4))
    return np.concatenate([dice.normal(scale=spread_m, size=(n, 3)),
                           q / np.linalg.norm(q, axis=1, keepdims=True)], axis=1)


def product(p: Array, q: Array) -> Array:
    """Hamilton product of quaternions (x, y, z, w)."""
    vector = p[3] * q[:3] + q[3] * p[:3] + np.cross(p[:3], q[:3])
    return np.array([*vector, p[3] * q[3] - p[:3] @ q[:3]])


def conjugate(q: Array) -> Array:
    return np.array([*-q[:3], q[3]])


def turned(q: Array, v: Array) -> Array:
    return product(product(q, np.array([*v, 0.0])), conjugate(q))[:3]


def matrix(q: Array) -> Array:
    """Where the three axes go, as columns."""
    return np.stack([turned(q, axis) for axis in np.eye(3)], axis=1)


def quaternion(rotation_vector: Array) -> Array:
    angle = math.sqrt(float(rotation_vector @ rotation_vector))
    axis = rotation_vector / angle if angle else np.zeros(3)
    return np.array([*math.sin(angle / 2) * axis, math.cos(angle / 2)])


def seen_from(pose: Array, other: Array) -> Array:
    """Translation and two columns of the rotation, float64 [9]."""
    back = conjugate(pose[3:])
    columns = matrix(product(back, other[3:]))
    return np.concatenate([turned(back, other[:3] - pose[:3]), columns[:, 0], columns[:, 1]])


def distance_m2(a: Array, b: Array) -> float:
    """|dp|^2 + 3 (1 - cos angle)."""
    q = product(conjugate(a[3:]), b[3:])
    angle = 2.0 * math.atan2(float(np.linalg.norm(q[:3])), abs(q[3]))
    apart = a[:3] - b[:3]
    return float(apart @ apart) + 3.0 * (1.0 - math.cos(angle))
