from __future__ import annotations

from collections.abc import Iterator
import math
from pathlib import Path

from spatial_rag_core.errors import JournalError, LatentError, ModelMismatchError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.journal_schema import JournalSpec
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.records import as_latent, Memory, MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=3)
GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)
ORIGIN = np.zeros(3, np.float32)


def memory(n: int) -> Memory:
    """The n-th memory of a drive along x, one a metre and second, its latent (n, 0, 0)."""
    position = Position(float(n), 0.0, 0.0)
    return Memory(f'id-{n}', as_latent([n, 0, 0]), Pose(position), GRID.cell(position),
                  1000.0 + n, 'model-a', session='drive', thumbnail=b'jpeg')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory.db'


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open_writer(path, SPEC) as journal:
        yield journal


@pytest.fixture
def retriever(path: Path) -> Iterator[Retriever]:
    retriever = Retriever(path)
    yield retriever
    retriever.close()


def test_before_there_is_a_file_nothing_is_found_and_then_all_is(
        path: Path, retriever: Retriever) -> None:
    assert retriever.refresh() == 0
    assert retriever.query(MemoryQuery(vector=ORIGIN, model_id='any')) == []
    assert retriever.spec is retriever.model_id is None
    assert retriever.stats().count == retriever.index_count == retriever.cell_count == 0
    with Journal.open_writer(path, SPEC) as journal:
        assert retriever.refresh() == 0
        assert retriever.spec == SPEC
        assert retriever.query(MemoryQuery(vector=ORIGIN)) == []
        journal.append([memory(n) for n in range(5)])
        assert retriever.refresh() == 5
        assert retriever.model_id == 'model-a'
        assert [hit.memory.id for hit in retriever.query(MemoryQuery(k=2, vector=ORIGIN))] == [
            'id-0', 'id-1']


def test_new_rows_are_tailed(journal: Journal, retriever: Retriever) -> None:
    for n in range(10):
        [seq] = journal.append([memory(n)])
        assert retriever.refresh() == 1
        assert retriever.refresh() == 0
        assert retriever.index_last_seq == seq
    [nearest] = retriever.query(MemoryQuery(k=1, vector=as_latent([9, 0, 0])))
    assert nearest.memory.id == 'id-9'
    assert retriever.stats().count == retriever.index_count == 10


def test_a_hit_is_the_whole_memory_with_both_distances(
        journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(n) for n in range(10)])
    retriever.refresh()
    query = MemoryQuery(k=3, vector=as_latent([4, 0, 0]), pose=Pose(Position(2.0, 0.0, 0.5)),
                        radius_m=1.5, model_id='model-a')
    hits = retriever.query(query)
    assert [hit.memory.id for hit in hits] == ['id-3', 'id-2', 'id-1']
    assert [hit.distance for hit in hits] == [1.0, 2.0, 3.0]
    assert [hit.separation_m for hit in hits] == pytest.approx(
        [math.hypot(1, 0.5), 0.5, math.hypot(1, 0.5)])
    assert hits[0].memory.session == 'drive'
    assert hits[0].memory.thumbnail == b''
    assert retriever.query(query, with_thumbnails=True)[0].memory.thumbnail == b'jpeg'


def test_without_a_pose_the_separation_is_not_known(
        journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(1)])
    retriever.refresh()
    assert math.isnan(retriever.query(MemoryQuery(vector=ORIGIN))[0].separation_m)


def test_a_latent_of_another_model_or_length_is_refused(
        journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(1)])
    retriever.refresh()
    with pytest.raises(ModelMismatchError, match='of model model-a, got one of model model-b'):
        retriever.query(MemoryQuery(vector=ORIGIN, model_id='model-b'))
    with pytest.raises(LatentError, match=r'shape \[2\], expected \[3\] \(z_dim\)'):
        retriever.query(MemoryQuery(vector=ORIGIN[:2]))
    with pytest.raises(LatentError, match='not finite'):
        retriever.query(MemoryQuery(vector=np.float32([0, np.nan, 0])))


def test_a_memory_that_was_deleted_meanwhile_is_left_out(
        journal: Journal, retriever: Retriever) -> None:
    seqs = journal.append([memory(n) for n in range(3)])
    retriever.refresh()
    journal._connection.execute('DELETE FROM memories WHERE seq = ?', seqs[:1])
    assert [hit.memory.id for hit in retriever.query(MemoryQuery(vector=ORIGIN))] == [
        'id-1', 'id-2']


def test_a_damaged_file_is_told_and_tried_again(path: Path, retriever: Retriever) -> None:
    path.write_bytes(b'garbage' * 1000)
    for _ in range(2):
        with pytest.raises(JournalError, match='damaged'):
            retriever.refresh()
        assert retriever.query(MemoryQuery(vector=ORIGIN)) == []
    path.unlink()
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(1)])
        assert retriever.refresh() == 1


def test_a_closed_retriever_begins_anew(journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(1)])
    assert retriever.refresh() == 1
    retriever.close()
    retriever.close()
    assert retriever.index_count == 0
    assert retriever.refresh() == 1


def test_a_long_memory_is_taken_in_whole(journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(n) for n in range(12_000)])
    assert retriever.refresh() == 12_000
    assert retriever.index_last_seq == journal.last_seq
