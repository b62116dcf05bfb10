"""What the embedded index promises beyond the contract of every index."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
import dataclasses
import threading

from spatial_rag_core.errors import LatentError
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.cells.store import CHUNK_PAGES, SWEEP_AT
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.records import Box, MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame

import numpy as np
import pytest

from .index_contract import (
    CONTEXTS,
    GRID,
    part,
    require_brute_force,
    scattered_rows,
    some_rows,
    Z_DIM,
)


def index_of(rows: IndexRows, resolution: int = GRID.resolution) -> CellIndex:
    index = CellIndex(H3Grid(GRID.frame, resolution), rows.vectors.shape[1])
    index.add(rows)
    return index


def many_rows(count: int, z_dim: int, seed: int = 0, side_m: float = 100.0) -> IndexRows:
    """Memories all over a square, in cells of 7 m that are none of H3's."""
    chance = np.random.default_rng(seed)
    positions = chance.uniform((0, 0, 0), (side_m, side_m, 3), (count, 3))
    tile = (positions[:, :2] // 7).astype(np.uint64)
    return IndexRows(
        np.arange(1, count + 1), tile[:, 0] << np.uint64(20) | tile[:, 1] << np.uint64(6),
        chance.normal(size=(count, z_dim)).astype(np.float32), positions,
        np.tile(np.float32([0, 0, 0, 1]), (count, 1)), np.arange(count) / 20,
        chance.choice(list(CONTEXTS), count).astype(np.int32), CONTEXTS)


@pytest.mark.parametrize('query', [
    {'pose': Pose(Position(50, 50)), 'radius_m': 5.0},
    {'pose': Pose(Position(50, 50)), 'radius_m': 45.0},
    {'pose': Pose(Position(50, 50, 1.0)), 'radius_m': 45.0, 'max_dz_m': 0.5, 'session': 's0'},
    {'box': Box(Position(-1, 3, 0), Position(99, 70, 2)), 'after': 100.0, 'k': 500},
    {'pose': Pose(Position(80, 0)), 'rank_by': 'pose'},
    {'pose': Pose(Position(-900, 0)), 'rank_by': 'pose', 'labels': ('loop', 'door'), 'k': 300},
    {'metric': 'cosine', 'robot': 'r1'}, {}], ids=str)
def test_answers_over_many_pages_are_those_of_brute_force(query: dict[str, object]) -> None:
    rows = many_rows(40_000, 32)
    assert len(rows.seqs) > CHUNK_PAGES * 8
    asked = MemoryQuery(**{  # type: ignore[arg-type]
        'vector': np.random.default_rng(5).normal(size=32), **query})
    require_brute_force(rows, asked, index_of(rows).search(asked))


@pytest.mark.parametrize('scale', [1e-30, 1e-20, 1e17, 1e30])
def test_tiny_and_huge_latents_are_told_apart(scale: float) -> None:
    rows = scattered_rows(500)
    index = index_of(dataclasses.replace(rows, vectors=rows.vectors * np.float32(scale)))
    for metric in ('l2', 'cosine'):
        query = MemoryQuery(vector=rows.vectors[7] + np.float32(0.1), metric=metric)
        large = dataclasses.replace(query, vector=query.vector * np.float32(scale))
        assert [hit.seq for hit in index.search(large)] == [
            hit.seq for hit in index_of(rows).search(query)]


def test_latents_that_differ_by_less_than_single_precision_shows_come_in_order() -> None:
    rows = scattered_rows(200)
    far = np.full((200, Z_DIM), 1000.0, np.float32)
    far[:, 0] = np.float32(1000) + np.arange(200) * np.spacing(np.float32(1000))
    index = index_of(dataclasses.replace(rows, vectors=far[::-1].copy()))
    hits = index.search(MemoryQuery(k=5, vector=np.zeros(Z_DIM, np.float32)))
    assert [hit.seq for hit in hits] == rows.seqs[:-6:-1].tolist()


@pytest.mark.parametrize('resolution', [0, 1, 2, 9, 15])
@pytest.mark.parametrize('datum', [Datum(90.0, 0.0), Datum(0.0, 180.0), Datum(64.7, 10.5, 77.0)],
                         ids=str)
def test_every_resolution_serves_anywhere_on_the_globe(resolution: int, datum: Datum) -> None:
    grid = H3Grid(LocalFrame(datum), resolution)
    rows = some_rows(300)
    rows = dataclasses.replace(rows, cells=np.array([
        grid.cell_number(Position(*place)) for place in rows.positions.tolist()], np.uint64))
    index = CellIndex(grid, Z_DIM)
    index.add(rows)
    for x in (-6.0, 0.0, 11.0):
        query = MemoryQuery(k=20, vector=np.ones(Z_DIM, np.float32), radius_m=5.0,
                            pose=Pose(Position(x, 2.0)))
        require_brute_force(rows, query, index.search(query))


def test_places_at_the_ends_of_the_map_are_found() -> None:
    rows = scattered_rows(100)
    rows.positions[50:] += (9.9e6, -9.9e6, 0.0)
    index = index_of(rows)
    for place in rows.positions[[3, 60]]:
        for radius_m in (1.0, 5000.0, 1e7):
            query = MemoryQuery(k=100, vector=np.ones(Z_DIM, np.float32), radius_m=radius_m,
                                pose=Pose(Position(*place.tolist())))
            require_brute_force(rows, query, index.search(query))
        nearest = MemoryQuery(k=60, pose=Pose(Position(*place.tolist())), rank_by='pose')
        assert index.search(nearest)[0].distance < 6.0
        assert len(index.search(nearest)) == 60


def test_a_latent_of_another_length_is_refused_and_the_next_one_answered() -> None:
    index = index_of(scattered_rows(50))
    with pytest.raises(LatentError, match=r'latent has shape \[3\], expected \[4\] \(z_dim\)'):
        index.search(MemoryQuery(vector=np.zeros(3, np.float32)))
    with pytest.raises(LatentError, match=r'latents have shape \[10, 8\], expected \[10, 4\]'):
        index.add(many_rows(10, 8))
    assert len(index.search(MemoryQuery(k=99, vector=np.zeros(4, np.float32)))) == 50
    assert index.cell_count == len(set(scattered_rows(50).cells.tolist()))


def test_after_much_was_forgotten_the_room_is_given_back_and_answers_stay() -> None:
    rows = many_rows(3 * SWEEP_AT, 8)
    index = index_of(rows)
    keep = np.arange(len(rows.seqs)) % 3 == 0
    index.remove(rows.seqs[~keep])
    assert index._store.arena.size < 1.5 * keep.sum()
    for query in (MemoryQuery(k=50, vector=np.zeros(8, np.float32)),
                  MemoryQuery(k=50, pose=Pose(Position(50, 50)), radius_m=9.0, rank_by='pose',
                              session='s0')):
        require_brute_force(part(rows, keep), query, index.search(query))
    later = many_rows(500, 8, seed=1)
    later = dataclasses.replace(later, seqs=later.seqs + rows.seqs[-1])
    index.add(later)
    index.remove(rows.seqs)
    everything = MemoryQuery(k=10_000, vector=np.zeros(8, np.float32))
    require_brute_force(later, everything, index.search(everything))
    assert index.count == 500


def test_after_all_was_forgotten_it_is_as_good_as_new() -> None:
    rows = many_rows(2 * SWEEP_AT, 8)
    index = index_of(rows)
    index.remove(rows.seqs)
    query = MemoryQuery(vector=np.zeros(8, np.float32))
    assert (index.count, index.cell_count, index.search(query)) == (0, 0, [])
    index.add(dataclasses.replace(rows, seqs=rows.seqs + rows.seqs[-1]))
    assert len(index.search(query)) == 8


def test_an_index_that_was_closed_holds_nothing() -> None:
    index = index_of(scattered_rows(50))
    index.close()
    index.close()
    assert index.count == 0


def churn(index: CellIndex, first_seq: int, over: threading.Event) -> int:
    """Add, relabel and forget memories in the same places, all far in latents, until told."""
    rounds = 0
    while not over.is_set() or rounds < 3:
        rows = scattered_rows(SWEEP_AT, seed=rounds)
        rows = dataclasses.replace(
            rows, vectors=rows.vectors + np.float32(1000), contexts=rows.contexts.copy(),
            seqs=first_seq + rounds * len(rows.seqs) + np.arange(len(rows.seqs)))
        for start in range(0, SWEEP_AT, 300):
            index.add(part(rows, slice(start, start + 300)))
        rows.contexts[:] = 500 + rounds
        index.relabel(dataclasses.replace(
            rows, context_table={500 + rounds: Context('s0', f'robot {rounds}')}))
        for start in range(0, SWEEP_AT, 100):
            index.remove(rows.seqs[start:start + 100])
        rounds += 1
    return rounds


def test_searches_beside_a_changing_thread_find_what_stays_and_nothing_else() -> None:
    stay = scattered_rows(400)
    index = index_of(stay)
    here = Pose(Position(0.0, 0.0))
    questions = [MemoryQuery(vector=np.zeros(Z_DIM, np.float32), **fields) for fields in (
        {'pose': here, 'radius_m': 6.0}, {}, {'session': 's0'}, {'metric': 'cosine', 'k': 3},
        {'box': Box(Position(-9, -9), Position(9, 9, 2)), 'k': 40})]  # type: ignore[arg-type]
    questions[3] = dataclasses.replace(questions[3], box=Box(Position(-1, -1), Position(1, 1, 2)),
                                       vector=np.float32([-1, -1, -1, -1]))
    expected = [index.search(query) for query in questions]
    over = threading.Event()

    def search() -> int:
        for _ in range(60):
            for query, answer in zip(questions, expected, strict=True):
                assert index.search(query) == answer
        return len(questions)

    with ThreadPoolExecutor(4) as threads:
        changing = threads.submit(churn, index, int(stay.seqs[-1]) + 1, over)
        searching = [threads.submit(search) for _ in range(3)]
        try:
            assert [future.result() for future in searching] == 3 * [len(questions)]
        finally:
            over.set()
        assert changing.result() >= 3
    assert index.count == 400
    assert [index.search(query) for query in questions] == expected


def test_what_one_thread_adds_another_finds_as_soon_as_it_is_counted() -> None:
    index = index_of(part(scattered_rows(1), slice(0, 0)))
    rows = scattered_rows(2000)
    done = threading.Event()

    def watch() -> int:
        looks = 0
        while not done.is_set():
            before = index.count
            found = index.search(MemoryQuery(k=10_000, vector=np.zeros(Z_DIM, np.float32),
                                             pose=Pose(Position(0, 0)), radius_m=50.0))
            assert before <= len(found)
            assert [hit.distance for hit in found] == sorted(hit.distance for hit in found)
            looks += 1
        return looks

    with ThreadPoolExecutor(1) as threads:
        watching = threads.submit(watch)
        for at in range(2000):
            index.add(part(rows, slice(at, at + 1)))
        done.set()
        assert watching.result() > 0
    assert index.count == 2000
