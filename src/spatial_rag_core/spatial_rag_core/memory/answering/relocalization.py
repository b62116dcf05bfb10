"""Where a picture may have been taken: memories that look like it, gathered into places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Hit, Pose, Position, Quaternion
from spatial_rag_core.spatial.pose_arrays import pose_array, pose_distances_m2, PoseArray
from spatial_rag_core.spatial.pose_means import mean_pose, turns_from

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_SAME_PLACE_M2 = 0.16
"""|dp|^2 + 3 (1 - cos angle) within which memories speak for one place: 0.4 m, or 19 degrees."""
_KERNEL_M2 = 0.04
_SHARPNESS = 9.0
"""Evidence falls to exp(-9) from the memory most alike to the least; see benchmarks."""
_FLOOR = np.diag(np.square([0.25] * 3 + [np.radians(6.0)] * 3))
"""Error of the right hypotheses on simulated rooms: one memory alone is not exact either."""

DEFAULT_K, DEFAULT_HYPOTHESES, MAX_HYPOTHESES = 32, 5, 100


@dataclass(frozen=True, eq=False)
class PoseHypothesis:
    """
    A place where a picture may have been taken.

    map_id: of its memories.  covariance: of x, y, z [m²] and of turns about the map's axes
    [rad²], float64 [6, 6].  score: share of the evidence, 0 to 1.  distance: of the latents to
    the memory most alike.  memory_ids: which speak for it, most alike first.
    """

    pose: Pose
    map_id: str
    covariance: Floats
    score: float
    distance: float
    memory_ids: tuple[str, ...]


def pose_hypotheses(hits: Sequence[Hit],
                    most: int = DEFAULT_HYPOTHESES) -> list[PoseHypothesis]:
    """
    Gather memories into at most `most` places, best first.

    hits: the latents nearest to that of the picture, nearest first. Each speaks for its pose with
    a weight that falls with the square of its distance, as far as it varies among the hits; a
    place is where most weight lies close together, and its pose their weighted mean. Raises
    ConfigurationError.
    """
    if not 1 <= most <= MAX_HYPOTHESES:
        raise ConfigurationError(
            f'max_hypotheses must lie between 1 and {MAX_HYPOTHESES}, got {most}')
    if not hits:
        return []
    poses = np.array([pose_array(hit.memory.pose) for hit in hits])
    weights = _weights(np.array([hit.distance for hit in hits]))
    maps = np.array([hit.memory.map_id for hit in hits])
    apart = np.where(maps[:, None] == maps[None, :], pose_distances_m2(poses, poses), np.inf)
    places = []
    is_free = np.ones(len(hits), bool)
    while is_free.any():
        members = _densest(apart, weights, is_free)
        is_free &= ~members
        places.append(_hypothesis(hits, poses, weights, members))
    return sorted(places, key=lambda place: -place.score)[:most]


def _weights(distances: Floats) -> Floats:
    """Evidence of each hit, sum 1; equal where all are equally far."""
    squares = np.square(distances)
    spread = max(float(squares[-1] - squares[0]), 1e-12)
    weights = np.exp(-_SHARPNESS * (squares - squares[0]) / spread)
    return np.asarray(weights / weights.sum())


def _densest(apart: Floats, weights: Floats,
             is_free: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Members of the place with the most evidence among what is free."""
    kernel = np.exp(-apart / (2.0 * _KERNEL_M2))
    density = np.where(is_free, kernel @ (weights * is_free), -1.0)
    members: NDArray[np.bool_] = is_free & (apart[density.argmax()] <= _SAME_PLACE_M2)
    return members


def _hypothesis(hits: Sequence[Hit], poses: PoseArray, weights: Floats,
                members: NDArray[np.bool_]) -> PoseHypothesis:
    rows = np.flatnonzero(members)
    shares = weights[rows] / weights[rows].sum()
    mean = mean_pose(poses[rows], shares)
    first = hits[int(rows[0])]
    return PoseHypothesis(
        Pose(Position(*mean[:3]), Quaternion(*mean[3:])), first.memory.map_id,
        _covariance(poses[rows], shares, mean), float(weights[rows].sum()), first.distance,
        tuple(hits[row].memory.id for row in rows.tolist()))


def _covariance(poses: PoseArray, shares: Floats, mean: PoseArray) -> Floats:
    """Spread of the members about the mean, and the error that one alone has."""
    offsets = np.concatenate([poses[:, :3] - mean[:3], turns_from(mean, poses)], axis=1)
    return np.asarray(offsets.T @ (offsets * shares[:, None]) + _FLOOR)
