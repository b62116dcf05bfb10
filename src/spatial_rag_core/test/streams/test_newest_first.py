from __future__ import annotations

from collections.abc import Iterator
import threading

from spatial_rag_core.streams.newest_first import NewestFirstWorker

import pytest

PATIENCE_SEC = 20.0


class SlowWork:
    """Work that the test lets finish one item at a time."""

    def __init__(self) -> None:
        self.done: list[int] = []
        self.started = threading.Semaphore(0)
        self.may_finish = threading.Semaphore(0)

    def __call__(self, item: int) -> None:
        self.started.release()
        assert self.may_finish.acquire(timeout=PATIENCE_SEC)
        self.done.append(item)


@pytest.fixture
def work() -> SlowWork:
    return SlowWork()


@pytest.fixture
def worker(work: SlowWork) -> Iterator[NewestFirstWorker[int]]:
    worker = NewestFirstWorker(work, 'slow work')
    yield worker
    work.may_finish.release(100)
    worker.close()


def test_an_item_that_came_too_late_to_be_overtaken_is_worked_on(
        worker: NewestFirstWorker[int], work: SlowWork) -> None:
    for item in range(3):
        assert worker.put(item)
        assert work.started.acquire(timeout=PATIENCE_SEC)
        work.may_finish.release()
    worker.close()
    assert work.done == [0, 1, 2]


def test_what_waits_behind_slow_work_is_replaced_by_the_newest_and_counted(
        worker: NewestFirstWorker[int], work: SlowWork) -> None:
    assert worker.put(0)
    assert work.started.acquire(timeout=PATIENCE_SEC)
    assert [worker.put(item) for item in (1, 2, 3)] == [True, False, False]
    work.may_finish.release()
    assert work.started.acquire(timeout=PATIENCE_SEC)
    work.may_finish.release()
    worker.close()
    assert work.done == [0, 3]


def test_close_finishes_the_item_at_hand_and_ends_the_thread(
        worker: NewestFirstWorker[int], work: SlowWork) -> None:
    worker.put(0)
    assert work.started.acquire(timeout=PATIENCE_SEC)
    worker.put(1)
    closing = threading.Thread(target=worker.close)
    closing.start()
    work.may_finish.release()
    closing.join(PATIENCE_SEC)
    assert not closing.is_alive()
    assert 'slow work' not in {thread.name for thread in threading.enumerate()}
    assert work.done[0] == 0
