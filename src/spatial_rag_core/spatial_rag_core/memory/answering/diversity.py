"""Hits that differ from one another: maximal marginal relevance."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from spatial_rag_core.records import Hit, MemoryQuery

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def diverse(hits: Sequence[Hit], query: MemoryQuery) -> list[Hit]:
    """
    Choose at most query.k of the hits, which come nearest first.

    The first is the nearest. Each further one, i, is that with the least
        (1 − w) · d(query, i) − w · min d(i, j) over all j chosen before,
    w being query.diversity and d the distance by which the query ranks; of equals the nearer.
    So w = 0 keeps the nearest in their order, and w = 1 takes what is farthest from the chosen.
    It is maximal marginal relevance with a distance in the place of a similarity (Carbonell and
    Goldstein, 1998, The use of MMR, diversity-based reranking …, SIGIR).
    """
    if query.diversity == 0.0 or len(hits) < 2:
        return list(hits[:query.k])
    weight, distance_to = query.diversity, _distances_between(hits, query)
    relevance = (1 - weight) * np.array([hit.distance for hit in hits])
    chosen = [0]
    apart = distance_to(0)
    while len(chosen) < min(query.k, len(hits)):
        costs = relevance - weight * apart
        costs[chosen] = np.inf
        chosen.append(int(np.argmin(costs)))
        apart = np.minimum(apart, distance_to(chosen[-1]))
    return [hits[i] for i in chosen]


def _distances_between(hits: Sequence[Hit], query: MemoryQuery) -> Callable[[int], Floats]:
    """From the number of a hit to the distances of all from it, float64 [n]."""
    if query.rank_by == 'pose':
        return _poses_apart(hits)
    vectors = np.array([hit.memory.vector for hit in hits], np.float64)
    if query.metric == 'l2':
        return lambda i: np.asarray(np.linalg.norm(vectors - vectors[i], axis=1), np.float64)
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    units = vectors / np.where(lengths > 0.0, lengths, 1.0)
    return lambda i: np.asarray(1 - units @ units[i], np.float64)


def _poses_apart(hits: Sequence[Hit]) -> Callable[[int], Floats]:
    positions = np.array([hit.memory.position for hit in hits])
    turns = np.array([hit.memory.orientation for hit in hits])

    def distances(i: int) -> Floats:
        squared = ((positions - positions[i]) ** 2).sum(axis=1)
        cosine = np.minimum(2 * (turns @ turns[i]) ** 2 - 1, 1.0)
        return np.asarray(squared + 3 * (1 - cosine), np.float64)

    return distances
