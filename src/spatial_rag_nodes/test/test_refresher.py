"""The thread that keeps the index up to date."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path
import time
from typing import Any

from spatial_rag_core.errors import (
    IndexUnavailableError,
    JournalDamagedError,
    JournalUnavailableError,
)
from spatial_rag_core.memory.answering.refresher import Refresher
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_msgs.srv import QueryMemory
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.retriever_services import RetrieverServices

import numpy as np
import pytest

pytestmark = pytest.mark.ros

SPEC = JournalSpec(z_dim=2)


def memory(number: int) -> Memory:
    return Memory(f'id-{number}', np.zeros(2, np.float32), Pose(Position(0.0, 0.0)),
                  '8d754e64992d6ff', 1000.0, 'author')


class Subject:
    def __init__(self, lab: Any, path: Path, period_sec: float = 10.0) -> None:
        self.path, self.retriever = path, Retriever(path)
        self.health = Health(lab.probe.node, dict)
        self.refresher = Refresher(self.retriever, period_sec,
                                   self.health.report_error)


@pytest.fixture
def subject(lab: Any, tmp_path: Path) -> Iterator[Subject]:
    """A refresher that looks every ten seconds by itself."""
    subject = Subject(lab, tmp_path / 'memory.db')
    with contextlib.closing(subject.refresher):
        yield subject


def test_what_was_stored_before_is_there_once_it_has_caught_up(subject: Subject) -> None:
    assert subject.refresher.catch_up(5.0)
    with Journal.open_writer(subject.path, SPEC) as journal:
        for number in range(1, 50):
            journal.append([memory(number)])
            assert subject.refresher.catch_up(5.0)
            assert subject.retriever.index_count == number


def test_by_itself_it_looks_every_period(lab: Any, tmp_path: Path) -> None:
    subject = Subject(lab, tmp_path / 'memory.db', period_sec=0.02)
    with (contextlib.closing(subject.refresher),
          Journal.open_writer(subject.path, SPEC) as journal):
        journal.append([memory(1)])
        lab.probe.until(lambda: subject.retriever.index_count == 1, 5.0)


def test_a_file_that_cannot_be_opened_is_told_to_who_waits_and_is_tried_again(
        subject: Subject) -> None:
    subject.path.write_bytes(b'garbage' * 1000)
    for _ in range(3):
        with pytest.raises(JournalDamagedError):
            subject.refresher.catch_up(5.0)
    subject.path.unlink()
    with Journal.open_writer(subject.path, SPEC) as journal:
        journal.append([memory(1)])
        assert subject.refresher.catch_up(5.0)
    assert subject.retriever.index_count == 1
    assert subject.health.problem_count >= 3


def test_memories_that_are_lost_keep_nobody_waiting_and_are_reported(subject: Subject) -> None:
    with Journal.open_writer(subject.path, SPEC) as journal:
        journal.append([memory(number) for number in range(3)])
        with journal.transaction() as connection:
            connection.execute('DELETE FROM memories WHERE seq = 2')
        assert subject.refresher.catch_up(5.0)
        assert subject.refresher.catch_up(5.0)
    assert subject.retriever.index_count == 2
    assert subject.health.problem_count == 1


def test_a_load_that_fails_half_way_tells_why(lab: Any, tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(1)])

    class Down(CellIndex):
        def add(self, rows: IndexRows) -> None:
            raise IndexUnavailableError('no space')

    retriever = Retriever(path, lambda _: Down(H3Grid(LocalFrame(), 13), 2))
    health = Health(lab.probe.node, dict)
    refresher = Refresher(retriever, 10.0, health.report_error)
    services = RetrieverServices(lab.probe.node, {'map_frame': 'map', 'k': 1}, health, retriever,
                                 refresher)
    answer = lab.probe.call(QueryMemory, '/spatial_rag/query_memory',
                            QueryMemory.Request(latent=[0.0, 0.0]))
    assert (answer.code, answer.message) == (answer.MEMORY_UNAVAILABLE, 'no space')
    refresher.close()
    services.close()


def test_at_the_end_nobody_is_left_waiting(subject: Subject) -> None:
    start = time.monotonic()
    subject.refresher.close()
    with pytest.raises(JournalUnavailableError, match='ending'):
        subject.refresher.catch_up(20.0)
    assert time.monotonic() - start < 10.0
    assert subject.retriever.spec is None
