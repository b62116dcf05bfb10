from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from pathlib import Path
import threading
import time

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.answering.index_config import index_maker, IndexConfig
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.deadline import Deadline
from spatial_rag_core.memory.qdrant.served import ServedIndex
from spatial_rag_core.memory.qdrant.shipper import QdrantShipper
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.records import MemoryQuery

import numpy as np
import pytest

from ..index_contract import part, some_rows
from ..memory_files import make, memory
from .sockets import cut, free_port, hang, rude_server, stand_in
from .test_folder import require_the_same_as_embedded
from .test_server import config_of
from .test_shipper import Clock, wait_for

ANYTHING = MemoryQuery(vector=np.zeros(4, np.float32))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / 'memory.db', 60)


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open_existing_writer(path) as journal:
        yield journal


@contextlib.contextmanager
def retriever_on(config: IndexConfig, path: Path) -> Iterator[tuple[Retriever, ServedIndex]]:
    made: list[ServedIndex] = []

    def make_index(spec: object) -> ServedIndex:
        index = index_maker(config, path)(spec)  # type: ignore[arg-type]
        assert isinstance(index, ServedIndex)
        made.append(index)
        return index

    with contextlib.closing(Retriever(path, make_index)) as retriever:
        retriever.refresh()
        yield retriever, made[0]


def is_level(index: ServedIndex, path: Path, shipped: int) -> Callable[[], bool]:
    return lambda: index.figures.state == 'level' and index.figures.shipped >= shipped


def test_a_retriever_finds_the_same_as_with_the_embedded_index(path: Path,
                                                               journal: Journal) -> None:
    with stand_in() as server, retriever_on(config_of(server), path) as (retriever, index):
        wait_for(is_level(index, path, 60))
        require_the_same_as_embedded(retriever)
        journal.append([memory(n) for n in range(60, 70)])
        journal.forget([3, 4])
        journal.relabel([5], add=['seen'])
        retriever.refresh()
        wait_for(is_level(index, path, 70))
        wait_for(lambda: server.local.count('spatial_rag').count == 68)
        require_the_same_as_embedded(retriever)
        assert index.figures.backlog == 0


def test_a_server_that_is_away_stops_no_start_and_no_refresh(path: Path,
                                                             journal: Journal) -> None:
    with retriever_on(config_of(free_port()), path) as (retriever, index):
        start = time.monotonic()
        journal.append([memory(n) for n in range(60, 70)])
        retriever.refresh()
        assert time.monotonic() - start < 1.0
        assert (retriever.index_count, retriever.damage) == (70, None)
        with pytest.raises(IndexUnavailableError, match='cannot be reached'):
            retriever.query(ANYTHING)
        wait_for(lambda: index.figures.state == 'waiting')
        assert index.figures.backlog >= 60
        assert 'cannot be reached' in index.figures.last_error


def test_a_question_to_a_server_that_hangs_ends_at_its_deadline(path: Path) -> None:
    with rude_server(hang) as port, retriever_on(
            config_of(port, timeout_sec=0.2), path) as (retriever, _):
        start = time.monotonic()
        with pytest.raises(IndexUnavailableError, match=r'gave no answer within 0\.2 s; look at'):
            retriever.query(ANYTHING)
        first = time.monotonic() - start
        with pytest.raises(IndexUnavailableError, match='not asked again for'):
            retriever.query(ANYTHING)
        assert 0.2 <= first < 1.0
        assert time.monotonic() - start - first < 0.1


def test_questions_are_answered_again_once_the_server_is_back(path: Path) -> None:
    with stand_in() as server, retriever_on(config_of(server), path) as (retriever, index):
        wait_for(is_level(index, path, 60))
        server.stop()
        with pytest.raises(IndexUnavailableError):
            retriever.query(ANYTHING)
        server.start()
        wait_for(lambda: bool(answer(retriever)))
        require_the_same_as_embedded(retriever)


def answer(retriever: Retriever) -> list[object]:
    try:
        return [*retriever.query(ANYTHING)]
    except IndexUnavailableError:
        return []


def test_an_answer_that_breaks_off_is_an_error_and_no_short_answer(path: Path) -> None:
    with rude_server(cut) as port, retriever_on(config_of(port), path) as (
            retriever, _), pytest.raises(IndexUnavailableError, match='broke off in the middle'):
        retriever.query(ANYTHING)


def test_a_collection_that_is_not_made_yet_is_no_empty_memory(
        path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(QdrantShipper, 'step', lambda _: False)
    with stand_in() as server, retriever_on(config_of(server), path) as (
            retriever, _), pytest.raises(IndexUnavailableError, match='spatial_rag not found'):
        retriever.query(ANYTHING)


def test_closing_takes_no_time_while_the_server_hangs(path: Path) -> None:
    with rude_server(hang) as port, retriever_on(config_of(port), path) as (retriever, _):
        start = time.monotonic()
        retriever.close()
        assert time.monotonic() - start < 2.0


def test_it_counts_what_it_is_told(server_index: ServedIndex) -> None:
    rows = some_rows(500)
    for start in range(0, 500, 60):
        server_index.add(part(rows, slice(start, start + 60)))
    gone = np.arange(500) % 3 == 0
    server_index.remove(np.append(rows.seqs[gone], 10_000))
    server_index.remove(rows.seqs[gone])
    server_index.remove(np.array([-1, 0]))
    rest = part(rows, ~gone)
    assert (server_index.count, server_index.last_seq) == (len(rest.seqs), rows.seqs[-1])
    assert server_index.cell_count == len(set(rest.cells.tolist()))


@pytest.fixture
def server_index(path: Path) -> Iterator[ServedIndex]:
    config = config_of(free_port())
    with contextlib.closing(ServedIndex.started(config, path)) as index:
        yield index


def test_there_is_no_index_of_no_file(tmp_path: Path) -> None:
    with pytest.raises(IndexUnavailableError, match='no memory file yet'):
        ServedIndex.started(config_of(1), tmp_path / 'memory.db')


def test_a_deadline_lets_answers_and_other_errors_through() -> None:
    deadline = Deadline(5.0, 'cluster:6333')
    assert deadline.call(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        deadline.call(lambda: 1 // 0)
    assert deadline.call(lambda: 8) == 8


def test_pauses_after_failures_grow_to_a_limit_and_end_with_an_answer() -> None:
    clock = Clock()
    deadline = Deadline(5.0, 'cluster:6333', clock)

    def fail() -> None:
        raise IndexUnavailableError('away')

    for pause in (0.5, 1.0, 2.0, 4.0, 8.0, 8.0):
        with pytest.raises(IndexUnavailableError, match=r'^away$'):
            deadline.call(fail)
        clock.now += pause - 0.1
        with pytest.raises(IndexUnavailableError, match=r'away \(not asked again for 0.1 s\)'):
            deadline.call(lambda: 7)
        clock.now += 0.2
    assert deadline.call(lambda: 7) == 7
    with pytest.raises(IndexUnavailableError, match=r'^away$'):
        deadline.call(fail)
    clock.now += 0.6
    assert deadline.call(lambda: 7) == 7


def test_questions_that_hang_are_few() -> None:
    clock, release = Clock(), threading.Event()
    deadline = Deadline(0.01, 'cluster:6333', clock)
    asked: list[int] = []

    def ask() -> None:
        asked.append(1)
        release.wait(30)

    for _ in range(10):
        with pytest.raises(IndexUnavailableError, match=r'gave no answer within 0.01 s'):
            deadline.call(ask)
        clock.now += 100.0
    assert len(asked) == 4
    release.set()
    wait_for(lambda: answers(deadline))


def answers(deadline: Deadline) -> bool:
    try:
        return deadline.call(lambda: True)
    except IndexUnavailableError:
        return False
