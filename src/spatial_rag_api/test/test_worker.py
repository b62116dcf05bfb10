"""Threads that do what takes long."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
import contextlib
import threading

from spatial_rag_api.worker import BusyError, Worker

import pytest


class Gate:
    """A job that waits until it is let go."""

    def __init__(self) -> None:
        self.begun, self.open, self.count = threading.Event(), threading.Event(), 0

    def job(self) -> str:
        self.begun.set()
        assert self.open.wait(20.0)
        self.count += 1
        return 'done'


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.open.set()


def test_what_a_job_returns_or_raises_comes_back() -> None:
    with contextlib.closing(Worker('worker')) as worker:
        assert worker.do(divmod, 7, 2) == (3, 1)
        assert asyncio.run(worker.run(divmod, 7, 2)) == (3, 1)
        with pytest.raises(ZeroDivisionError):
            asyncio.run(worker.run(divmod, 7, 0))
        assert worker.at_hand == 0
        assert worker.oldest_sec == 0.0


def test_one_job_too_many_is_refused_at_once(gate: Gate) -> None:
    async def ask(worker: Worker) -> None:
        first = asyncio.create_task(worker.run(gate.job))
        second = asyncio.create_task(worker.run(gate.job))
        await asyncio.sleep(0)
        assert worker.at_hand == 2
        with pytest.raises(BusyError, match='2 requests wait for the worker already; ask again'):
            await worker.run(gate.job)
        gate.open.set()
        assert [await first, await second] == ['done', 'done']
        assert await worker.run(gate.job) == 'done'
    with contextlib.closing(Worker('worker', most_waiting=2)) as worker:
        asyncio.run(ask(worker))


def test_who_waits_too_long_gives_up_and_the_job_is_done_to_its_end(gate: Gate) -> None:
    with contextlib.closing(Worker('worker', timeout_sec=0.05)) as worker:
        with pytest.raises(BusyError, match=r'worker did not answer within 0.05 s; ask for less'):
            asyncio.run(worker.run(gate.job))
        assert worker.at_hand == 1
        assert worker.oldest_sec > 0.0
        gate.open.set()
    assert gate.count == 1


def test_a_job_whose_asker_went_before_it_began_is_left_out(gate: Gate) -> None:
    async def ask(worker: Worker) -> None:
        first = asyncio.create_task(worker.run(gate.job))
        gone = asyncio.create_task(worker.run(gate.job))
        await asyncio.to_thread(gate.begun.wait, 20.0)
        gone.cancel()
        with pytest.raises(asyncio.CancelledError):
            await gone
        gate.open.set()
        await first
    with contextlib.closing(Worker('worker')) as worker:
        asyncio.run(ask(worker))
    assert gate.count == 1
    assert worker.at_hand == 0
