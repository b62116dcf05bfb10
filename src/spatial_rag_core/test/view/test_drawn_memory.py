"""Points and hexagons of a memory: what is drawn, and what is told to have changed."""

from __future__ import annotations

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.overview import layout
from spatial_rag_core.memory.overview.layout import remembered_ages
from spatial_rag_core.records import MemoryQuery, Pose, Position
from spatial_rag_core.view import cell_hexagons
from spatial_rag_core.view.cell_hexagons import HEXAGONS_IN_CHUNK
from spatial_rag_core.view.drawn_memory import DrawnMemory
from spatial_rag_core.view.memory_points import POINTS_IN_CHUNK
from spatial_rag_core.view.palette import AGE_COLORS, blended, COUNT_COLORS, SHADES, shades_of

import numpy as np
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


def test_a_cell_that_is_none_is_reckoned_from_the_place() -> None:
    given = rows(line(10))
    given.cells[:5] = 0
    memory = DrawnMemory(SPEC)
    memory.add(given)
    assert memory.cell_count == len(np.unique(rows(line(10)).cells))


def test_a_drawing_is_not_asked() -> None:
    with pytest.raises(IndexUnavailableError, match='ask the retriever'):
        drawn(1).search(MemoryQuery(k=1, pose=Pose(Position(0, 0)), rank_by='pose'))


def test_a_hundred_thousand_memories_have_few_hexagons_and_chunks() -> None:
    memory = drawn(100_000)
    assert memory.points.chunk_count == 200
    assert memory.cell_count <= layout.MAX_HEXAGONS
