"""Threads for what takes long in a service, so that a node's topics never wait for it."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from functools import partial
import threading
import time
from typing import Any, ParamSpec, TypeVar

from spatial_rag_nodes.answers import answering, Serve, wake
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.pending_request import BusyError, PendingRequest
from spatial_rag_nodes.rclpy_internals import (
    before_destroy,
    intercept_answers,
    Send,
    take_requests,
)
from spatial_rag_nodes.work_queue import WorkQueue

from rclpy.node import Node
from rclpy.service import Service
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

    most_waiting: requests that each service takes in at a time.  changes: whether work that is
    left behind may have changed something, of which who asked for it is told.
    """

    def __init__(self, node: Node, name: str, count: int = 1, most_waiting: int = 50,
                 changes: bool = False) -> None:
        self._node = node
        self._work, self._answers = WorkQueue(name, count), WorkQueue(f'{name} answers')
        self._requests: dict[PendingRequest, str] = {}
        self._most_waiting, self._changes = most_waiting, changes
        self._is_closed = False
        self._last_sent_sec = float('-inf')  # monotonic

    def create_service(self, kind: type, name: str, health: Health, serve: Serve,
                       failure_code: int) -> None:
        """
        Offer a service whose callback may await `run`.

        Its answers are sent from a thread, too: to write a long one into a message takes 0.1 s.
        What the callback does not foresee is answered with failure_code.
        """
        async def admit(request: Any, response: Any) -> Any:
            waiting = sum(asked == name for asked in self._requests.values())
            if waiting >= self._most_waiting:
                raise BusyError(f'{waiting} requests wait already; ask again later')
            return await serve(request, response)

        begin = answering(admit, health, failure_code)
        # A plain function: what it returns, the coroutine, is not awaited but goes to _follow.
        service = self._node.create_service(
            kind, name, lambda request, response: begin(request, response))

        def follow(send: Send) -> Send:
            send = health.guarded(send)
            before_destroy(service, health.guarded(
                partial(self._refuse_untaken, service, send, failure_code)))
            return partial(self._follow, name, send)
        intercept_answers(service, follow)

    def _follow(self, name: str, send: Send, begun: Coroutine[Any, None, Any],
                header: object) -> None:
        request = PendingRequest(
            begun, lambda answer: self._answers.put(partial(self._send, send, answer, header)))
        if request.is_open:
            self._requests[request] = name
            self._node.executor.create_task(self._until_answered, request)

    def _send(self, send: Send, answer: object, header: object) -> None:
        send(answer, header)
        self._last_sent_sec = time.monotonic()

    async def _until_answered(self, request: PendingRequest) -> None:
        await request
        self._requests.pop(request, None)

    async def run(self, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Return what work returns, or raise what it raises; BusyError where the node closes."""
        if self._is_closed:
            raise self._closing()
        future: Future = Future()
        has_begun = threading.Event()

        def finish() -> None:
            has_begun.set()
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)
            wake(self._node)
        self._work.put(finish)
        try:
            return await future
        except BusyError as error:
            if future.done():
                return future.result()
            if not (has_begun.is_set() and self._changes):
                raise
            raise BusyError(f'{self._node.get_fully_qualified_name()} is closing and waits for '
                            'this no longer; it may be done wholly, in part or not at all, so '
                            'look before you ask again') from error

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

    def _refuse_untaken(self, service: Service, send: Send, failure_code: int) -> None:
        """
        Answer what came while the executor waited for others that close: it would go with them.

        The last thing that a service does.
        """
        for header in take_requests(service):
            self._send(send, service.srv_type.Response(
                code=failure_code, message=str(self._closing())), header)
        left_sec = self._last_sent_sec + _ARRIVAL_SEC - time.monotonic()
        if left_sec > 0.0 and self._node.context.ok():
            time.sleep(left_sec)

    def _closing(self) -> BusyError:
        return BusyError(f'{self._node.get_fully_qualified_name()} is closing; ask again later')
