"""Distances to the last bit of what Qdrant found, and how far its own figures can be trusted."""

from __future__ import annotations

import math
from typing import NamedTuple

from spatial_rag_core.memory.index import Ranked
from spatial_rag_core.memory.qdrant.points import (
    DIRECTION,
    LATENT,
    Places,
    POSE,
    pose_vector,
)
from spatial_rag_core.records import MemoryQuery, Pose, Vector

import numpy as np
from numpy.typing import NDArray

_SAME = 9  # decimals of a distance beyond which two are equal


class Question(NamedTuple):
    """Which of the named vectors is to be near what, float32 [n]."""

    using: str
    vector: Vector


def question_of(query: MemoryQuery) -> Question:
    """What Qdrant is asked for, so that its order is that of the query."""
    if query.rank_by == 'pose':
        assert query.pose is not None
        return Question(POSE, pose_vector(query.pose))
    vector = np.ascontiguousarray(query.vector, np.float32)
    return Question(LATENT if query.metric == 'l2' else DIRECTION, vector)


def distances_of(query: MemoryQuery, places: Places, vectors: Vector) -> NDArray[np.float64]:
    """Distances by the query's rank_by and metric, [n]; vectors: latents float32 [n, z_dim]."""
    if query.rank_by == 'pose':
        assert query.pose is not None
        return _pose_distances(places, query.pose)
    z = np.asarray(query.vector, np.float32).astype(np.float64)
    latents = vectors.astype(np.float64)
    if query.metric == 'l2':
        return np.asarray(np.linalg.norm(latents - z, axis=1))
    lengths = np.linalg.norm(latents, axis=1) * np.linalg.norm(z)
    cosines = latents @ z / np.where(lengths > 0.0, lengths, np.inf)
    return np.asarray(np.clip(1.0 - cosines, 0.0, 2.0))


def _pose_distances(places: Places, pose: Pose) -> NDArray[np.float64]:
    """|Δp|² + 3·(1 − cos Δθ) [m²], [n]."""
    offset = places['position'] - np.asarray(pose.position)
    cosine_half = places['orientation'].astype(np.float64) @ np.asarray(pose.orientation)
    cosine = np.minimum(2 * cosine_half ** 2 - 1, 1.0)
    return np.asarray((offset * offset).sum(axis=1) + 3 * (1 - cosine))


def least_distance(query: MemoryQuery, told: float) -> float:
    """
    Return what a distance is at least that Qdrant tells as `told`: it reckons in float32.

    told: Euclidean distance of the question's vectors, or 1 − cosine.
    """
    if query.rank_by == 'pose':
        assert query.pose is not None
        far = max(map(abs, query.pose.position)) + told  # coordinates are rounded to float32
        return max(0.0, told - 4e-7 * far - 4e-6) ** 2
    assert query.vector is not None
    error = 4e-7 * (len(query.vector) + 8)
    return told - error if query.metric == 'cosine' else told * (1 - error)


def nearest(seqs: NDArray[np.int64], distances: NDArray[np.float64], k: int) -> list[Ranked]:
    """The k smallest distances in order; equals by sequence number."""
    order = np.lexsort((seqs, np.round(distances, _SAME)))[:k]
    return [Ranked(int(seqs[i]), float(distances[i])) for i in order]


def is_certain(ranked: list[Ranked], query: MemoryQuery, last_told: float) -> bool:
    """Whether nothing beyond the last that Qdrant told can belong among the k nearest."""
    return len(ranked) == query.k and math.isfinite(last_told) and (
        ranked[-1].distance + 10 ** -_SAME < least_distance(query, last_told))
