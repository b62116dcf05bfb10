from __future__ import annotations

from spatial_rag_core.memory.cells.arena import Arena, PAGE_ROWS
from spatial_rag_core.memory.cells.directory import CellDirectory
from spatial_rag_core.memory.cells.row_filter import bounds_around

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pytest

from ..index_contract import cells_of, GRID

reproducibly = settings(derandomize=True, deadline=None, database=None, max_examples=100)


def placed(positions: np.ndarray, cells: np.ndarray | None = None,
           batches: int = 5) -> tuple[CellDirectory, Arena, np.ndarray]:
    directory, arena = CellDirectory(GRID.resolution), Arena(2)
    cells = cells_of(positions) if cells is None else cells
    rows = [directory.place(some, places, arena) for some, places in zip(
        np.array_split(cells, batches), np.array_split(positions, batches), strict=True)]
    return directory, arena, np.concatenate(rows)


def scattered(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform((-30, -30, 0), (30, 30, 3), (count, 3))


def test_each_memory_gets_a_row_of_its_own_on_a_page_of_its_cell() -> None:
    positions = scattered(2000)
    directory, arena, rows = placed(positions)
    assert len(set(rows.tolist())) == 2000
    assert rows.max() < arena.size
    assert (directory.cells_of(rows) == cells_of(positions)).all()
    assert directory.cell_count == len(set(cells_of(positions).tolist()))
    assert arena.size < 2000 + PAGE_ROWS * directory.cell_count


@pytest.mark.parametrize('kind', [
    'true cells', 'one cell for all', 'no cells of H3', 'many cells of another resolution'])
def test_no_page_of_a_region_is_missed_whatever_the_cells_are(kind: str) -> None:
    positions = scattered(800)
    cells = {'true cells': cells_of(positions),
             'one cell for all': np.full(800, cells_of(positions[:1])[0]),
             'no cells of H3': np.random.default_rng(1).integers(0, 2 ** 63, 800, np.uint64),
             'many cells of another resolution': np.random.default_rng(1).integers(
                 0, 256, 800, np.uint64)}[kind]
    directory, _, rows = placed(positions, cells)
    assert len(set(rows.tolist())) == 800

    @reproducibly
    @given(st.tuples(st.floats(-40, 40), st.floats(-40, 40), st.floats(-1, 4)),
           st.floats(0.0, 50.0))
    def claim(center: tuple[float, float, float], reach: float) -> None:
        inside = (np.abs(positions - center) <= reach).all(axis=1)
        pages = directory.pages_within(bounds_around(center, reach))
        assert set((rows[inside] // PAGE_ROWS).tolist()) <= set(pages.tolist())
        assert len(pages) == len(set(pages.tolist()))

    claim()


def test_few_pages_outside_of_a_region_are_looked_at() -> None:
    directory, _, rows = placed(scattered(20_000))
    pages = directory.pages_within(bounds_around((0.0, 0.0, 1.5), 5.0))
    assert len(pages) < 0.1 * len(set((rows // PAGE_ROWS).tolist()))


def test_a_cell_that_holds_nothing_any_more_is_not_looked_at_until_something_comes() -> None:
    positions = scattered(500)
    directory, arena, rows = placed(positions)
    everywhere = bounds_around((0.0, 0.0, 0.0), 100.0)
    cells = cells_of(positions)
    gone = cells == cells[7]
    directory.forget(rows[gone])
    assert directory.cell_count == len(set(cells[~gone].tolist()))
    pages = set(directory.pages_within(everywhere).tolist())
    assert pages == set((rows[~gone] // PAGE_ROWS).tolist())
    back = directory.place(cells[7:8], positions[7:8], arena)
    assert set(directory.pages_within(everywhere).tolist()) >= {int(back[0]) // PAGE_ROWS}
    assert back[0] not in rows


def test_how_far_the_memories_reach_from_a_place() -> None:
    directory, arena, _ = placed(np.array([(1.0, 2.0, 0.0), (-4.0, 2.0, 9.0)]), batches=1)
    assert directory.reach_from((0.0, 0.0, 1.0)) == 8.0
    assert directory.reach_from((50.0, 2.0, 0.0)) == 54.0
    assert CellDirectory(13).reach_from((0.0, 0.0, 0.0)) == -np.inf
    assert arena.count == 0
