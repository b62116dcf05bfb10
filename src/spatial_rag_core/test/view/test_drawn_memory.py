"""Points and hexagons of a memory: what is drawn, and what is told to have changed."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
import time

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.forgetting.capacity import CapacityKeeper
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.overview import layout
from spatial_rag_core.memory.overview.layout import remembered_ages
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, MemoryQuery, Pose, Position
from spatial_rag_core.view import cell_hexagons
from spatial_rag_core.view.cell_hexagons import Hexagon, HEXAGONS_IN_CHUNK
from spatial_rag_core.view.drawn_memory import DrawnMemory
from spatial_rag_core.view.memory_points import POINTS_IN_CHUNK
from spatial_rag_core.view.palette import AGE_COLORS, blended, COUNT_COLORS, SHADES, shades_of

import numpy as np
from numpy.typing import NDArray
import pytest

from .drawn import line, rows, SPEC


def drawn(n: int, **places: float) -> DrawnMemory:
    memory = DrawnMemory(SPEC)
    memory.add(rows(line(n, **places)))
    return memory


def test_every_memory_is_a_point_coloured_by_its_age() -> None:
    memory = drawn(1200)
    assert memory.points.take_changed() == {0, 1, 2}
    positions, colors = memory.all_points()
    assert np.array_equal(positions, line(1200))
    ages = remembered_ages(memory.points.timestamps)
    assert np.array_equal(colors, blended(AGE_COLORS, shades_of(ages)))
    assert len(memory.points.chunk(2)[0]) == 1200 - 2 * POINTS_IN_CHUNK


def test_a_new_memory_changes_the_last_chunk_alone() -> None:
    memory = drawn(5 * POINTS_IN_CHUNK)
    memory.settle()
    memory.add(rows(line(1), first_seq=10_000))
    assert memory.points.take_changed() == {5}
    assert memory.hexagons.take_changed() == set()
    assert memory.points.take_changed() == set()


def test_chunks_are_told_again_as_they_age_but_seldom() -> None:
    """While a memory grows by a tenth each of its chunks is told a few times, not at each step."""
    memory = drawn(100_000)
    memory.settle()
    told = 0
    for new in range(20):
        memory.add(rows(line(POINTS_IN_CHUNK), first_seq=200_001 + new * POINTS_IN_CHUNK))
        told += len(memory.points.take_changed() - {200 + new})
    assert 0 < told < 200 * 20 / 8
    ages = remembered_ages(memory.points.timestamps)
    _, colors = memory.all_points()
    expected = blended(AGE_COLORS, shades_of(ages))
    assert np.abs(colors - expected).max() < 2.5 * np.abs(np.diff(expected, axis=0)).max()


def test_the_forgotten_are_drawn_no_more_and_unknown_numbers_are_passed_over() -> None:
    memory = drawn(2 * POINTS_IN_CHUNK)
    memory.settle()
    memory.remove(np.array([1, 2, 3, 3_000_000]))
    memory.remove(np.array([2]))
    assert memory.points.take_changed() == {0}
    assert memory.count == 2 * POINTS_IN_CHUNK - 3
    assert memory.hexagons.counts.sum() == memory.count
    memory.remove(np.arange(1, 2 * POINTS_IN_CHUNK + 1))
    memory.settle()
    assert memory.all_hexagons() == []
    assert len(memory.all_points()[0]) == 0


class Screen:
    """What somebody sees who gets each chunk that changed."""

    def __init__(self, memory: DrawnMemory) -> None:
        self._memory = memory
        self._points: dict[int, NDArray[np.float64]] = {}
        self._hexagons: dict[int, list[Hexagon]] = {}

    def follow(self) -> None:
        points, hexagons = self._memory.points, self._memory.hexagons
        self._points.update((n, points.chunk(n)[0]) for n in points.take_changed())
        self._hexagons.update((n, hexagons.chunk(n)) for n in hexagons.take_changed())

    def points(self) -> set[tuple[float, ...]]:
        found = [tuple(point) for chunk in self._points.values() for point in chunk.tolist()]
        assert len(found) == len(set(found)), 'none twice'
        return set(found)

    def centres(self) -> set[tuple[float, ...]]:
        found = [tuple(corners.mean(axis=0)[:2].round(6)) for chunk in self._hexagons.values()
                 for corners, _ in chunk]
        assert len(found) == len(set(found)), 'none twice'
        return set(found)


def test_memories_that_come_and_go_leave_nothing_behind() -> None:
    """1000 are kept of 50 000, as by a capacity: the robot drives on, others go here and there."""
    memory, chance = DrawnMemory(SPEC), np.random.default_rng(0)
    screen, kept = Screen(memory), np.empty((0, 4))
    for first in range(1, 50_000, 500):
        places = line(500) + np.array([first / 10, 0.0, 0.0])
        memory.add(rows(places, first_seq=first))
        kept = np.vstack([kept, np.column_stack([np.arange(first, first + 500), places])])
        chance.shuffle(kept)
        memory.remove(kept[1000:, 0].astype(np.int64))
        kept = kept[:1000]
        screen.follow()
        assert memory.points.chunk_count <= 2 * 1000 / POINTS_IN_CHUNK
        assert memory.hexagons.chunk_count <= 5
    assert screen.points() == {tuple(place) for place in kept[:, 1:].tolist()}
    alone = DrawnMemory(SPEC)
    alone.add(rows(kept[:, 1:]))
    fresh = Screen(alone)
    fresh.follow()
    assert screen.centres() == fresh.centres()
    assert memory.cell_count == alone.cell_count == len(fresh.centres())


def test_a_memory_that_was_forgotten_as_a_whole_takes_no_chunk() -> None:
    memory = drawn(3000)
    screen = Screen(memory)
    screen.follow()
    memory.remove(np.arange(1, 3001))
    assert memory.points.chunk_count == 0
    screen.follow()
    assert screen.points() == screen.centres() == set()
    memory.add(rows(line(3), first_seq=5000))
    screen.follow()
    assert len(screen.points()) == 3


def test_a_file_that_is_kept_within_a_capacity_is_drawn_in_few_chunks(tmp_path: Path) -> None:
    path, made = tmp_path / 'memory.db', []
    cells = [f'{cell:x}' for cell in rows(line(400)).cells.tolist()]

    def make(spec: JournalSpec) -> DrawnMemory:
        made.append(DrawnMemory(spec))
        return made[-1]

    with (closing(Retriever(path, make)) as retriever,
          closing(Committer(lambda: Journal.open_writer(path, SPEC))) as writer,
          closing(CapacityKeeper(writer, 600)) as keeper):
        for n in range(0, 4000, 400):
            writer.submit([Memory(f'{n + x}', as_latent([n, x]), Pose(Position(x / 10, 0.0)),
                                  cells[x], 1.8e9 + n + x, 'model') for x in range(400)])
            assert writer.flush(60.0)
            retriever.refresh()
        end = time.monotonic() + 60.0
        while not writer.count <= 600 or keeper.thinned != 4000 - writer.count:
            assert time.monotonic() < end, (writer.count, keeper.thinned)
            time.sleep(0.01)
        retriever.refresh()
        assert made[-1].count == writer.count
        assert made[-1].points.chunk_count <= -(-2 * 600 // POINTS_IN_CHUNK)


def test_hexagons_lie_around_and_beneath_their_memories() -> None:
    memory = drawn(400, z=1.27)
    memory.settle()
    hexagons = memory.all_hexagons()
    assert len(hexagons) == memory.cell_count == len(np.unique(rows(line(400)).cells))
    for corners, _ in hexagons:
        assert corners.shape == (6, 3)
        assert corners[:, 2].tolist() == pytest.approx([1.18] * 6)
        centre = corners[:, :2].mean(axis=0)
        reach = np.linalg.norm(corners[:, :2] - centre, axis=1)
        assert np.abs(line(400)[:, :2] - centre).min() < reach.max()
        area = np.cross(corners[1] - corners[0], corners[2] - corners[1])[2]
        assert area > 0.0


def test_the_fullest_cell_has_the_strongest_colour() -> None:
    memory = DrawnMemory(SPEC)
    memory.add(rows(line(30, step_m=10.0)))
    memory.add(rows(np.zeros((500, 3)), first_seq=100))
    memory.settle()
    colors = np.array([color for _, color in memory.all_hexagons()])
    strongest, palest = blended(COUNT_COLORS, np.array([SHADES - 1, 0], np.uint8))
    assert (colors == strongest).all(axis=1).sum() == 1
    assert (colors == palest).all(axis=1).sum() == len(colors) - 1


def test_too_many_cells_become_fewer_and_larger_and_the_old_ones_vanish(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_hexagons, 'MAX_HEXAGONS', 250)
    memory = drawn(200, step_m=7.0)
    memory.settle()
    assert memory.hexagons.resolution == 13
    memory.add(rows(line(300, step_m=7.0) + np.array([0, 50, 0]), first_seq=1000))
    assert memory.hexagons.resolution < 13
    assert memory.hexagons.counts.sum() == 500
    assert memory.hexagons.take_changed() >= {0, 1, 2}
    assert all(len(memory.hexagons.chunk(number)) <= HEXAGONS_IN_CHUNK
               for number in range(memory.hexagons.chunk_count))
    assert sum(len(memory.hexagons.chunk(number)) for number in range(3)) == memory.cell_count


def test_cells_that_were_left_behind_give_way_to_new_ones(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_hexagons, 'MAX_HEXAGONS', 250)
    memory = DrawnMemory(SPEC)
    for n in range(20):
        memory.remove(np.arange(200 * (n - 1), 200 * n))
        memory.add(rows(line(200, step_m=7.0) + np.array([1400.0 * n, 0, 0]), first_seq=200 * n))
        assert memory.cell_count == 200
        assert memory.hexagons.chunk_count == 2
    assert memory.hexagons.resolution == 13


def test_a_cell_that_is_none_is_reckoned_from_the_place() -> None:
    given = rows(line(10))
    given.cells[:5] = 0
    memory = DrawnMemory(SPEC)
    memory.add(given)
    assert memory.cell_count == len(np.unique(rows(line(10)).cells))
    memory.remove(np.arange(1, 11))
    assert memory.cell_count == 0


def test_a_drawing_is_not_asked() -> None:
    with pytest.raises(IndexUnavailableError, match='ask the retriever'):
        drawn(1).search(MemoryQuery(k=1, pose=Pose(Position(0, 0)), rank_by='pose'))


def test_a_hundred_thousand_memories_have_few_hexagons_and_chunks() -> None:
    memory = drawn(100_000)
    assert memory.points.chunk_count == 200
    assert memory.cell_count <= layout.MAX_HEXAGONS
