from __future__ import annotations

import math

from spatial_rag_core.memory.answering.choice import pool_size
from spatial_rag_core.memory.answering.diversity import diverse
from spatial_rag_core.records import Hit, Memory, MemoryQuery, Pose, Position, Quaternion

import numpy as np
import pytest

HERE = Pose(Position(0.0, 0.0))


def hit(number: int, vector: tuple[float, ...], distance: float, pose: Pose = HERE) -> Hit:
    return Hit(Memory(str(number), np.float32(vector), pose, '', 0.0, 'model'), distance, 0.0)


def latent_hits(vectors: np.ndarray, query: MemoryQuery) -> list[Hit]:
    """Hits of the vectors by the query's metric, nearest first."""
    z = np.asarray(query.vector, float)
    if query.metric == 'l2':
        distances = np.linalg.norm(vectors - z, axis=1)
    else:
        distances = 1 - vectors @ z / np.linalg.norm(vectors, axis=1) / np.linalg.norm(z)
    return [hit(i, tuple(vectors[i]), distances[i]) for i in np.argsort(distances, kind='stable')]


def ids(hits: list[Hit]) -> list[int]:
    return [int(hit.memory.id) for hit in hits]


def by_the_formula(vectors: np.ndarray, query: MemoryQuery) -> list[int]:
    """Maximal marginal relevance, one pair at a time."""
    def d(a: np.ndarray, b: np.ndarray) -> float:
        if query.metric == 'l2':
            return math.dist(a, b)
        return 1 - float(a @ b) / math.hypot(*a) / math.hypot(*b)

    z, w = np.asarray(query.vector, float), query.diversity
    order = sorted(range(len(vectors)), key=lambda i: d(z, vectors[i]))
    chosen = order[:1]
    while len(chosen) < query.k:
        chosen.append(min((i for i in order if i not in chosen), key=lambda i: (
            (1 - w) * d(z, vectors[i]) - w * min(d(vectors[i], vectors[j]) for j in chosen))))
    return chosen


def query_of(**fields: object) -> MemoryQuery:
    return MemoryQuery(**{'vector': np.float32([1, 2, 3]), **fields})  # type: ignore[arg-type]


def test_without_diversity_the_nearest_come_in_their_order() -> None:
    vectors = np.random.default_rng(0).normal(size=(30, 3))
    query = query_of(k=8)
    hits = latent_hits(vectors, query)
    assert diverse(hits, query) == hits[:8]
    assert pool_size(query) == 8


@pytest.mark.parametrize('metric', ['l2', 'cosine'])
@pytest.mark.parametrize('diversity', [1e-9, 0.2, 0.5, 0.9, 1.0])
def test_the_choice_is_that_of_the_formula(metric: str, diversity: float) -> None:
    for seed in range(5):
        vectors = np.float32(np.random.default_rng(seed).normal(size=(32, 3))).astype(float)
        query = query_of(k=8, metric=metric, diversity=diversity)
        assert ids(diverse(latent_hits(vectors, query), query)) == by_the_formula(vectors, query)


def test_a_little_diversity_passes_over_a_twin() -> None:
    twins = np.array([(1.0, 2.0, 3.1), (1.0, 2.0, 3.1001), (1.0, 2.3, 3.0)])
    query = query_of(k=2, diversity=0.5)
    assert ids(diverse(latent_hits(twins, query), query)) == [0, 2]


def test_full_diversity_takes_what_is_farthest_from_the_chosen() -> None:
    line = np.array([(x, 2.0, 3.0) for x in (1.0, 2.0, 3.0, 4.0, 11.0)])
    query = query_of(k=3, diversity=1.0)
    assert ids(diverse(latent_hits(line, query), query)) == [0, 4, 3]


def test_of_equals_the_nearer_and_earlier_comes_first() -> None:
    query = query_of(k=4, diversity=0.5)
    same = [hit(i, (1.0, 2.0, 4.0), 1.0) for i in range(6)]
    assert ids(diverse(same, query)) == [0, 1, 2, 3]


def test_where_poses_rank_they_are_what_must_differ() -> None:
    query = MemoryQuery(k=2, pose=Pose(Position(0, 0)), rank_by='pose', diversity=0.5)
    there = Position(1.0, 0.0)
    back = Quaternion(0.0, 0.0, 1.0, 0.0)
    hits = [hit(0, (0.0,), 1.0, Pose(there)), hit(1, (9.0,), 1.01, Pose(Position(1.005, 0.0))),
            hit(2, (0.0,), 7.0, Pose(there, back))]
    assert ids(diverse(hits, query)) == [0, 2]


@pytest.mark.parametrize('diversity', [0.0, 0.7])
def test_fewer_hits_than_wanted_all_come(diversity: float) -> None:
    query = query_of(k=8, diversity=diversity)
    assert diverse([], query) == []
    hits = latent_hits(np.random.default_rng(0).normal(size=(3, 3)), query)
    assert sorted(ids(diverse(hits, query))) == [0, 1, 2]


def test_an_index_is_asked_for_some_times_as_many_but_never_too_many() -> None:
    assert pool_size(query_of(k=8, diversity=0.3)) == 32
    assert pool_size(query_of(k=9000, diversity=0.3)) == 10_000


def test_the_hits_are_left_as_they_are() -> None:
    query = query_of(k=2, diversity=0.5)
    hits = latent_hits(np.random.default_rng(0).normal(size=(9, 3)), query)
    before = list(hits)
    diverse(hits, query)
    assert hits == before
