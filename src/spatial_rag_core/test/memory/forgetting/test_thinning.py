from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
import math
from pathlib import Path

from spatial_rag_core.memory.forgetting import redundancy
from spatial_rag_core.memory.forgetting.thinning import redundant_seqs
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import h3
import numpy as np
import pytest

SPEC = JournalSpec(z_dim=3, h3_resolution=15)
GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)
EDGE_M = h3.average_hexagon_edge_length(15, 'm')


def moment(number: int, z: Sequence[float], x: float = 0.0, y: float = 0.0,
           heading_deg: float = 0.0, **fields: object) -> Memory:
    half = math.radians(heading_deg) / 2
    pose = Pose(Position(x, y), Quaternion(0.0, 0.0, math.sin(half), math.cos(half)))
    given = {'timestamp': 1e9 + number, 'h3_cell': GRID.cell(pose.position), **fields}
    return Memory(f'id-{number}', as_latent(z), pose, model_id='m', **given)  # type: ignore[arg-type]


def walk(count: int, seed: int = 0) -> list[Memory]:
    """A robot that wanders; what it sees depends on where it is and whither it looks."""
    random = np.random.default_rng(seed)
    steps = random.normal(0, 0.15, (count, 2)).cumsum(axis=0)
    headings = random.normal(0, 15, count).cumsum()
    views = np.stack([np.sin(steps[:, 0]), np.cos(steps[:, 1]), np.sin(np.radians(headings))], 1)
    views += random.normal(0, 0.02, views.shape)
    return [moment(number, views[number], *steps[number], headings[number])
            for number in range(count)]


def journal_of(folder: Path, memories: Sequence[Memory]) -> Journal:
    journal = Journal.open_writer(folder / 'memory.db', SPEC)
    journal.append(memories)
    return journal


def victims(folder: Path, memories: Sequence[Memory], excess: int) -> list[int]:
    """Indices of the memories to forget, in order."""
    with journal_of(folder, memories) as journal:
        return [seq - 1 for seq in redundant_seqs(journal, excess).tolist()]


def brute_force(memories: Sequence[Memory], excess: int) -> list[int]:
    """The rule, word by word."""
    latents = np.array([memory.vector for memory in memories], np.float64)
    mean_square = np.square(latents[:, None] - latents).sum(axis=2).mean()

    def unlikeness(a: Memory, b: Memory) -> float:
        half = abs(sum(p * q for p, q in zip(a.orientation, b.orientation, strict=True)))
        angle = 2 * math.acos(min(1.0, half))
        return (float(np.square(np.float64(a.vector) - b.vector).sum()) / mean_square
                + (math.dist(a.position, b.position) / EDGE_M) ** 2 + (1 - math.cos(angle))
                + (1e6 if math.degrees(angle) > 45 else 0))

    left, gone = dict(enumerate(memories)), []
    while len(gone) < excess:
        choices = []
        for i, a in left.items():
            for j, b in left.items():
                if i == j or (a.h3_cell, a.map_id) != (b.h3_cell, b.map_id):
                    continue
                if (bool(a.labels), a.timestamp) < (bool(b.labels), b.timestamp):
                    choices.append((bool(a.labels), unlikeness(a, b), i))
        if not choices:
            break
        gone.append(min(choices)[-1])
        del left[gone[-1]]
    return gone


@pytest.mark.parametrize('seed', range(6))
def test_it_chooses_what_brute_force_chooses(tmp_path: Path, seed: int) -> None:
    memories = walk(60, seed)
    expected = brute_force(memories, 60)
    assert 20 < len(expected) < 60  # each cell keeps one
    assert victims(tmp_path, memories, 60) == expected


@pytest.mark.parametrize('excess', [12, 30, 40])
@pytest.mark.parametrize('seed', range(4))
def test_also_with_labels_maps_and_clocks_that_were_set(
        tmp_path: Path, seed: int, excess: int) -> None:
    random = np.random.default_rng(seed)
    times = 1e9 + random.permutation(40)
    memories = [
        moment(number, random.normal(size=3), *random.uniform(0, 0.5, 2), random.uniform(0, 90),
               labels=('door',) if random.random() < 0.3 else (),
               map_id=str(random.integers(2)), timestamp=float(times[number]))
        for number in range(40)]
    expected = brute_force(memories, excess)
    assert victims(tmp_path, memories, excess) == expected
    labelled = [bool(memories[i].labels) for i in expected]
    assert labelled == sorted(labelled)


@pytest.mark.parametrize('excess', [1, 5, 17])
def test_fewer_are_the_first_of_more(tmp_path: Path, excess: int) -> None:
    with journal_of(tmp_path, walk(200)) as journal:
        all_of_them = redundant_seqs(journal, 200)
        assert redundant_seqs(journal, excess).tolist() == all_of_them[:excess].tolist()


def test_twins_go_first_and_of_two_the_older_goes(tmp_path: Path) -> None:
    memories = walk(50)
    twins = [moment(50 + index, memories[index].vector, *memories[index].position[:2],
                    orientation_deg(memories[index])) for index in (3, 30, 7)]
    assert sorted(victims(tmp_path, memories + twins, 3)) == [3, 7, 30]


def orientation_deg(memory: Memory) -> float:
    return math.degrees(2 * math.atan2(memory.orientation.z, memory.orientation.w))


def test_of_a_thousand_twins_the_newest_is_left(tmp_path: Path) -> None:
    memories = [moment(number, (1.0, 2.0, 3.0)) for number in range(1000)]
    assert sorted(victims(tmp_path, memories, 2000)) == list(range(999))


def test_no_cell_of_any_map_vanishes(tmp_path: Path) -> None:
    memories = [moment(number, *zip_of(memory), map_id=str(number % 3))
                for number, memory in enumerate(walk(300))]
    gone = set(victims(tmp_path, memories, 300))
    places = Counter((memory.h3_cell, memory.map_id) for memory in memories)
    left = Counter((memory.h3_cell, memory.map_id)
                   for number, memory in enumerate(memories) if number not in gone)
    assert left == Counter(places.keys())


def zip_of(memory: Memory) -> tuple[list[float], float, float, float]:
    return (memory.vector.tolist(), memory.position.x, memory.position.y,
            orientation_deg(memory))


def test_a_label_outlives_all_that_has_none(tmp_path: Path) -> None:
    memories = [moment(number, (number, 0, 0), labels=('door',) * (number in (0, 3)))
                for number in range(6)]
    order = victims(tmp_path, memories, 10)
    assert set(order[:4]) == {1, 2, 4, 5}
    assert order[4:] == [0]  # at last the older of the two


def test_views_to_different_sides_are_not_redundant_however_alike_they_are(
        tmp_path: Path) -> None:
    memories = [moment(0, (0, 0, 0)), moment(1, (0, 0, 0), heading_deg=90),
                moment(2, (5, 0, 0), x=0.1, heading_deg=10)]
    assert victims(tmp_path, memories, 1) == [0]  # by the unlike one that looks the same way


@pytest.mark.parametrize('unit', [1e-6, 1e4])
def test_the_unit_of_latents_does_not_matter(tmp_path: Path, unit: float) -> None:
    memories = walk(100)
    scaled = [moment(number, memory.vector * unit, *zip_of(memory)[1:])
              for number, memory in enumerate(memories)]
    (tmp_path / 'scaled').mkdir()
    assert victims(tmp_path, memories, 60) == victims(tmp_path / 'scaled', scaled, 60)


def test_where_all_latents_are_equal_poses_decide(tmp_path: Path) -> None:
    memories = [moment(number, (1, 1, 1), x=x) for number, x in enumerate((0.0, 0.1, 0.3, 0.32))]
    assert victims(tmp_path, memories, 1) == [2]


def test_a_large_place_is_divided_and_twins_still_go_first(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    memories = [moment(number, random.normal(size=3), *random.uniform(0, 0.2, 2))
                for number in range(1500)]
    twins = [moment(1500 + number, *zip_of(memories[number])) for number in range(1500)]
    assert sorted(victims(tmp_path, memories + twins, 1500)) == list(range(1500))


def test_the_parts_of_a_large_place_hold_each_memory_once() -> None:
    points = np.random.default_rng(0).normal(size=(1000, 5)).astype(np.float32)
    parts = redundancy.divided(points, most=100)
    assert max(map(len, parts)) <= 100
    assert sorted(np.concatenate(parts).tolist()) == list(range(1000))
    twins = np.ones((1000, 5), np.float32)
    assert max(map(len, redundancy.divided(twins, most=100))) <= 100


def test_the_same_memory_gives_the_same_answer(tmp_path: Path) -> None:
    with journal_of(tmp_path, walk(2000)) as journal:
        first, second = (redundant_seqs(journal, 500).tolist() for _ in range(2))
        assert first == second
        assert len(first) == len(set(first)) == 500


@pytest.mark.parametrize('excess', [0, -5])
def test_where_there_are_not_too_many_none_goes(tmp_path: Path, excess: int) -> None:
    assert victims(tmp_path, walk(10), excess) == []


def test_an_empty_memory_has_none_to_forget(tmp_path: Path) -> None:
    assert victims(tmp_path, [], 5) == []


def test_it_can_be_broken_off(tmp_path: Path) -> None:
    with journal_of(tmp_path, walk(100)) as journal:
        assert redundant_seqs(journal, 50, is_cancelled=lambda: True).tolist() == []


def test_a_drive_keeps_its_memories_evenly(tmp_path: Path) -> None:
    """A straight line, sampled ten times as densely in its first half."""
    xs = [0.01 * step for step in range(500)] + [5 + 0.1 * step for step in range(50)]
    memories = [moment(number, (0, 0, 0), x=x) for number, x in enumerate(xs)]
    gone = set(victims(tmp_path, memories, 450))
    left = [x for number, x in enumerate(xs) if number not in gone]
    gaps = [b - a for a, b in pairwise(left)]
    assert sum(x < 5 for x in left) == pytest.approx(50, abs=12)
    assert max(gaps) < 0.3
