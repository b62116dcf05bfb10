"""Work beside the executor: everything else goes on, and what it raises comes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import gc
import threading
import time
from typing import Any
import weakref

from spatial_rag_msgs.srv import MemoryStats
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.rclpy_internals import take_requests, Unexecuted
from spatial_rag_nodes.service_threads import ServiceThreads

import pytest

pytestmark = pytest.mark.ros


class Subject:
    """A service of the probe's own node that does `work` in a thread, and a client of it."""

    def __init__(self, probe: Any, most_waiting: int) -> None:
        self.probe = probe
        self.health = Health(probe.node, dict)
        self.threads = ServiceThreads(
            probe.node, 'test', most_waiting=most_waiting, changes=True)
        self.work: Callable[[], str] = lambda: 'done'
        self.threads.create_service(MemoryStats, 'test', self.health, self._serve, 200)
        self.client = probe.node.create_client(MemoryStats, 'test')
        probe.until(self.client.service_is_ready)

    async def _serve(self, _: Any, response: Any) -> Any:
        response.message = await self.threads.run(self.work)
        return response

    def ask(self) -> Any:
        return self.client.call_async(MemoryStats.Request())

    def messages(self, *futures: Any) -> list[str]:
        self.probe.until(lambda: all(future.done() for future in futures))
        return [future.result().message for future in futures]


@pytest.fixture
def subject(lab: Any) -> Iterator[Subject]:
    subject = Subject(lab.probe, most_waiting=3)
    with contextlib.closing(subject.threads):
        yield subject


def test_the_executor_goes_on_while_the_work_lasts_and_wakes_when_it_ends(
        subject: Subject) -> None:
    go_on = threading.Event()

    def work() -> str:
        return 'released' if go_on.wait(20.0) else 'never released'
    subject.work = work
    asked = subject.ask()
    ticks: list[int] = []
    subject.probe.node.create_timer(0.001, lambda: ticks.append(1))
    subject.probe.until(lambda: len(ticks) > 20)
    assert not asked.done()
    go_on.set()
    assert subject.messages(asked) == ['released']


def test_a_hundred_answers_come_without_anything_else_to_wake_the_executor(
        subject: Subject) -> None:
    for _ in range(100):
        asked = subject.ask()
        while not asked.done():
            subject.probe._executor.spin_once(timeout_sec=5.0)
        assert asked.result().message == 'done'


def test_an_answer_that_cannot_be_sent_is_told_and_the_next_one_comes(
        subject: Subject) -> None:
    subject.work = lambda: 7  # type: ignore[assignment, return-value]
    subject.ask()
    subject.probe.until(lambda: subject.health.problem_count > 0)
    subject.work = lambda: 'fine'
    assert subject.messages(subject.ask()) == ['fine']


def test_what_the_work_raises_comes_back(subject: Subject) -> None:
    def work() -> str:
        raise ValueError('bad luck')
    subject.work = work
    assert subject.messages(subject.ask()) == ['internal error: bad luck']
    subject.work = lambda: 'fine'
    assert subject.messages(subject.ask()) == ['fine']


def test_more_than_can_wait_are_refused_and_the_others_served(subject: Subject) -> None:
    go_on = threading.Event()

    def work() -> str:
        go_on.wait(20.0)
        return 'served'
    subject.work = work
    asked = [subject.ask() for _ in range(5)]
    subject.probe.until(lambda: sum(future.done() for future in asked) == 2)
    go_on.set()
    messages = subject.messages(*asked)
    assert messages.count('served') == 3
    assert messages.count('3 requests wait already; ask again later') == 2


class Held:
    """Work that goes on until it is let go, as a job does whose disk hangs."""

    def __init__(self) -> None:
        self.has_begun, self.may_end = threading.Event(), threading.Event()

    def __call__(self) -> str:
        self.has_begun.set()
        return 'done' if self.may_end.wait(20.0) else 'never let go'


def begun(subject: Subject, work: Held, count: int) -> list[Any]:
    """So many requests, of which the first is at hand."""
    subject.work = work
    asked = [subject.ask() for _ in range(count)]
    subject.probe.until(lambda: len(subject.threads._requests) == count)
    assert work.has_begun.wait(20.0)
    return asked


def test_at_the_end_what_is_at_hand_is_finished_and_all_others_hear_that_it_is_the_end(
        subject: Subject) -> None:
    work = Held()
    asked = begun(subject, work, 3)
    drop = subject.threads._work.drop

    def drop_and_end() -> None:
        drop()
        work.may_end.set()
    subject.threads._work.drop = drop_and_end  # type: ignore[method-assign]
    subject.threads.close(20.0)
    assert subject.messages(*asked) == ['done', *['/probe is closing; ask again later'] * 2]
    assert [future.result().code for future in asked] == [0, 200, 200]


def test_a_request_that_comes_while_it_closes_is_answered_before_the_service_goes(
        subject: Subject) -> None:
    """The second service of the name hears it too: then it is there for both."""
    other = subject.probe.node.create_service(
        MemoryStats, 'test', lambda *_: None, callback_group=Unexecuted())
    service = next(one for one in subject.probe.node.services
                   if one.service_name == '/test' and one is not other)
    subject.threads.close(20.0)
    asked = subject.ask()
    end = time.monotonic() + 20.0
    while not list(take_requests(other)):
        assert time.monotonic() < end
    subject.probe.node.destroy_service(service)
    assert subject.messages(asked) == ['/probe is closing; ask again later']
    assert asked.result().code == 200


def test_what_an_encoder_keeps_waiting_keeps_no_other_service_busy(subject: Subject) -> None:
    work = Held()
    begun(subject, work, 3)
    subject.threads.create_service(MemoryStats, 'other', subject.health, answer_at_once, 200)
    client = subject.probe.node.create_client(MemoryStats, 'other')
    subject.probe.until(client.service_is_ready)
    asked = client.call_async(MemoryStats.Request())
    assert subject.messages(asked) == ['none of its business']
    work.may_end.set()


async def answer_at_once(_request: Any, response: Any) -> Any:
    response.message = 'none of its business'
    return response


def test_work_that_hangs_holds_up_no_end_and_is_held_by_nobody_after_it(
        subject: Subject) -> None:
    work = Held()
    asked = begun(subject, work, 1)
    subject.threads.close(0.1)
    assert subject.messages(asked[0]) == [
        '/probe is closing and waits for this no longer; it may be done wholly, in part or not at '
        'all, so look before you ask again']
    work.may_end.set()
    subject.work, held = lambda: 'done', weakref.ref(work)
    del work

    def is_gone() -> bool:
        gc.collect()
        return held() is None
    subject.probe.until(is_gone, message=lambda: f'held by {gc.get_referrers(held())}')

