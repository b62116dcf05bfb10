"""
Which memories of one place others tell as well.

Redundancy of two memories of a place: D² = |Δz|²/s² + |Δp|²/e² + (1 − cos Δθ), where s² is the
mean of |Δz|² over all pairs in the memory, e the edge length of its H3 cells [m] and Δθ the angle
of the rotation between the two: three numbers without a unit, small where they are alike.
Headings that differ by more than 45° see different things, however alike their latents are.
"""

from __future__ import annotations

from dataclasses import dataclass
import time
from typing import NamedTuple

from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.records import Vector

import faiss
import numpy as np
from numpy.typing import NDArray

MAX_TOGETHER = 1024
"""So many memories are compared with each other; a larger place is divided (8 MB of distances)."""
_FAR_HEADING_DEG = 45.0
_FAR = 1e6
"""Added to D² of two headings that are far apart: they are redundant only to nothing else."""
_YIELD_EVERY = 16  # victims, about 0.3 ms


@dataclass(frozen=True)
class Scales:
    """Units of redundancy: latent is s, place_m is e [m]."""

    latent: float
    place_m: float


class Order(NamedTuple):
    """
    Who goes, the first first.

    rows int64 [n]: which of the rows.  spared bool [n]: it has a label, and so goes only after
    all without.  scores float64 [n]: D² to the one that tells it best, of those left.
    """

    rows: NDArray[np.int64]
    spared: NDArray[np.bool_]
    scores: NDArray[np.float64]


def features(rows: IndexRows, scales: Scales) -> Vector:
    """
    Points whose squared distances are D², float32 [N, z_dim + 3 + 16].

    A rotation q is told by the matrix q·qᵀ, which q and -q share: |q·qᵀ − r·rᵀ|² = 1 − cos Δθ.
    """
    q = rows.orientations
    place = rows.positions - rows.positions.mean(axis=0)  # float32 has few digits
    return np.ascontiguousarray(np.concatenate([
        rows.vectors / scales.latent, place / scales.place_m,
        np.einsum('ni,nj->nij', q, q).reshape(len(q), 16)], axis=1), np.float32)


def divided(points: Vector, most: int = MAX_TOGETHER) -> list[NDArray[np.int64]]:
    """Parts of at most `most` points each; neighbours mostly stay together (a k-d tree)."""
    parts, done = [np.arange(len(points))], []
    while parts:
        part = parts.pop()
        if len(part) <= most:
            done.append(np.sort(part))
            continue
        axis = points[part].var(axis=0).argmax()
        order = part[np.argsort(points[part, axis], kind='stable')]
        parts += [order[len(order) // 2:], order[:len(order) // 2]]
    return done


def elimination(points: Vector, orientations: NDArray[np.float32], spared: NDArray[np.bool_],
                most: int, limit: tuple[bool, float] = (True, float('inf'))) -> Order:
    """
    Drop one of the two most alike, again and again, until one is left, at most `most` times.

    points: of `features` [N, D], ordered from the oldest to the newest: of two the older goes.
    spared bool [N]: goes only after all others, also where it is the older.
    It ends early where (spared, score) would exceed `limit`: both only grow on the way.
    """
    field = _Field(_distances(points, orientations))
    order: list[tuple[int, bool, float]] = []
    for stage in (False, True):
        candidates = spared == stage if not stage else np.ones(len(points), np.bool_)
        while len(order) < min(most, len(points) - 1):
            row, score = field.most_redundant(candidates)
            if (stage, score) > limit or score == np.inf:
                break
            order.append((row, stage, score))
            field.drop(row)
            if len(order) % _YIELD_EVERY == 0:
                time.sleep(0)  # let those at work have the interpreter
    return Order(np.array([row for row, _, _ in order], np.int64),
                 np.array([stage for _, stage, _ in order], np.bool_),
                 np.array([score for _, _, score in order], np.float64))


class _Field:
    """Points that are left, and the nearest of each."""

    def __init__(self, distances: NDArray[np.float64]) -> None:
        self._distances = distances  # [n, n], infinite to itself and to those dropped
        self._nearest = distances.argmin(axis=1)
        self._gap = distances.min(axis=1)

    def most_redundant(self, candidates: NDArray[np.bool_]) -> tuple[int, float]:
        """Of the closest two with a candidate: the older candidate, and D²; infinite: none."""
        first = int(np.where(candidates, self._gap, np.inf).argmin())
        second = int(self._nearest[first])
        row = min(first, second) if candidates[second] else first
        return row, float(self._gap[first]) if candidates[first] else np.inf

    def drop(self, row: int) -> None:
        """Take a point away."""
        self._distances[:, row] = np.inf
        self._gap[row] = np.inf
        self._nearest[row] = row
        for orphan in np.flatnonzero(self._nearest == row):
            if orphan != row:
                self._nearest[orphan] = nearest = self._distances[orphan].argmin()
                self._gap[orphan] = self._distances[orphan, nearest]


def _distances(points: Vector, orientations: NDArray[np.float32]) -> NDArray[np.float64]:
    """D² of all pairs [N, N], exactly symmetric, and 0 for twins; infinite on the diagonal."""
    count, dims = points.shape
    distances, row = np.empty((count, count)), np.empty(count, np.float32)
    for index in range(count):
        faiss.fvec_L2sqr_ny(  # type: ignore[attr-defined, unused-ignore]  # not in Faiss's stubs
            faiss.swig_ptr(row), faiss.swig_ptr(points[index]), faiss.swig_ptr(points), dims,
            count)
        distances[index] = row
    cosine_half = np.abs(orientations @ orientations.T)
    distances[cosine_half < np.cos(np.radians(_FAR_HEADING_DEG / 2))] += _FAR
    np.fill_diagonal(distances, np.inf)
    return distances
