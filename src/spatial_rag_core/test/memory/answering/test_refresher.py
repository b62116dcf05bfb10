"""The thread that keeps the index up to date."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path
import time

from spatial_rag_core.errors import JournalDamagedError, JournalUnavailableError
from spatial_rag_core.memory.answering.refresher import Refresher
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Memory, Pose, Position

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=2)


def memory(number: int) -> Memory:
    return Memory(f'id-{number}', np.zeros(2, np.float32), Pose(Position(0.0, 0.0)),
                  '8d754e64992d6ff', 1000.0, 'author')


class Subject:
    def __init__(self, path: Path, period_sec: float = 10.0) -> None:
        self.path, self.retriever = path, Retriever(path)
        self.errors: list[Exception] = []
        self.refresher = Refresher(self.retriever, period_sec, self.errors.append)


@pytest.fixture
def subject(tmp_path: Path) -> Iterator[Subject]:
    """A refresher that looks every ten seconds by itself."""
    subject = Subject(tmp_path / 'memory.db')
    with contextlib.closing(subject.refresher):
        yield subject


def test_what_was_stored_before_is_there_once_it_has_caught_up(subject: Subject) -> None:
    assert subject.refresher.catch_up(5.0)
    with Journal.open_writer(subject.path, SPEC) as journal:
        for number in range(1, 50):
            journal.append([memory(number)])
            assert subject.refresher.catch_up(5.0)
            assert subject.retriever.index_count == number


def test_by_itself_it_looks_every_period(tmp_path: Path) -> None:
    subject = Subject(tmp_path / 'memory.db', period_sec=0.02)
    with (contextlib.closing(subject.refresher),
          Journal.open_writer(subject.path, SPEC) as journal):
        journal.append([memory(1)])
        deadline = time.monotonic() + 5.0
        while subject.retriever.index_count != 1:
            assert time.monotonic() < deadline
            time.sleep(0.005)


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
    assert len(subject.errors) >= 3


def test_memories_that_are_lost_keep_nobody_waiting_and_are_reported(subject: Subject) -> None:
    with Journal.open_writer(subject.path, SPEC) as journal:
        journal.append([memory(number) for number in range(3)])
        with journal.transaction() as connection:
            connection.execute('DELETE FROM memories WHERE seq = 2')
        assert subject.refresher.catch_up(5.0)
        assert subject.refresher.catch_up(5.0)
    assert subject.retriever.index_count == 2
    assert len(subject.errors) == 1


def test_at_the_end_nobody_is_left_waiting(subject: Subject) -> None:
    start = time.monotonic()
    subject.refresher.close()
    with pytest.raises(JournalUnavailableError, match='ending'):
        subject.refresher.catch_up(20.0)
    assert time.monotonic() - start < 10.0
    assert subject.retriever.spec is None
