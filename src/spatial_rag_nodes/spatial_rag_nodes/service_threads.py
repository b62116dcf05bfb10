"""Threads for what takes long in a service, so that a node's topics never wait for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
import time
from typing import Any, ParamSpec, TypeVar

from spatial_rag_nodes.answers import answering, Serve, wake
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.pending_request import BusyError, PendingRequest
from spatial_rag_nodes.rclpy_internals import intercept_answers, Send
from spatial_rag_nodes.work_queue import WorkQueue

from rclpy.node import Node
from rclpy.task import Future

_ARRIVAL_SEC = 0.5
"""
What the last answers of a service are given to arrive: DDS drops what it hears of a sender after
it has heard that the sender is gone, and the two ways of hearing overtake each other.
"""

P = ParamSpec('P')
Result = TypeVar('Result')


class ServiceThreads:
    """
    Runs work beside the node's executor, which goes on with everything else meanwhile.

    The executor stays single-threaded: callbacks begin and end in its own thread, and so must
    `close`.
    """

    def __init__(self, node: Node, name: str, count: int = 1, most_waiting: int = 50) -> None:
        self._node = node
        self._work, self._answers = WorkQueue(name, count), WorkQueue(f'{name} answers')
        self._requests: set[PendingRequest] = set()
        self._waiting, self._most_waiting = 0, most_waiting
        self._is_closed = False
        self._last_sent_sec = float('-inf')  # monotonic

    def create_service(self, kind: type, name: str, health: Health, serve: Serve,
                       failure_code: int) -> None:
        """
        Offer a service whose callback may await `run`.

        Its answers are sent from a thread, too: to write a long one into a message takes 0.1 s.
        What the callback does not foresee is answered with failure_code.
        """
        begin = answering(serve, health, failure_code)
        # A plain function: what it returns, the coroutine, is not awaited but goes to _follow.
        service = self._node.create_service(
            kind, name, lambda request, response: begin(request, response))
        intercept_answers(service, lambda send: partial(self._follow, health.guarded(send)))

    def _follow(self, send: Send, begun: Coroutine[Any, None, Any], header: object) -> None:
        def send_now(answer: object) -> None:
            send(answer, header)
            self._last_sent_sec = time.monotonic()

        request = PendingRequest(
            begun, lambda answer: self._answers.put(partial(send_now, answer)))
        if request.is_open:
            self._requests.add(request)
            self._node.executor.create_task(self._until_answered, request)

    async def _until_answered(self, request: PendingRequest) -> None:
        await request
        self._requests.discard(request)

    async def run(self, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Return what work returns, or raise what it raises; BusyError where too many wait."""
        if self._is_closed:
            raise self._closing()
        if self._waiting >= self._most_waiting:
            raise BusyError(f'{self._waiting} requests wait already; ask again later')
        future: Future = Future()

        def finish() -> None:
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)
            wake(self._node)
        self._waiting += 1
        try:
            self._work.put(finish)
            return await future
        finally:
            self._waiting -= 1

    def close(self, timeout_sec: float = 2.0) -> None:
        """
        Answer every request that is here, with BusyError where it cannot be served any more.

        Work that has begun is finished, unless it takes longer than that; what has not never is.
        """
        self._is_closed = True
        self._work.drop()
        self._work.close(timeout_sec)
        for request in self._requests:
            request.go_on()
            request.refuse(self._closing())
        self._answers.close(timeout_sec)
        left_sec = self._last_sent_sec + _ARRIVAL_SEC - time.monotonic()
        if left_sec > 0.0 and self._node.context.ok():
            time.sleep(left_sec)

    def _closing(self) -> BusyError:
        return BusyError(f'{self._node.get_fully_qualified_name()} is closing; ask again later')
