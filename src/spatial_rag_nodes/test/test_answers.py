"""Every request is answered, and another service's answer is waited for no longer than told."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import threading
from types import SimpleNamespace
from typing import Any

from spatial_rag_core.errors import JournalError
from spatial_rag_msgs.srv import GetMemory, MemoryStats
from spatial_rag_nodes.answers import answer_of, answering
from spatial_rag_nodes.health import Health, OK, Standing
from spatial_rag_nodes.service_threads import ServiceThreads

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

pytestmark = pytest.mark.ros


class Subject:
    """The service `front` in the probe's own node, which asks the service `behind`."""

    def __init__(self, probe: Any) -> None:
        self.probe, self.node = probe, probe.node
        self.behind = self.node.create_client(MemoryStats, 'behind')
        self.timeout_sec = 20.0
        self.threads = ServiceThreads(self.node, 'front')
        self.threads.create_service(
            GetMemory, 'front', Health(self.node, dict), self._serve, 200)
        self._client = self.node.create_client(GetMemory, 'front')
        probe.until(self._client.service_is_ready)

    async def _serve(self, _: Any, response: Any) -> Any:
        answer = await answer_of(self.node, self.behind, MemoryStats.Request(),
                                 self.timeout_sec, 'scribe')
        response.message = answer.message
        return response

    def offer(self, serve: Any) -> None:
        self.node.create_service(MemoryStats, 'behind', serve,
                                 callback_group=ReentrantCallbackGroup())
        self.probe.until(self.behind.service_is_ready)

    def ask(self) -> Any:
        return self._client.call_async(GetMemory.Request())

    def message(self, future: Any) -> str:
        self.probe.until(future.done)
        return future.result().message

    def is_waiting(self) -> bool:
        """Whether anything is left of a question."""
        return bool(self.behind._pending_requests) or any(
            isinstance(thread, threading.Timer) for thread in threading.enumerate())


@pytest.fixture
def subject(lab: Any) -> Iterator[Subject]:
    subject = Subject(lab.probe)
    with contextlib.closing(subject.threads):
        yield subject


async def mute(_request: Any, _response: Any) -> Any:
    await Future()


def test_the_answer_comes_back(subject: Subject) -> None:
    def serve(_: Any, response: Any) -> Any:
        response.message = 'a hundred'
        return response
    subject.offer(serve)
    assert subject.message(subject.ask()) == 'a hundred'
    subject.probe.until(lambda: not subject.is_waiting())


def test_a_service_that_is_not_there_is_told_at_once(subject: Subject) -> None:
    assert subject.message(subject.ask()) == (
        'there is no service /behind; is the scribe running?')


def test_a_service_that_does_not_answer_is_waited_for_so_long_and_no_longer(
        subject: Subject) -> None:
    subject.offer(mute)
    subject.timeout_sec = 0.3
    assert subject.message(subject.ask()) == (
        'no answer from /behind within 0.3 s; does the scribe hang?')
    subject.probe.until(lambda: not subject.is_waiting())


def test_at_the_end_nobody_waits_for_it(subject: Subject) -> None:
    subject.offer(mute)
    asked = subject.ask()
    subject.probe.until(subject.is_waiting)
    subject.threads.close()
    subject.probe.until(lambda: not subject.is_waiting())
    assert subject.message(asked) == '/probe is closing; ask again later'


def answered(health: Health, error: Exception) -> tuple[int, str]:
    """Code and message where the callback raises."""
    async def serve(_request: Any, _response: Any) -> Any:
        raise error
    with pytest.raises(StopIteration) as end:
        answering(serve, health, 7)(None, SimpleNamespace()).send(None)
    return end.value.value.code, end.value.value.message


@pytest.mark.parametrize(('error', 'message'), [
    (JournalError('no file'), 'no file'), (ZeroDivisionError('bug'), 'internal error: bug')])
def test_what_a_callback_does_not_foresee_is_its_answer(
        lab: Any, error: Exception, message: str) -> None:
    health = Health(lab.probe.node, dict)
    assert answered(health, error) == (7, message)
    assert health.problem_count == 1


def test_a_node_that_does_not_serve_answers_so_and_says_what_it_is(lab: Any) -> None:
    health = Health(lab.probe.node, dict, lambda: Standing(OK, 'inactive', False))
    assert answered(health, AssertionError('asked')) == (
        7, '/probe is inactive; only an active node answers')
    assert health.problem_count == 0
