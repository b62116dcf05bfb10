from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import CancelledError
from contextlib import closing
from dataclasses import replace
from pathlib import Path
import signal
import sqlite3
import subprocess
import sys
import threading
import time

from spatial_rag_core.errors import (
    ConfigurationError,
    JournalError,
    JournalInUseError,
    JournalUnavailableError,
    LatentError,
    ModelMismatchError,
)
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing import committer as committer_module
from spatial_rag_core.memory.storing.commit_queue import CommitConfig
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose, Position

import pytest

SPEC = JournalSpec(z_dim=2)
ENOUGH_SEC = 20.0


def memory(number: int, model_id: str = 'model', thumbnail: bytes = b'') -> Memory:
    return Memory(f'id-{number}', as_latent([number, 1]), Pose(Position(number, 0)),
                  '8d754e64992d6ff', 1e9 + number, model_id, thumbnail=thumbnail)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory.db'


def make(path: Path, **config: float) -> Committer:
    return Committer(lambda: Journal.open_writer(path, SPEC),
                     CommitConfig(**config))  # type: ignore[arg-type]


@pytest.fixture
def committer(path: Path) -> Iterator[Committer]:
    with closing(make(path)) as one:
        yield one


def numbers(path: Path) -> list[int]:
    """Numbers of the memories in the file, in the order of their storing."""
    reader = Journal.open_reader(path)
    assert reader is not None
    with reader:
        return [int(x) for x in reader.index_rows_after(0).vectors[:, 0]]


def until(condition: object, timeout_sec: float = ENOUGH_SEC) -> None:
    end = time.monotonic() + timeout_sec
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end
        time.sleep(0.002)


class Held:
    """Keeps the committer's thread busy with a job until let go."""

    def __init__(self, committer: Committer) -> None:
        self._may_go, has_begun = threading.Event(), threading.Event()

        def wait(_: Journal) -> None:
            has_begun.set()
            assert self._may_go.wait(ENOUGH_SEC)
        self.future = committer.run(wait)
        assert has_begun.wait(ENOUGH_SEC)

    def let_go(self) -> None:
        self._may_go.set()
        self.future.result(ENOUGH_SEC)


class Locked:
    """Another program that locks the file."""

    def __init__(self, path: Path) -> None:
        self._other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._other.execute('BEGIN EXCLUSIVE')

    def let_go(self) -> None:
        self._other.close()


def test_what_is_submitted_is_stored_in_its_order(committer: Committer, path: Path) -> None:
    for number in range(100):
        committer.submit([memory(2 * number), memory(2 * number + 1)])
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == list(range(200))
    assert (committer.stored, committer.lost, committer.backlog) == (200, 0, 0)
    assert (committer.count, committer.model_id) == (200, 'model')
    p50, p99 = committer.commit_ms()
    assert 0 < p50 <= p99


def test_submitting_does_not_wait_for_the_file(committer: Committer) -> None:
    held = Held(committer)
    committer.submit([memory(0)])
    assert committer.backlog == 1
    assert not committer.flush(0.0)
    held.let_go()
    assert committer.flush(ENOUGH_SEC)


def test_all_that_came_meanwhile_goes_in_one_transaction(
        committer: Committer, path: Path) -> None:
    reader = Journal.open_reader(path)
    assert reader is not None
    with reader:
        held = Held(committer)
        for number in range(50):
            committer.submit([memory(number)])
        before = reader.data_version
        counts = set()
        held.let_go()
        while not committer.flush(0.0):
            counts.add(reader.count)
        counts.add(reader.count)
        assert before != reader.data_version
    assert counts <= {0, 50}


def test_what_counts_as_stored_can_be_read_by_others(committer: Committer, path: Path) -> None:
    reader = Journal.open_reader(path)
    assert reader is not None
    with reader:
        for number in range(200):
            committer.submit([memory(number)])
            stored = committer.stored
            assert reader.count >= stored


def test_memories_are_gathered_where_that_was_asked_for(path: Path) -> None:
    with closing(make(path, commit_period_sec=0.5)) as committer:
        begin = time.monotonic()
        for number in range(20):
            committer.submit([memory(number)])
            time.sleep(0.005)
        until(lambda: committer.stored)
        assert time.monotonic() - begin >= 0.5
        assert committer.stored == 20
        committer.submit([memory(20)])
        begin = time.monotonic()
        assert committer.flush(ENOUGH_SEC)
        assert time.monotonic() - begin < 0.4  # what flush asks for does not wait any longer


def test_a_flush_of_nothing_hurries_nothing_that_comes_later(path: Path) -> None:
    with closing(make(path, commit_period_sec=60.0)) as committer:
        assert committer.flush(0.0)
        committer.submit([memory(0)])
        assert committer.run(lambda journal: journal.count).result(ENOUGH_SEC) == 0
        assert committer.backlog == 1


def test_while_the_file_is_locked_memories_wait_and_are_then_stored_in_order(
        committer: Committer, path: Path) -> None:
    locked = Locked(path)
    for number in range(6):
        committer.submit([memory(number)])  # also the very first memory of a new file
    until(lambda: (errors := committer.take_errors()) and all(
        isinstance(error, JournalUnavailableError) and 'locked' in str(error)
        for error in errors))
    assert (committer.backlog, committer.stored) == (6, 0)
    locked.let_go()
    committer.submit([memory(6)])
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == list(range(7))
    assert (committer.backlog, committer.stored, committer.lost) == (0, 7, 0)


def test_while_the_disk_is_full_memories_wait(committer: Committer, path: Path) -> None:
    def allow(pages: int) -> None:
        committer.run(lambda journal: journal._connection.sql.execute(
            f'PRAGMA max_page_count = {pages}')).result(ENOUGH_SEC)

    committer.submit([memory(0)])
    assert committer.flush(ENOUGH_SEC)
    allow(1)  # SQLite takes what there is
    count = 0
    errors: list[Exception] = []
    while not errors:
        count += 1
        committer.submit([memory(count, thumbnail=bytes(3000))])
        committer.flush(0.05)
        errors = committer.take_errors()
    assert 'full' in str(errors[0])
    assert committer.stored < count + 1
    allow(1_000_000)
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == list(range(count + 1))


def test_a_full_backlog_loses_the_oldest_and_counts_them(path: Path) -> None:
    with closing(make(path, max_backlog=3)) as committer:
        held = Held(committer)
        for number in range(5):
            committer.submit([memory(number)])
        assert (committer.backlog, committer.lost) == (3, 2)
        held.let_go()
        assert committer.flush(ENOUGH_SEC)
        assert numbers(path) == [2, 3, 4]
        assert committer.stored == 3


def test_a_backlog_that_the_file_refuses_is_bounded_too(path: Path) -> None:
    with closing(make(path, max_backlog=3)) as committer:
        locked = Locked(path)
        committer.submit([memory(0), memory(1)])
        until(committer.take_errors)
        for number in range(2, 6):
            committer.submit([memory(number)])
        until(lambda: committer.backlog == 3)
        locked.let_go()
        assert committer.flush(ENOUGH_SEC)
        assert numbers(path)[-1] == 5
        assert committer.stored + committer.lost == 6
        assert len(numbers(path)) == committer.stored


def test_a_commit_that_failed_halfway_through_is_not_doubled_by_the_next(
        committer: Committer, path: Path) -> None:
    committer.run(lambda journal: journal.append([memory(0), memory(1)])).result(ENOUGH_SEC)
    committer.submit([memory(1), memory(2)])  # as if the answer of that commit had been lost
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == [0, 1, 2]
    assert committer.take_errors() == []


def test_a_memory_that_no_file_would_take_does_not_block_those_after_it(
        committer: Committer, path: Path) -> None:
    held = Held(committer)
    bad = replace(memory(1), vector=as_latent([1, 2, 3]))
    committer.submit([memory(0), bad, memory(2), memory(3, 'other'), memory(4)])
    held.let_go()
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == [0, 2, 4]
    assert (committer.stored, committer.lost) == (3, 2)
    assert [type(error) for error in committer.take_errors()] == [LatentError, ModelMismatchError]


@pytest.mark.parametrize('replaced', [False, True])
def test_where_the_file_was_deleted_or_replaced_it_goes_on_in_the_one_that_is_there(
        committer: Committer, path: Path, tmp_path: Path, replaced: bool) -> None:
    committer.submit([memory(0)])
    assert committer.flush(ENOUGH_SEC)
    if replaced:
        with Journal.open_writer(tmp_path / 'other.db', SPEC) as other:
            other.append([memory(7)])
        (tmp_path / 'other.db').rename(path)
    else:
        path.unlink()
    committer.submit([memory(1)])
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == ([7, 1] if replaced else [1])
    assert (committer.begun_anew, committer.lost) == (1, 0)
    assert committer.count == len(numbers(path))
    [error] = committer.take_errors()
    assert 'was deleted or replaced while it was open' in str(error)


def test_where_nothing_can_be_begun_anew_memories_wait(
        committer: Committer, path: Path) -> None:
    path.unlink()
    path.mkdir()
    committer.submit([memory(0)])
    until(lambda: any('folder' in str(error) for error in committer.take_errors()))
    assert committer.backlog == 1
    path.rmdir()
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == [0]


def test_a_second_writer_is_refused_with_the_name_of_the_first(
        committer: Committer, path: Path) -> None:
    with pytest.raises(JournalInUseError, match='is being written by'):
        make(path)
    committer.submit([memory(0)])
    assert committer.flush(ENOUGH_SEC)


def test_jobs_are_done_between_commits_and_bring_their_result(committer: Committer) -> None:
    committer.submit([memory(0)])
    futures = [committer.run(lambda journal: journal.count) for _ in range(3)]
    assert [future.result(ENOUGH_SEC) for future in futures] == [1, 1, 1]
    assert committer.run(lambda journal: journal.forget([1])).result(ENOUGH_SEC) == 1
    until(lambda: committer.count == 0)


def test_an_error_of_a_job_comes_out_of_its_future_and_harms_nobody(
        committer: Committer, path: Path) -> None:
    future = committer.run(lambda journal: journal.get([1])[1])
    with pytest.raises(KeyError):
        future.result(ENOUGH_SEC)
    committer.submit([memory(0)])
    assert committer.flush(ENOUGH_SEC)
    assert numbers(path) == [0]


def test_a_stream_of_memories_does_not_keep_jobs_from_their_turn(committer: Committer) -> None:
    is_over = threading.Event()

    def stream() -> None:
        number = 0
        while not is_over.is_set():
            committer.submit([memory(number)])
            number += 1
            time.sleep(0)
    thread = threading.Thread(target=stream)
    thread.start()
    try:
        for _ in range(10):
            committer.run(lambda journal: journal.count).result(ENOUGH_SEC)
    finally:
        is_over.set()
        thread.join()


def test_closing_stores_what_waits(path: Path) -> None:
    committer = make(path, commit_period_sec=60.0)
    committer.submit([memory(number) for number in range(10)])
    assert committer.close()
    assert numbers(path) == list(range(10))
    assert committer.stored == 10
    assert committer.close()  # once more does no harm


def test_closing_waits_a_while_for_a_file_that_refuses(path: Path) -> None:
    committer = make(path)
    locked = Locked(path)
    committer.submit([memory(0)])
    until(committer.take_errors)
    timer = threading.Timer(0.5, locked.let_go)
    timer.start()
    assert committer.close(ENOUGH_SEC)
    timer.join()
    assert numbers(path) == [0]


def test_closing_gives_up_on_a_file_that_goes_on_refusing_and_counts_the_loss(
        path: Path) -> None:
    committer = make(path)
    locked = Locked(path)
    committer.submit([memory(0), memory(1)])
    assert not committer.close(0.3)
    assert (committer.lost, committer.stored, committer.backlog) == (2, 0, 0)
    locked.let_go()


def test_a_closed_committer_takes_nothing_and_has_cancelled_what_it_had_not_begun(
        path: Path) -> None:
    committer = make(path)
    held = Held(committer)
    future = committer.run(lambda journal: journal.count)
    threading.Timer(0.1, held.let_go).start()
    committer.close()
    with pytest.raises(CancelledError):
        future.result(ENOUGH_SEC)
    with pytest.raises(JournalError, match='is closed'):
        committer.submit([memory(0)])
    with pytest.raises(JournalError, match='is closed'):
        committer.run(lambda journal: journal.count)


def test_who_waits_for_a_disk_that_does_not_answer_hears_so_when_it_is_closed(
        path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer_module, '_JOIN_SEC', 0.1)
    committer = make(path)
    held = Held(committer)
    assert not committer.close(0.0)
    with pytest.raises(JournalUnavailableError, match='does not answer'):
        held.let_go()
    monkeypatch.undo()
    assert committer.close(), 'the job that ended late harms nobody'


@pytest.mark.parametrize(('fields', 'message'), [
    ({'commit_period_sec': -1.0}, 'commit_period_sec must lie between 0 and 60 s, got -1.0'),
    ({'commit_period_sec': float('nan')}, 'commit_period_sec must lie between 0 and 60 s'),
    ({'max_backlog': 0}, 'max_backlog must be >= 1, got 0'),
])
def test_a_configuration_out_of_range_is_refused(fields: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        CommitConfig(**fields)  # type: ignore[arg-type]


STORING = """
import sys, time
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose, Position

committer = Committer(lambda: Journal.open_writer(sys.argv[1], JournalSpec(z_dim=2), sys.argv[2]))
said = 0
for number in range(10 ** 9):
    committer.submit([Memory(f'id-{number}', as_latent([number, 1]), Pose(Position(number, 0)),
                             '8d754e64992d6ff', 1e9 + number, 'model', thumbnail=bytes(2000))])
    if committer.stored != said:
        said = committer.stored
        print(said, flush=True)
    while committer.backlog > 100:
        time.sleep(0)
"""


@pytest.mark.parametrize('durability', ['process', 'power'])
@pytest.mark.parametrize('said', [1, 7, 40])
def test_a_killed_process_loses_no_memory_that_counted_as_stored(
        path: Path, durability: str, said: int) -> None:
    with subprocess.Popen([sys.executable, '-c', STORING, str(path), durability], text=True,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        acknowledged = [int(process.stdout.readline()) for _ in range(said)][-1]
        process.send_signal(signal.SIGKILL)
        rest = process.stdout.read().split()
        assert process.wait(20) == -signal.SIGKILL
    acknowledged = max([acknowledged, *map(int, rest[:-1])])  # the last line may be cut short
    assert numbers(path) == list(range(len(numbers(path))))
    assert len(numbers(path)) >= acknowledged
