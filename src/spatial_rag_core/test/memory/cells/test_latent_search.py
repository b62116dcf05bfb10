from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
import dataclasses
import threading

from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.cells.latent_search import FLAT_ROWS, TAIL_ROWS
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.records import MemoryQuery, Pose, Position

import numpy as np
import pytest

from ..index_contract import GRID, part, require_brute_force

Z_DIM, COUNT = 8, FLAT_ROWS + 10_000


def curved_rows(count: int, first_seq: int = 1, seed: int = 0) -> IndexRows:
    """Latents that lie on a curved sheet, as those of an encoder do; half of session b."""
    chance = np.random.default_rng(seed)
    bend = np.random.default_rng(99).normal(size=(2, 3, Z_DIM))
    sheet = chance.uniform(-1, 1, (count, 3))
    return IndexRows(
        np.arange(first_seq, first_seq + count), chance.integers(0, 64, count, np.uint64),
        np.float32(np.sin(sheet @ bend[0]) + sheet @ bend[1]),
        chance.uniform(0, 50, (count, 3)), np.tile(np.float32([0, 0, 0, 1]), (count, 1)),
        np.arange(count) * 1.0, np.arange(count, dtype=np.int32) % 2,
        {0: Context('a'), 1: Context('b')})


def questions(count: int, **fields: object) -> list[MemoryQuery]:
    return [MemoryQuery(vector=vector, **fields)  # type: ignore[arg-type]
            for vector in curved_rows(count, seed=77).vectors]


def recall(index: CellIndex, rows: IndexRows, asked: list[MemoryQuery]) -> float:
    shares = []
    for query in asked:
        near = np.argsort(((rows.vectors - query.vector) ** 2).sum(axis=1))[:query.k]
        found = {hit.seq for hit in index.search(query)}
        shares.append(len(found & set(rows.seqs[near].tolist())) / query.k)
    return float(np.mean(shares))


@pytest.fixture
def index() -> Iterator[CellIndex]:
    index = CellIndex(GRID, Z_DIM)
    yield index
    index.close()


@pytest.fixture
def promoted(index: CellIndex) -> CellIndex:
    """Hold COUNT curved rows in an index that was asked about them once."""
    index.add(curved_rows(COUNT))
    index.search(questions(1)[0])
    index.settle()
    assert index.is_approximate
    return index


def test_until_the_inverted_file_is_there_answers_are_exact(index: CellIndex) -> None:
    rows = curved_rows(COUNT)
    index.add(rows)
    require_brute_force(rows, questions(1)[0], index.search(questions(1)[0]))


def test_few_memories_are_always_searched_exactly(index: CellIndex) -> None:
    rows = curved_rows(FLAT_ROWS)
    index.add(rows)
    for query in questions(5):
        require_brute_force(rows, query, index.search(query))
    index.settle()
    assert not index.is_approximate


def test_it_finds_nearly_all_of_the_nearest_with_their_true_distances(
        promoted: CellIndex) -> None:
    rows = curved_rows(COUNT)
    assert recall(promoted, rows, questions(100)) >= 0.95
    for query in questions(5):
        for hit in promoted.search(query):
            apart = np.linalg.norm(rows.vectors[hit.seq - 1] - query.vector)
            assert hit.distance == pytest.approx(apart, rel=1e-5)


def test_what_came_a_moment_ago_is_found_and_what_was_forgotten_is_not(
        promoted: CellIndex) -> None:
    rows = curved_rows(1, first_seq=COUNT + 1, seed=5)
    query = MemoryQuery(vector=rows.vectors[0])
    promoted.add(rows)
    assert promoted.search(query)[0].seq == COUNT + 1
    nearest = [hit.seq for hit in promoted.search(query)]
    promoted.remove(np.array(nearest[:5]))
    found = [hit.seq for hit in promoted.search(query)]
    assert found[:3] == nearest[5:]
    assert len(found) == 8


def test_it_grows_with_the_memory(promoted: CellIndex) -> None:
    later = curved_rows(TAIL_ROWS + 1, first_seq=COUNT + 1, seed=3)
    promoted.add(later)
    before = promoted._latents._file
    promoted.search(questions(1)[0])
    promoted.settle()
    assert promoted._latents.file_count == COUNT + TAIL_ROWS + 1
    assert before is not None
    assert before.count == COUNT  # who still searches the old one is not disturbed
    first = curved_rows(COUNT)
    both = dataclasses.replace(
        first, seqs=np.concatenate([first.seqs, later.seqs]),
        vectors=np.concatenate([first.vectors, later.vectors]))
    assert recall(promoted, both, questions(50)) >= 0.95


def test_where_most_was_forgotten_answers_are_exact_until_it_is_made_anew(
        promoted: CellIndex) -> None:
    rows = curved_rows(COUNT)
    later = curved_rows(COUNT, first_seq=COUNT + 1, seed=4)
    promoted.add(later)
    promoted.remove(rows.seqs[:-100])
    query = questions(1)[0]
    near = np.argsort(((later.vectors - query.vector) ** 2).sum(axis=1))[:8]
    found = [hit.seq for hit in promoted.search(query) if hit.seq > COUNT]
    assert found == later.seqs[near][:len(found)].tolist()
    promoted.settle()
    assert promoted._latents.file_count == COUNT + 100
    assert recall(promoted, later, questions(50)) >= 0.93  # the hundred are missing here


def test_conditions_hold_exactly_whether_many_memories_satisfy_them_or_few(
        promoted: CellIndex) -> None:
    rows = curved_rows(COUNT)
    for fields, keep in (({'session': 'b'}, np.arange(COUNT) % 2 == 1),
                         ({'after': 100.0}, np.arange(COUNT) >= 100),
                         ({'after': 500.0, 'before': 900.0}, (np.arange(COUNT) >= 500)
                          & (np.arange(COUNT) <= 900))):
        asked = questions(20, **fields)
        assert all(keep[hit.seq - 1] for query in asked for hit in promoted.search(query))
        assert recall(promoted, part(rows, keep), asked) >= 0.95
    nothing = questions(1, session='c')[0]
    assert promoted.search(nothing) == []
    require_brute_force(rows, questions(1, k=500)[0], promoted.search(questions(1, k=500)[0]))


def test_latents_that_no_inverted_file_helps_with_are_searched_exactly(index: CellIndex) -> None:
    rows = curved_rows(COUNT)
    noise = np.random.default_rng(0).normal(size=(COUNT, 64)).astype(np.float32)
    index = CellIndex(GRID, 64)
    index.add(dataclasses.replace(rows, vectors=noise))
    query = MemoryQuery(vector=noise[0] + noise[1])
    index.search(query)
    index.settle()
    assert not index.is_approximate
    require_brute_force(dataclasses.replace(rows, vectors=noise), query, index.search(query))
    index.close()


def test_a_bounded_query_stays_exact(promoted: CellIndex) -> None:
    rows = curved_rows(COUNT)
    query = questions(1, pose=Pose(Position(25, 25, 25)), radius_m=12.0)[0]
    require_brute_force(rows, query, promoted.search(query))


def test_memories_come_and_go_while_it_is_made(index: CellIndex) -> None:
    index.add(curved_rows(COUNT))
    began = threading.Event()

    def ask() -> None:
        for query in questions(50):
            assert len(index.search(query)) == 8
            began.set()

    with ThreadPoolExecutor(1) as threads:
        asking = threads.submit(ask)
        assert began.wait(60)
        for at in range(50):
            rows = curved_rows(20, first_seq=COUNT + 1 + 20 * at, seed=at)
            index.add(rows)
            index.remove(rows.seqs[::2])
        asking.result()
    index.settle()
    assert index.count == COUNT + 500
    assert index.is_approximate


def test_closing_ends_the_work(index: CellIndex) -> None:
    index.add(curved_rows(COUNT))
    index.search(questions(1)[0])
    index.close()
    assert not index.is_approximate
    assert all(thread.name != 'inverted file' for thread in threading.enumerate())
