"""How near a row is to what is asked for, and the k nearest of many rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
import math
from typing import Any

from spatial_rag_core.errors import LatentError
from spatial_rag_core.memory.cells.arena import Columns, Rows
from spatial_rag_core.memory.cells.row_filter import squared_separations
from spatial_rag_core.memory.index import Ranked
from spatial_rag_core.records import MemoryQuery, Pose, Vector

import faiss
import numpy as np
from numpy.typing import NDArray

SINGLE_ROUNDING = 2.0 ** -24
TINY, HUGE = 1e-37, 3e38  # squares beyond which single precision loses digits, or all
FEW = 64  # so many are sorted faster in Python

Distances = NDArray[np.floating[Any]]
NONE: Rows = np.empty(0, np.int64)
NO_DISTANCES: Distances = np.empty(0)


class Ranking(ABC):
    """
    A distance in two steps: rough for many rows, then exact for those that may be nearest.

    A rough distance is any quantity that grows with the distance, to within rounding.
    """

    @abstractmethod
    def rough(self, columns: Columns, rows: Rows) -> Distances:
        """Rough distance of each row, [n]."""

    def limit(self, kth: float) -> float:
        """Rough distance beyond which no row can be among k whose largest is `kth`."""
        return kth

    def exact(self, columns: Columns, rows: Rows, rough: Distances) -> NDArray[np.float64]:
        """Distance of each row, float64 [n]."""
        return np.asarray(rough, np.float64)


class _Euclidean(Ranking):
    """L2 distance of latents: rough is its square in single precision."""

    def __init__(self, vector: Vector) -> None:
        self._vector = vector
        # No term of the sum is negative, so each rounding is small against the sum.
        self._slack = 1 + 4 * (len(vector) + 4) * SINGLE_ROUNDING

    def rough(self, columns: Columns, rows: Rows) -> Distances:
        squared = np.empty(len(rows), np.float32)
        faiss.fvec_L2sqr_by_idx(  # type: ignore[attr-defined, unused-ignore]  # not in the stubs
            faiss.swig_ptr(squared), faiss.swig_ptr(self._vector),
            faiss.swig_ptr(columns.vectors), faiss.swig_ptr(rows), len(self._vector), 1,
            len(rows))
        return squared

    def limit(self, kth: float) -> float:
        limit = kth * self._slack + TINY
        return limit if limit < HUGE else math.inf

    def exact(self, columns: Columns, rows: Rows, rough: Distances) -> NDArray[np.float64]:
        offset = np.subtract(columns.vectors.take(rows, axis=0), self._vector, dtype=np.float64)
        return np.asarray(np.sqrt(np.add.reduce(offset * offset, axis=1)), np.float64)


class _Cosine(Ranking):
    """1 − cos of the angle between latents, 1 where either is zero."""

    def __init__(self, vector: Vector) -> None:
        self._vector = vector.astype(np.float64)
        self._squared = float(self._vector @ self._vector)

    def rough(self, columns: Columns, rows: Rows) -> Distances:
        vectors = columns.vectors.take(rows, axis=0).astype(np.float64)
        products = np.einsum('ij,j->i', vectors, self._vector)
        squared = np.einsum('ij,ij->i', vectors, vectors) * self._squared
        squared[squared == 0.0] = math.inf
        # The root comes last: so latents of the same direction come out equal.
        cosine = np.copysign(np.sqrt(np.minimum(products ** 2 / squared, 1.0)), products)
        return np.asarray(1 - cosine, np.float64)


class _PoseDistance(Ranking):
    """|Δp|² + 3·(1 − cos Δθ) [m²], Δθ the angle of the rotation between."""

    def __init__(self, pose: Pose) -> None:
        self._pose = pose

    def rough(self, columns: Columns, rows: Rows) -> Distances:
        turns = columns.orientations.take(rows, axis=0).astype(np.float64)
        turns *= self._pose.orientation
        cosine = np.minimum(2 * turns.sum(axis=1) ** 2 - 1, 1.0)
        apart = squared_separations(columns.places_of(rows), self._pose.position)
        return np.asarray(apart + 3 * (1 - cosine), np.float64)


def ranking_of(query: MemoryQuery, z_dim: int) -> Ranking:
    """Return the ranking that a query asks for; raises LatentError for another length."""
    if query.rank_by == 'pose':
        assert query.pose is not None
        return _PoseDistance(query.pose)
    vector = np.ascontiguousarray(query.vector, np.float32)
    if vector.shape != (z_dim,):
        raise LatentError(f'latent has shape {list(vector.shape)}, expected [{z_dim}] (z_dim); '
                          'asker and memory must agree on z_dim')
    return _Cosine(vector) if query.metric == 'cosine' else _Euclidean(vector)


class Nearest:
    """Keeps the k nearest of the rows that it is offered, and those as near as rounding tells."""

    def __init__(self, k: int, ranking: Ranking) -> None:
        self._k = k
        self._ranking = ranking
        self._rows, self._rough = NONE, NO_DISTANCES
        self._limit = math.inf

    @property
    def kth(self) -> float:
        """Rough distance that a row must not exceed to come in; infinite: all do."""
        return self._limit

    @property
    def count(self) -> int:
        """Rows that are kept."""
        return len(self._rows)

    def offer(self, columns: Columns, rows: Rows) -> None:
        """Take in rows that were not offered before."""
        if not len(rows):
            return
        rough = self._ranking.rough(columns, rows)
        if len(self._rows):
            keep = (rough <= self._limit).nonzero()[0]
            rows = np.concatenate([self._rows, rows.take(keep)])
            rough = np.concatenate([self._rough, rough.take(keep)])
        if len(rows) >= self._k:
            self._limit = self._ranking.limit(np.partition(rough, self._k - 1).item(self._k - 1))
            keep = (rough <= self._limit).nonzero()[0]
            rows, rough = rows.take(keep), rough.take(keep)
        self._rows, self._rough = rows, rough

    def ranked(self, columns: Columns) -> list[Ranked] | None:
        """
        Return the k nearest, nearest first, equals by sequence number.

        None where one of the rows kept was erased since: the next best are not known any more.
        """
        found = self._ranking.exact(columns, self._rows, self._rough)
        seqs = columns.seqs.take(self._rows)
        if len(seqs) > FEW:
            order = np.lexsort((seqs, found))
            found, seqs = found.take(order), seqs.take(order)
        distances, numbers = found.tolist(), seqs.tolist()
        if 0 in numbers:
            return None
        return [Ranked(number, distance) for distance, number in sorted(
            zip(distances, numbers, strict=True))[:self._k]]
