from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
import threading
import time

from spatial_rag_core.errors import JournalError, JournalUnavailableError
from spatial_rag_core.memory.forgetting.live import forget_selected, forget_seqs
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, MemorySelection, Pose, Position

import pytest

SPEC = JournalSpec(z_dim=2)
ENOUGH_SEC = 20.0
EVERYTHING = MemorySelection(everything=True)


def memory(number: int) -> Memory:
    return Memory(f'id-{number}', as_latent([number, 1]), Pose(Position(number, 0)),
                  '8d754e64992d6ff', 1e9 + number, 'model', session=str(number % 2),
                  thumbnail=bytes(3000))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory.db'


@pytest.fixture
def committer(path: Path) -> Iterator[Committer]:
    with closing(Committer(lambda: Journal.open_writer(path, SPEC))) as one:
        yield one


def numbers(path: Path) -> list[int]:
    reader = Journal.open_reader(path)
    assert reader is not None
    with reader:
        return [int(x) for x in reader.index_rows_after(0).vectors[:, 0]]


def test_what_is_selected_is_forgotten_and_nothing_else(committer: Committer, path: Path) -> None:
    committer.submit([memory(number) for number in range(1000)])
    selection = MemorySelection(session='1')
    assert forget_selected(committer, selection, dry_run=True) == 500
    assert len(numbers(path)) == 1000
    assert forget_selected(committer, selection) == 500
    assert numbers(path) == list(range(0, 1000, 2))
    assert committer.count == 500
    assert forget_selected(committer, selection) == 0


def test_the_space_is_given_back(committer: Committer, path: Path) -> None:
    committer.submit([memory(number) for number in range(2000)])
    assert committer.flush(ENOUGH_SEC)
    committer.run(lambda journal: journal._connection.sql.execute(
        'PRAGMA wal_checkpoint(TRUNCATE)').fetchall()).result(ENOUGH_SEC)
    before = path.stat().st_size
    assert forget_selected(committer, EVERYTHING) == 2000
    committer.close()
    assert path.stat().st_size < before / 10


def test_what_still_waits_to_be_stored_is_forgotten_too(
        committer: Committer, path: Path) -> None:
    committer.submit([memory(0)])
    assert forget_selected(committer, EVERYTHING) == 1
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == []


def test_memories_are_stored_while_others_are_forgotten(committer: Committer, path: Path) -> None:
    committer.submit([memory(number) for number in range(5000)])
    assert committer.flush(ENOUGH_SEC)
    thread = threading.Thread(
        target=forget_selected, args=(committer, MemorySelection(before=1e9 + 4999)))
    thread.start()
    durations, number = [], 5000
    while thread.is_alive():
        begin = time.monotonic()
        committer.submit([memory(number)])
        assert committer.flush(ENOUGH_SEC)
        durations.append(time.monotonic() - begin)
        number += 1
    thread.join()
    assert numbers(path) == list(range(5000, number))
    assert len(durations) > 5
    assert max(durations) < 1.0


def test_numbers_of_a_file_that_was_replaced_forget_nothing_in_the_new_one(
        committer: Committer, path: Path) -> None:
    committer.submit([memory(0)])
    assert committer.flush(ENOUGH_SEC)
    generation = committer.run(lambda journal: journal.generation).result(ENOUGH_SEC)
    path.unlink()
    committer.submit([memory(1)])
    assert committer.flush(ENOUGH_SEC)
    with pytest.raises(JournalUnavailableError, match='was replaced meanwhile'):
        sum(forget_seqs(committer, [1], generation))
    assert numbers(path) == [1]


def test_at_the_end_it_is_told_that_the_writer_is_closing(committer: Committer) -> None:
    committer.submit([memory(0)])
    committer.close()
    with pytest.raises(JournalError, match='is closed'):
        forget_selected(committer, EVERYTHING)
