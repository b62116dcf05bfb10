from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path

from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import MemoryIndex
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import embedded_index, Retriever
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=3)
GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)
LAPS, PLACES = 6, 40


class BlindIndex(CellIndex):
    """An index that does not hold whence and when memories were seen."""

    def views(self, seqs: np.ndarray) -> None:
        return None


def blind_index(spec: JournalSpec) -> MemoryIndex:
    return BlindIndex(GRID, spec.z_dim)


def memory(lap: int, place: int) -> Memory:
    position = Position(0.1 * place, 0.0)
    return Memory(f'{lap}-{place}', as_latent([lap, place, 0]), Pose(position),
                  GRID.cell(position), 1000.0 * lap + place, 'model-a')


@pytest.fixture(params=[embedded_index, blind_index])
def retriever(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Retriever]:
    with Journal.open_writer(tmp_path / 'memory.db', SPEC) as journal:
        journal.append([memory(lap, place) for lap in range(LAPS) for place in range(PLACES)])
        with contextlib.closing(Retriever(tmp_path / 'memory.db', request.param)) as retriever:
            retriever.refresh()
            yield retriever


def found(retriever: Retriever, **fields: object) -> list[str]:
    query = MemoryQuery(k=8, pose=Pose(Position(2.0, 0.0)), radius_m=5.0, rank_by='pose',
                        **fields)
    return [hit.memory.id for hit in retriever.query(query)]


def test_of_many_laps_only_the_last_is_found(retriever: Retriever) -> None:
    ids = found(retriever, newest_only=True)
    assert [one.split('-')[0] for one in ids] == [str(LAPS - 1)] * 8
    assert sorted(int(one.split('-')[1]) for one in ids) == list(range(16, 24)) or (
        sorted(int(one.split('-')[1]) for one in ids) == list(range(17, 25)))


def test_a_question_about_earlier_finds_the_last_lap_before(retriever: Retriever) -> None:
    ids = found(retriever, newest_only=True, before=2999.0)
    assert {one.split('-')[0] for one in ids} == {'2'}
    assert len(ids) == 8


def test_otherwise_all_laps_are_found(retriever: Retriever) -> None:
    assert len({one.split('-')[0] for one in found(retriever)}) == LAPS


def test_a_memory_that_was_forgotten_meanwhile_leaves_the_views_unknown() -> None:
    with contextlib.closing(embedded_index(SPEC)) as index:
        assert index.views(np.array([7])) is None
