"""The contract of every index: what twenty lines of brute-force NumPy say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
import dataclasses
import math

from spatial_rag_core.memory.index import Context, IndexRows, MemoryIndex, Ranked
from spatial_rag_core.records import Box, MemoryQuery, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import Datum, LocalFrame

import h3
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray

Z_DIM = 4
GRID = H3Grid(LocalFrame(Datum(48.0, 9.0, 30.0)), 14)
TURNS = [Quaternion(0, 0, 0, 1), Quaternion(0, 0, 1, 0), Quaternion(0.5, 0.5, 0.5, 0.5),
         Quaternion(-0.5, 0.5, -0.5, 0.5)]  # exact in binary
CONTEXTS: Mapping[int, Context] = {
    3: Context('s0', 'r0', 'm0'), 4: Context('s0', 'r0', 'm0', ('door',)),
    9: Context('s1', 'r0', 'm1', ('door', 'loop')), 7: Context('s2', 'r1', 'm0', ('loop',)),
    1: Context()}
TOLERANCE = 1e-5  # of a distance: indexes may reckon in single precision
SAME = 1e-9  # distances closer than this are equal

MakeIndex = Callable[[], MemoryIndex]


def cells_of(positions: NDArray[np.float64]) -> NDArray[np.uint64]:
    return np.array([h3.str_to_int(GRID.cell(Position(*position)))
                     for position in positions.tolist()], np.uint64)


def some_rows(count: int, seed: int = 0, first_seq: int = 1) -> IndexRows:
    """Latents, places and times of few different values, so that there are many ties."""
    chance = np.random.default_rng(seed)
    positions = np.stack([*chance.integers(-24, 25, (2, count)) / 2.0,
                          chance.integers(0, 3, count) * 1.0], axis=1)
    return IndexRows(
        seqs=first_seq - 1 + np.cumsum(chance.integers(1, 4, count)),
        cells=cells_of(positions),
        vectors=chance.integers(-2, 3, (count, Z_DIM)).astype(np.float32),
        positions=positions,
        orientations=np.float32(TURNS)[chance.integers(0, len(TURNS), count)],
        timestamps=chance.integers(0, 60, count) / 2.0,
        contexts=chance.choice(list(CONTEXTS), count).astype(np.int32), context_table=CONTEXTS)


def scattered_rows(count: int, seed: int = 0) -> IndexRows:
    """As some_rows, with latents, places and turns of any value."""
    chance = np.random.default_rng(seed)
    positions = chance.uniform((-12, -12, 0), (12, 12, 2), (count, 3))
    turns = chance.normal(size=(count, 4))
    return dataclasses.replace(
        some_rows(count, seed), cells=cells_of(positions), positions=positions,
        vectors=chance.normal(size=(count, Z_DIM)).astype(np.float32),
        orientations=np.float32(turns / np.linalg.norm(turns, axis=1, keepdims=True)))


def part(rows: IndexRows, chosen: slice | NDArray[np.bool_]) -> IndexRows:
    return IndexRows(rows.seqs[chosen], rows.cells[chosen], rows.vectors[chosen],
                     rows.positions[chosen], rows.orientations[chosen], rows.timestamps[chosen],
                     rows.contexts[chosen], rows.context_table)


def joined(first: IndexRows, second: IndexRows) -> IndexRows:
    names = [field.name for field in dataclasses.fields(IndexRows)][:-1]
    return IndexRows(*(np.concatenate([getattr(first, name), getattr(second, name)])
                       for name in names), {**first.context_table, **second.context_table})


def brute_force(rows: IndexRows,
                query: MemoryQuery) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """All sequence numbers that the query admits, in order, and their distances."""
    meets = {key: context.meets(query) for key, context in rows.context_table.items()}
    keep = np.array([meets[key] for key in rows.contexts.tolist()], bool)
    offset = rows.positions - (query.pose or Pose(Position(0, 0))).position
    apart = np.sqrt((offset ** 2).sum(1))
    keep &= apart <= (math.inf if query.radius_m is None else query.radius_m)
    keep &= np.abs(offset[:, 2]) <= (math.inf if query.max_dz_m is None else query.max_dz_m)
    if query.box is not None:
        keep &= ((rows.positions >= query.box.low) & (rows.positions <= query.box.high)).all(1)
    if query.timestamp is not None:
        keep &= np.abs(rows.timestamps - query.timestamp) >= query.min_age_sec
    keep &= rows.timestamps >= (-math.inf if query.after is None else query.after)
    keep &= rows.timestamps <= (math.inf if query.before is None else query.before)
    distances = _pose_distances(rows, apart, query) if query.rank_by == 'pose' else (
        _latent_distances(rows.vectors.astype(float), query))
    order = np.lexsort((rows.seqs, np.round(distances / SAME)))
    order = order[keep[order]]
    return rows.seqs[order], distances[order]


def _latent_distances(vectors: NDArray[np.float64], query: MemoryQuery) -> NDArray[np.float64]:
    z = np.asarray(query.vector, float)
    if query.metric == 'l2':
        return np.sqrt(((vectors - z) ** 2).sum(1))
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(z)
    return 1 - vectors @ z / np.where(lengths > 0, lengths, math.inf)


def _pose_distances(rows: IndexRows, apart: NDArray[np.float64],
                    query: MemoryQuery) -> NDArray[np.float64]:
    assert query.pose is not None
    turns = rows.orientations.astype(float)
    half = np.arccos(np.minimum(np.abs(turns @ query.pose.orientation), 1.0))
    return apart ** 2 + 3 * (1 - np.cos(2 * half))


def require_brute_force(rows: IndexRows, query: MemoryQuery, hits: list[Ranked]) -> None:
    """The same memories in the same order; what lies closer than TOLERANCE may change places."""
    seqs, distances = brute_force(rows, query)
    found = [hit.seq for hit in hits]
    assert len(found) == len(set(found)) == min(query.k, len(seqs))
    told = np.array([hit.distance for hit in hits])
    np.testing.assert_allclose(told, distances[:query.k], rtol=TOLERANCE, atol=TOLERANCE)
    assert (told >= 0.0).all()
    gaps = np.diff(distances[:query.k + 1])
    if not ((gaps > SAME) & (gaps < 2 * TOLERANCE)).any():
        assert found == seqs[:query.k].tolist()
    true_distance = dict(zip(seqs.tolist(), distances.tolist(), strict=True))
    np.testing.assert_allclose(told, [true_distance[seq] for seq in found], rtol=TOLERANCE,
                               atol=TOLERANCE)


halves = st.integers(-26, 26).map(lambda n: n / 2.0)
places = st.builds(Position, halves, halves, st.sampled_from([0.0, 1.0, 2.0, 0.5]))
poses = st.builds(Pose, places, st.sampled_from(TURNS))
radii = st.sampled_from([0.25, 2.5, 2.5, 5.0, 50.0])
moments = st.integers(-2, 62).map(lambda n: n / 2.0)
latents = st.tuples(*Z_DIM * [st.integers(-2, 2)]).map(lambda z: np.array(z, np.float32))


@st.composite
def boxes(draw: st.DrawFn) -> Box:
    a, b = draw(places), draw(places)
    return Box(Position(*map(min, a, b)), Position(*map(max, a, b)))


@st.composite
def queries(draw: st.DrawFn) -> MemoryQuery:
    """Any legal query over the values of some_rows."""
    rank_by = draw(st.sampled_from(['latent', 'latent', 'pose']))
    region = draw(st.sampled_from(['none', 'radius', 'radius', 'box', 'box']))
    pose = draw(poses if rank_by == 'pose' or region == 'radius' else st.none() | poses)
    window = sorted([draw(moments), draw(moments)])
    after, before = draw(st.sampled_from(
        [(None, None), (None, None), (window[0], None), (None, window[1]), tuple(window)]))
    asked_about_age = draw(st.booleans())
    return MemoryQuery(
        k=draw(st.sampled_from([1, 2, 8, 150, 10_000])),
        vector=draw(latents) if rank_by == 'latent' else draw(st.none() | latents),
        pose=pose, radius_m=draw(radii) if region == 'radius' else None,
        box=draw(boxes()) if region == 'box' else None,
        max_dz_m=None if pose is None else draw(st.sampled_from([None, None, 0.0, 0.5, 1.0])),
        min_age_sec=draw(st.sampled_from([0.0, 0.5, 3.0, 40.0])) if asked_about_age else 0.0,
        timestamp=draw(moments) if asked_about_age else None, after=after, before=before,
        session=draw(st.sampled_from([*6 * [None], 's0', 's2', '', 'never'])),
        robot=draw(st.sampled_from([*6 * [None], 'r0', 'r1'])),
        map_id=draw(st.sampled_from([*6 * [None], 'm0', 'm1'])),
        labels=draw(st.sampled_from([*7 * [()], ('door',), ('loop', 'door'), ('lost',)])),
        rank_by=rank_by, metric=draw(st.sampled_from(['l2', 'l2', 'cosine'])))


def check_random_queries(index: MemoryIndex, rows: IndexRows, examples: int) -> None:
    """Each answer of an index that holds these rows is that of brute force."""
    answers: list[int] = []

    @settings(derandomize=True, deadline=None, database=None, max_examples=examples)
    @given(queries())
    def claim(query: MemoryQuery) -> None:
        hits = index.search(query)
        require_brute_force(rows, query, hits)
        answers.append(len(hits))

    claim()
    worth_asking = sum(0 < count < len(rows.seqs) for count in answers)
    assert worth_asking > examples / 5


def check_changes(index: MemoryIndex, steps: int, seed: int = 0) -> None:
    """An empty index that memories come to, leave, and get other labels in stays right."""
    chance = np.random.default_rng(seed)
    held = part(some_rows(1), slice(0, 0))
    last_seq = 0
    for step in range(steps):
        change = chance.choice(['add', 'add', 'remove', 'relabel'])
        if change == 'add':
            new = some_rows(int(chance.choice([0, 1, 1, 7, 60])), seed + step, last_seq + 1)
            index.add(new)
            held = joined(held, new)
            last_seq = max(last_seq, *new.seqs.tolist(), 0)
        elif change == 'remove':
            gone = chance.random(len(held.seqs)) < chance.choice([0.01, 0.3, 0.9])
            index.remove(np.append(held.seqs[gone], last_seq + 1000))
            held = part(held, ~gone)
        else:
            held = _relabelled(index, held, last_seq, chance)
        assert (index.count, index.last_seq) == (len(held.seqs), last_seq)
        assert index.cell_count == len(set(held.cells.tolist()))
        for query in some_queries(3, chance):
            require_brute_force(held, query, index.search(query))


def _relabelled(index: MemoryIndex, held: IndexRows, last_seq: int,
                chance: np.random.Generator) -> IndexRows:
    """Give a third of the memories other contexts, one that is new among them."""
    table = {**CONTEXTS, 100 + last_seq: Context('s0', 'r0', 'm0', ('door', f'new {last_seq}'))}
    chosen = chance.random(len(held.seqs)) < 0.3
    contexts = np.where(chosen, chance.choice(list(table), len(held.seqs)), held.contexts)
    held = dataclasses.replace(held, contexts=contexts.astype(np.int32),
                               context_table={**held.context_table, **table})
    unknown = dataclasses.replace(some_rows(1), seqs=np.array([last_seq + 500]))
    index.relabel(joined(part(held, chosen), unknown))
    return held


def some_queries(count: int, chance: np.random.Generator) -> list[MemoryQuery]:
    """Everything that is held, and questions with a region or words in them."""
    asked = []
    for _ in range(count):
        kind = chance.integers(0, 4)
        asked.append(MemoryQuery(
            k=int(chance.choice([1, 8, 10_000])),
            vector=chance.integers(-2, 3, Z_DIM).astype(np.float32),
            pose=Pose(Position(*chance.integers(-12, 13, 2).tolist())),
            radius_m=float(chance.choice([2.5, 7.0])) if kind == 1 else None,
            box=Box(Position(-6, -9, 0), Position(8, 3, 1)) if kind == 2 else None,
            session='s0' if kind == 3 else None, labels=('door',) if kind == 3 else ()))
    return asked
