from __future__ import annotations

from spatial_rag_core.memory.cells.ranking import Nearest, ranking_of
from spatial_rag_core.records import MemoryQuery, Pose, Position

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from ..index_contract import brute_force, scattered_rows, some_rows, Z_DIM
from .arenas import filled_arena

reproducibly = settings(derandomize=True, deadline=None, database=None, max_examples=60)
QUERIES = {
    'l2': MemoryQuery(vector=np.float32([0.5, 0, -1, 2])),
    'cosine': MemoryQuery(vector=np.float32([0.5, 0, -1, 2]), metric='cosine'),
    'pose': MemoryQuery(pose=Pose(Position(1.0, 2.0)), rank_by='pose')}
COUNT = 400
MEMORIES = {'with ties': some_rows(COUNT), 'scattered': scattered_rows(COUNT)}


@pytest.mark.parametrize('kind', MEMORIES)
@pytest.mark.parametrize('query', QUERIES.values(), ids=QUERIES)
def test_however_the_rows_are_offered_the_k_nearest_are_kept(
        kind: str, query: MemoryQuery) -> None:
    arena = filled_arena(MEMORIES[kind])
    expected = brute_force(MEMORIES[kind], query)[0].tolist()

    @reproducibly
    @given(st.integers(1, COUNT + 20), st.lists(st.integers(0, COUNT)), st.integers(0, 2 ** 32))
    def claim(k: int, cuts: list[int], seed: int) -> None:
        nearest = Nearest(k, ranking_of(query, Z_DIM))
        shuffled = np.random.default_rng(seed).permutation(COUNT)
        for rows in np.split(shuffled, sorted(cuts)):
            nearest.offer(arena.columns, rows)
        ranked = nearest.ranked(arena.columns)
        assert ranked is not None
        assert [hit.seq for hit in ranked] == expected[:k]
        assert nearest.count >= min(k, COUNT)

    claim()


def test_where_a_row_that_was_kept_is_erased_there_is_no_answer() -> None:
    arena = filled_arena(MEMORIES['scattered'])
    nearest = Nearest(8, ranking_of(QUERIES['l2'], Z_DIM))
    nearest.offer(arena.columns, np.arange(COUNT))
    ranked = nearest.ranked(arena.columns)
    assert ranked is not None
    rows, held = arena.find(np.array([ranked[3].seq]))
    assert held.all()
    arena.erase(rows)
    assert nearest.ranked(arena.columns) is None


def test_nothing_offered_is_an_empty_answer() -> None:
    nearest = Nearest(8, ranking_of(QUERIES['l2'], Z_DIM))
    nearest.offer(filled_arena(MEMORIES['scattered']).columns, np.empty(0, np.int64))
    assert nearest.ranked(filled_arena(MEMORIES['scattered']).columns) == []
    assert nearest.kth == np.inf
