"""Every index says what brute force says; a new one only has to be named in INDEXES."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import Context, IndexRows, MemoryIndex, Ranked
from spatial_rag_core.memory.qdrant.edge import EdgeStore
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.records import MemoryQuery, Pose, Position, Quaternion

import numpy as np
import pytest

from .index_contract import (
    cells_of,
    check_changes,
    check_random_queries,
    GRID,
    MakeIndex,
    part,
    require_brute_force,
    scattered_rows,
    some_rows,
    Z_DIM,
)
from .qdrant.sockets import local_index

INDEXES: dict[str, Callable[[Path], MemoryIndex]] = {
    'embedded': lambda folder: CellIndex(GRID, Z_DIM),
    'qdrant edge': lambda folder: QdrantIndex(EdgeStore(folder, Z_DIM, GRID.resolution), GRID),
    'qdrant-client local': lambda folder: local_index(Z_DIM, GRID)}
EXAMPLES: dict[str, int] = {  # random queries; fewer where each takes long
    'embedded': 800, 'qdrant-client local': 60}


@pytest.fixture(params=INDEXES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def make_index(name: str, tmp_path: Path) -> Iterator[MakeIndex]:
    """Make empty indexes, each with a folder of its own, and close them afterwards."""
    made: list[MemoryIndex] = []

    def make() -> MemoryIndex:
        folder = tmp_path / str(len(made))
        folder.mkdir()
        made.append(INDEXES[name](folder))
        return made[-1]

    yield make
    for index in made:
        index.close()


def test_every_answer_is_that_of_brute_force(make_index: MakeIndex, name: str) -> None:
    index, rows = make_index(), some_rows(600)
    index.add(rows)
    check_random_queries(index, rows, EXAMPLES.get(name, 200))


def test_every_answer_about_scattered_memories_is_that_of_brute_force(
        make_index: MakeIndex, name: str) -> None:
    index, rows = make_index(), scattered_rows(600)
    index.add(rows)
    check_random_queries(index, rows, EXAMPLES.get(name, 200) // 2)


@pytest.mark.parametrize('seed', [0, 1])
def test_memories_that_come_and_go_and_change_their_labels_leave_no_trace(
        make_index: MakeIndex, seed: int) -> None:
    check_changes(make_index(), 40, seed)


def test_an_index_grown_over_many_adds_is_the_same(make_index: MakeIndex) -> None:
    index, whole, rows = make_index(), make_index(), some_rows(600)
    whole.add(rows)
    chance = np.random.default_rng(1)
    start = 0
    query = MemoryQuery(k=5, vector=np.zeros(Z_DIM, np.float32), pose=Pose(Position(0.0, 0.0)),
                        radius_m=6.0)
    while start < 600:
        end = min(600, start + int(chance.choice([0, 1, 1, 7, 60])))
        index.add(part(rows, slice(start, end)))
        require_brute_force(part(rows, slice(0, end)), query, index.search(query))
        start = end
    assert (index.count, index.last_seq, index.cell_count) == (
        600, rows.seqs[-1], len(set(rows.cells.tolist())))
    everything = MemoryQuery(k=600, vector=np.ones(Z_DIM, np.float32))
    assert index.search(everything) == whole.search(everything)


def in_one_place(count: int, vectors: np.ndarray | None = None) -> IndexRows:
    positions = np.zeros((count, 3))
    return IndexRows(
        np.arange(1, count + 1), cells_of(positions),
        np.zeros((count, Z_DIM), np.float32) if vectors is None else np.float32(vectors),
        positions, np.tile(np.float32([0, 0, 0, 1]), (count, 1)), np.arange(count) / 20,
        np.zeros(count, np.int32), {0: Context('s')})


def test_many_memories_of_one_place_all_stay(make_index: MakeIndex) -> None:
    index, n = make_index(), 300
    rows = in_one_place(n, np.random.default_rng(2).normal(size=(n, Z_DIM)))
    for at in range(n):
        index.add(part(rows, slice(at, at + 1)))
    query = MemoryQuery(k=n, vector=rows.vectors[5], pose=Pose(Position(0, 0)), radius_m=0.1)
    hits = index.search(query)
    assert hits[0] == Ranked(6, 0.0)
    assert {hit.seq for hit in hits} == set(range(1, n + 1))
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)


@pytest.mark.parametrize('k', [1, 8, 150])
def test_of_equals_the_first_remembered_come_first_also_at_the_end_of_the_list(
        make_index: MakeIndex, k: int) -> None:
    index = make_index()
    index.add(in_one_place(400, np.ones((400, Z_DIM))))
    for radius_m in (9.0, None):
        found = index.search(MemoryQuery(k=k, vector=np.zeros(Z_DIM, np.float32),
                                         pose=Pose(Position(0, 0)), radius_m=radius_m))
        assert [hit.seq for hit in found] == list(range(1, k + 1))


def test_the_least_age_counts_before_and_after_and_is_itself_old_enough(
        make_index: MakeIndex) -> None:
    index, rows = make_index(), in_one_place(5)
    rows.timestamps[:] = [5.0, 5.5, 10.0, 14.5, 15.0]
    index.add(rows)
    found = index.search(MemoryQuery(vector=np.zeros(Z_DIM, np.float32), min_age_sec=5.0,
                                     timestamp=10.0))
    assert [hit.seq for hit in found] == [1, 5]


def test_an_empty_index_finds_nothing(make_index: MakeIndex) -> None:
    index = make_index()
    index.add(part(some_rows(5), slice(0, 0)))
    index.remove(np.array([1, 2]))
    vector = np.zeros(Z_DIM, np.float32)
    assert index.search(MemoryQuery(vector=vector)) == []
    assert index.search(MemoryQuery(pose=Pose(Position(0, 0)), rank_by='pose')) == []
    assert index.search(MemoryQuery(vector=vector, pose=Pose(Position(0, 0)),
                                    radius_m=5.0)) == []
    assert (index.count, index.last_seq, index.cell_count) == (0, 0, 0)


def test_the_newest_number_stays_known_when_the_newest_memory_is_forgotten(
        make_index: MakeIndex) -> None:
    index = make_index()
    index.add(in_one_place(5))
    index.remove(np.arange(1, 6))
    assert (index.count, index.last_seq, index.cell_count) == (0, 5, 0)
    assert index.search(MemoryQuery(vector=np.zeros(Z_DIM, np.float32))) == []


def test_a_pose_is_no_distance_from_itself(make_index: MakeIndex) -> None:
    index = make_index()
    pose = Pose(Position(1.0, 2.0, 0.0), Quaternion(0.1, 0.3, -0.5, 0.8))
    positions = np.array([pose.position])
    index.add(IndexRows(
        np.array([1]), cells_of(positions), np.zeros((1, Z_DIM), np.float32), positions,
        np.float32([pose.orientation]), np.zeros(1), np.zeros(1, np.int32), {0: Context()}))
    turned = Pose(pose.position, Quaternion(*(-v for v in pose.orientation)))
    for same in (pose, turned):
        for radius_m in (1.0, None):
            [hit] = index.search(MemoryQuery(pose=same, rank_by='pose', radius_m=radius_m))
            assert 0.0 <= hit.distance < 1e-5


def test_a_latent_of_zeros_is_at_right_angles_to_all(make_index: MakeIndex) -> None:
    index = make_index()
    index.add(in_one_place(3, np.float32([[0, 0, 0, 0], [0, 3, 0, 0], [0, -1, 0, 0]])))
    for z, distances in (((0, 2, 0, 0), {1: 1.0, 2: 0.0, 3: 2.0}),
                         ((0, 0, 0, 0), {1: 1.0, 2: 1.0, 3: 1.0})):
        hits = index.search(MemoryQuery(vector=np.float32(z), metric='cosine'))
        assert {hit.seq: hit.distance for hit in hits} == pytest.approx(distances, abs=1e-5)


def test_a_question_of_doubles_is_answered_like_one_of_floats(make_index: MakeIndex) -> None:
    index = make_index()
    index.add(some_rows(600))
    as_floats = MemoryQuery(vector=np.ones(Z_DIM, np.float32))
    as_doubles = MemoryQuery(vector=np.ones(2 * Z_DIM)[::2])  # type: ignore[arg-type]
    assert index.search(as_doubles) == index.search(as_floats)
