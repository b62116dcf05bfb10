from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import replace
from pathlib import Path
import shutil

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.answering.index_config import index_maker, IndexConfig
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.folder import open_edge_index
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.tables.changes import log_changes, RELABELLED
from spatial_rag_core.records import Hit, MemoryQuery, Pose, Position

import numpy as np
import pytest

from ..memory_files import make, memory
from .test_edge import count_of_stored

EVERYTHING = MemoryQuery(k=10_000, vector=np.zeros(4, np.float32))
NEAR = MemoryQuery(k=10, vector=np.zeros(4, np.float32), pose=Pose(Position(0, 0)), radius_m=80.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / 'memory.db', 200)


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open_existing_writer(path) as journal:
        yield journal


def opened(path: Path) -> Retriever:
    config = IndexConfig(kind='qdrant', path=str(path.parent / 'edge'))
    retriever = Retriever(path, index_maker(config, path))
    retriever.refresh()
    return retriever


def what(hits: list[Hit]) -> list[tuple[str, tuple[str, ...]]]:
    return [(hit.memory.id, hit.memory.labels) for hit in hits]


def require_the_same_as_embedded(retriever: Retriever) -> None:
    with contextlib.closing(Retriever(retriever.path)) as embedded:
        embedded.refresh()
        assert retriever.index_count == embedded.index_count
        assert retriever.cell_count == embedded.cell_count
        assert retriever.damage is None
        for query in (EVERYTHING, NEAR, replace(NEAR, labels=('door',)),
                      replace(NEAR, session='session-2'), replace(NEAR, metric='cosine'),
                      replace(NEAR, rank_by='pose')):
            assert what(retriever.query(query)) == what(embedded.query(query))


def test_a_retriever_finds_the_same_as_with_the_embedded_index(path: Path) -> None:
    with contextlib.closing(opened(path)) as retriever:
        require_the_same_as_embedded(retriever)


def test_after_a_restart_only_the_rest_is_stored(path: Path, journal: Journal) -> None:
    opened(path).close()
    journal.append([memory(n) for n in range(200, 220)])
    index = open_edge_index(path.parent / 'edge', path)
    stored = count_of_stored(index)
    assert index.count == 200
    with contextlib.closing(Retriever(path, lambda _: index)) as retriever:
        retriever.refresh()
        assert stored == [20]
        require_the_same_as_embedded(retriever)


def test_what_was_forgotten_and_relabelled_meanwhile_is_so_after_a_restart(
        path: Path, journal: Journal) -> None:
    opened(path).close()
    journal.forget(list(range(20, 90)))
    journal.relabel(list(range(90, 110)), add=['seen'], remove=['door'])
    with contextlib.closing(opened(path)) as retriever:
        require_the_same_as_embedded(retriever)
        assert len(retriever.query(replace(EVERYTHING, labels=('seen',)))) == 20


def test_an_index_that_was_not_closed_serves_as_well(path: Path, journal: Journal) -> None:
    first = open_edge_index(path.parent / 'edge', path)
    first.add(journal.index_rows_after(0, 150))
    journal.forget([10])
    copy = path.parent / 'copy'
    shutil.copytree(path.parent / 'edge', copy)  # as after a cut of power
    first.close()
    with contextlib.closing(Retriever(path, lambda _: open_edge_index(copy, path))) as retriever:
        retriever.refresh()
        require_the_same_as_embedded(retriever)


def test_a_new_generation_is_built_beside_the_old_one_which_then_goes(
        path: Path, journal: Journal) -> None:
    folder = path.parent / 'edge'
    with contextlib.closing(opened(path)) as retriever:
        journal.renew_generation()
        retriever.refresh()
        require_the_same_as_embedded(retriever)
        assert len(indexes(folder)) == 2
    opened(path).close()
    assert indexes(folder) == [f'{journal.generation:016x}']
    assert len(list(folder.iterdir())) == 2  # and its lock


def indexes(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir() if each.is_dir())


@pytest.mark.parametrize('harm', ['state', 'format', 'segment', 'half'])
def test_a_folder_that_cannot_be_trusted_is_made_anew(path: Path, harm: str) -> None:
    opened(path).close()
    [home] = (each for each in (path.parent / 'edge').iterdir() if each.is_dir())
    if harm == 'state':
        (home / 'spatial_rag.json').write_text('{')
    elif harm == 'format':
        state = (home / 'spatial_rag.json').read_text()
        (home / 'spatial_rag.json').write_text(state.replace('"format": ', '"format": 9'))
    elif harm == 'segment':
        [segment] = home.glob('segments/*/segment.json')
        segment.write_text('{')
    else:
        shutil.rmtree(home / 'segments')
    with contextlib.closing(opened(path)) as retriever:
        require_the_same_as_embedded(retriever)


@pytest.mark.parametrize('more', [0, 5, 10, 30])
def test_a_copy_of_the_memory_file_that_went_another_way_is_noticed(path: Path,
                                                                    more: int) -> None:
    copy = path.parent / 'copy.db'
    shutil.copy(path, copy)
    with Journal.open_existing_writer(path) as journal:
        journal.append([memory(n) for n in range(200, 210)])
    opened(path).close()
    path.unlink()
    copy.rename(path)
    with Journal.open_existing_writer(path) as journal:
        journal.append([memory(n) for n in range(500, 500 + more)])
    with contextlib.closing(opened(path)) as retriever:
        require_the_same_as_embedded(retriever)


def test_an_index_in_use_is_not_shared(path: Path) -> None:
    first = open_edge_index(path.parent / 'edge', path)
    with pytest.raises(IndexUnavailableError, match='give each retriever a path of its own'):
        open_edge_index(path.parent / 'edge', path)
    first.close()
    open_edge_index(path.parent / 'edge', path).close()


def test_a_change_log_that_does_not_reach_back_means_to_begin_again(
        path: Path, journal: Journal) -> None:
    opened(path).close()
    journal.relabel([5, 6], add=['seen'])
    with journal.transaction() as connection:
        connection.execute('DELETE FROM changes')
        connection.execute("UPDATE meta SET value = 2 WHERE key = 'changes_pruned_to'")
    with contextlib.closing(opened(path)) as retriever:
        require_the_same_as_embedded(retriever)


@pytest.mark.parametrize('why', ['pruned', 'replaced'])
def test_an_index_that_is_begun_again_takes_the_folder_of_the_one_that_answers(
        path: Path, why: str) -> None:
    with contextlib.closing(opened(path)) as retriever:
        if why == 'replaced':
            shutil.copy(path, path.parent / 'copy.db').replace(path)
        with Journal.open_existing_writer(path) as journal:
            journal.forget([1, 2, 3])
            if why == 'pruned':
                with journal.transaction() as connection:
                    log_changes(connection, path, [4, 5], RELABELLED, kept=1)
        retriever.refresh()
        require_the_same_as_embedded(retriever)


def test_a_folder_that_cannot_be_made_is_told(path: Path) -> None:
    (path.parent / 'file').touch()
    with pytest.raises(IndexUnavailableError, match='file cannot be used: Not a directory'):
        open_edge_index(path.parent / 'file', path)


def test_an_index_much_of_which_was_forgotten_is_compacted_when_it_is_opened(
        path: Path, journal: Journal) -> None:
    journal.append([memory(n) for n in range(200, 2500)])
    opened(path).close()
    journal.forget(list(range(1, 1500)))
    with contextlib.closing(opened(path)) as retriever:
        require_the_same_as_embedded(retriever)
    index = open_edge_index(path.parent / 'edge', path)
    assert isinstance(index, QdrantIndex)
    assert index.count == 1001
    index.close()


def test_there_is_no_index_of_no_file(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailableError, match='no memory file yet'):
        open_edge_index(tmp_path / 'edge', tmp_path / 'memory.db')
