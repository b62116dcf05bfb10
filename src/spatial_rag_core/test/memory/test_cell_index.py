"""The contract of every index: what ten lines of brute-force NumPy say."""

from __future__ import annotations

from collections.abc import Callable
import math

from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import IndexRows, MemoryIndex, Ranked
from spatial_rag_core.records import Box, MemoryQuery, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

Z_DIM, COUNT = 4, 600
GRID = H3Grid(LocalFrame(Datum(48.0, 9.0, 30.0)), 14)
EMBEDDED = 'embedded'
TURNS = [Quaternion(0, 0, 0, 1), Quaternion(0, 0, 1, 0), Quaternion(0.5, 0.5, 0.5, 0.5),
         Quaternion(-0.5, 0.5, -0.5, 0.5)]  # exact in binary
INDEXES: dict[str, Callable[[], MemoryIndex]] = {EMBEDDED: lambda: CellIndex(GRID, Z_DIM)}
each_index = pytest.mark.parametrize('make_index', INDEXES.values(), ids=INDEXES)


def some_rows(count: int = COUNT, seed: int = 0) -> IndexRows:
    """Latents, places and times of few different values, so that there are many ties."""
    chance = np.random.default_rng(seed)
    positions = np.stack([*chance.integers(-24, 25, (2, count)) / 2.0,
                          chance.integers(0, 3, count) * 1.0], axis=1)
    return IndexRows(
        seqs=np.cumsum(chance.integers(1, 4, count)),
        cells=[GRID.cell(Position(*position)) for position in positions.tolist()],
        vectors=chance.integers(-2, 3, (count, Z_DIM)).astype(np.float32),
        positions=positions,
        orientations=np.float32(TURNS)[chance.integers(0, len(TURNS), count)],
        timestamps=chance.integers(0, 60, count) / 2.0,
        sessions=[f's{n}' for n in chance.integers(0, 3, count)])


ROWS = some_rows()


def brute_force(rows: IndexRows,
                query: MemoryQuery) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All sequence numbers that the query admits, in order, and their distances."""
    keep = np.ones(len(rows.seqs), bool)
    if query.pose is not None:
        apart = np.sqrt(((rows.positions - np.array(query.pose.position)) ** 2).sum(1))
    if query.radius_m is not None:
        keep &= apart <= query.radius_m
    if query.box is not None:
        keep &= ((rows.positions >= query.box.low) & (rows.positions <= query.box.high)).all(1)
    if query.timestamp is not None:
        keep &= ~(np.abs(rows.timestamps - query.timestamp) < query.min_age_sec)
    keep &= rows.timestamps >= (-math.inf if query.after is None else query.after)
    keep &= rows.timestamps <= (math.inf if query.before is None else query.before)
    keep &= np.array([query.session in (None, session) for session in rows.sessions])
    if query.rank_by == 'latent':
        distance = np.sqrt(((rows.vectors.astype(float) - query.vector) ** 2).sum(1))
    else:
        assert query.pose is not None
        half = np.arccos(np.minimum(np.abs(rows.orientations @ query.pose.orientation), 1.0))
        distance = apart ** 2 + 3 * (1 - np.cos(2 * half))
    order = np.lexsort((rows.seqs, np.round(distance, 4)))
    order = order[keep[order]]
    return rows.seqs[order], distance[order]


def require_brute_force(rows: IndexRows, query: MemoryQuery, hits: list[Ranked]) -> None:
    seqs, distances = brute_force(rows, query)
    assert [hit.seq for hit in hits] == seqs[:query.k].tolist()
    assert [hit.distance for hit in hits] == pytest.approx(distances[:query.k].tolist(), abs=1e-5)
    assert all(hit.distance >= 0.0 for hit in hits)


halves = st.integers(-26, 26).map(lambda n: n / 2.0)
places = st.builds(Position, halves, halves, st.sampled_from([0.0, 1.0, 2.0, 0.5]))
turns = st.sampled_from(TURNS)
radii = st.sampled_from([0.25, 1.0, 2.5, 5.0, 50.0])
moments = st.integers(-2, 62).map(lambda n: n / 2.0)


@st.composite
def queries(draw: st.DrawFn) -> MemoryQuery:
    rank_by = draw(st.sampled_from(['latent', 'pose']))
    region = draw(st.sampled_from(['none', 'radius', 'radius', 'box', 'box']))
    box = None
    if region == 'box':
        a, b = draw(places), draw(places)
        box = Box(Position(*map(min, a, b)), Position(*map(max, a, b)))
    window = sorted([draw(moments), draw(moments)])
    bounds = draw(st.sampled_from([(None, None), (window[0], None), (None, window[1]), window]))
    asked_about_age = draw(st.booleans())
    return MemoryQuery(
        k=draw(st.sampled_from([1, 2, 8, 150, 10_000])),
        vector=np.array(draw(st.tuples(*Z_DIM * [st.integers(-2, 2)])), np.float32),
        pose=Pose(draw(places), draw(turns)),
        radius_m=draw(radii) if region == 'radius' else None,
        box=box,
        min_age_sec=draw(st.sampled_from([0.0, 0.5, 3.0, 40.0])) if asked_about_age else 0.0,
        timestamp=draw(moments) if asked_about_age else None,
        after=bounds[0], before=bounds[1],
        session=draw(st.sampled_from([None, None, 's0', 's2', 'never'])),
        rank_by=rank_by)


@each_index
def test_every_answer_is_that_of_brute_force(make_index: Callable[[], MemoryIndex]) -> None:
    index = make_index()
    index.add(ROWS)
    answers: list[int] = []

    @settings(derandomize=True, deadline=None, database=None, max_examples=400)
    @given(queries())
    def claim(query: MemoryQuery) -> None:
        hits = index.search(query)
        require_brute_force(ROWS, query, hits)
        answers.append(len(hits))

    claim()
    assert sum(0 < count < COUNT for count in answers) > 100  # the questions are worth asking


@each_index
def test_an_index_grown_over_many_adds_is_the_same(make_index: Callable[[], MemoryIndex]) -> None:
    index, whole = make_index(), make_index()
    whole.add(ROWS)
    chance = np.random.default_rng(1)
    start = 0
    query = MemoryQuery(k=5, vector=np.zeros(Z_DIM, np.float32), pose=Pose(Position(0.0, 0.0)),
                        radius_m=6.0)
    while start < COUNT:
        end = min(COUNT, start + int(chance.choice([0, 1, 1, 7, 60])))
        index.add(part(ROWS, start, end))
        require_brute_force(part(ROWS, 0, end), query, index.search(query))
        start = end
    assert (index.count, index.last_seq, index.cell_count) == (
        COUNT, ROWS.seqs[-1], len(set(ROWS.cells)))
    everything = MemoryQuery(k=COUNT, vector=np.ones(Z_DIM, np.float32))
    assert index.search(everything) == whole.search(everything)


def part(rows: IndexRows, start: int, end: int) -> IndexRows:
    return IndexRows(rows.seqs[start:end], rows.cells[start:end], rows.vectors[start:end],
                     rows.positions[start:end], rows.orientations[start:end],
                     rows.timestamps[start:end], rows.sessions[start:end])


@each_index
def test_many_memories_of_one_place_all_stay(make_index: Callable[[], MemoryIndex]) -> None:
    index = make_index()
    n = 1000
    chance = np.random.default_rng(2)
    rows = IndexRows(np.arange(1, n + 1), n * [GRID.cell(Position(0, 0))],
                     chance.normal(size=(n, Z_DIM)).astype(np.float32), np.zeros((n, 3)),
                     np.tile(np.float32([0, 0, 0, 1]), (n, 1)), np.arange(n) / 20, n * ['s'])
    for at in range(n):
        index.add(part(rows, at, at + 1))
    query = MemoryQuery(k=n, vector=rows.vectors[5], pose=Pose(Position(0, 0)), radius_m=0.1)
    hits = index.search(query)
    assert hits[0] == Ranked(6, 0.0)
    assert {hit.seq for hit in hits} == set(range(1, n + 1))
    assert [hit.distance for hit in hits] == sorted(hit.distance for hit in hits)


@each_index
def test_of_equals_the_first_remembered_come_first_also_at_the_end_of_the_list(
        make_index: Callable[[], MemoryIndex]) -> None:
    n = 400
    chance = np.random.default_rng(3)
    positions = chance.uniform(-4, 4, (n, 3)) * [1, 1, 0]
    rows = IndexRows(np.arange(1, n + 1), [GRID.cell(Position(*p)) for p in positions.tolist()],
                     np.ones((n, Z_DIM), np.float32), positions,
                     np.tile(np.float32([0, 0, 0, 1]), (n, 1)), np.zeros(n), n * ['s'])
    index = make_index()
    index.add(rows)
    for k in (1, 8, 150):
        found = index.search(MemoryQuery(k=k, vector=np.zeros(Z_DIM, np.float32),
                                         pose=Pose(Position(0, 0)), radius_m=9.0))
        assert [hit.seq for hit in found] == list(range(1, k + 1))


@each_index
def test_the_least_age_counts_before_and_after_and_is_itself_old_enough(
        make_index: Callable[[], MemoryIndex]) -> None:
    n = 5
    rows = IndexRows(np.arange(1, n + 1), n * [GRID.cell(Position(0, 0))],
                     np.zeros((n, Z_DIM), np.float32), np.zeros((n, 3)),
                     np.tile(np.float32([0, 0, 0, 1]), (n, 1)),
                     np.array([5.0, 5.5, 10.0, 14.5, 15.0]), n * ['s'])
    index = make_index()
    index.add(rows)
    found = index.search(MemoryQuery(vector=np.zeros(Z_DIM, np.float32), min_age_sec=5.0,
                                     timestamp=10.0))
    assert [hit.seq for hit in found] == [1, 5]


@each_index
def test_an_empty_index_finds_nothing(make_index: Callable[[], MemoryIndex]) -> None:
    index = make_index()
    index.add(part(ROWS, 0, 0))
    query = MemoryQuery(vector=np.zeros(Z_DIM, np.float32), pose=Pose(Position(0, 0)),
                        radius_m=5.0)
    assert index.search(query) == []
    assert (index.count, index.last_seq, index.cell_count) == (0, 0, 0)


@each_index
def test_a_pose_is_no_distance_from_itself(make_index: Callable[[], MemoryIndex]) -> None:
    index = make_index()
    q = Pose(Position(1.0, 2.0, 0.0), Quaternion(0.1, 0.3, -0.5, 0.8)).orientation
    pose = Pose(Position(1.0, 2.0, 0.0), q)
    index.add(IndexRows(
        np.array([1]), [GRID.cell(pose.position)], np.zeros((1, Z_DIM), np.float32),
        np.array([pose.position]), np.array([q], np.float32), np.zeros(1), ['s']))
    turned = Pose(pose.position, Quaternion(*(-v for v in q)))
    for same in (pose, turned):
        [hit] = index.search(MemoryQuery(pose=same, rank_by='pose', radius_m=1.0))
        assert 0.0 <= hit.distance < 1e-5


@each_index
def test_a_question_of_doubles_is_answered_like_one_of_floats(
        make_index: Callable[[], MemoryIndex]) -> None:
    index = make_index()
    index.add(ROWS)
    as_floats = MemoryQuery(vector=np.ones(Z_DIM, np.float32))
    as_doubles = MemoryQuery(vector=np.ones(2 * Z_DIM)[::2])  # type: ignore[arg-type]
    assert index.search(as_doubles) == index.search(as_floats)
