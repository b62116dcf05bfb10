"""Threads for what takes long in a service, so that a node's topics never wait for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
import contextlib
from typing import Any, ParamSpec, TypeVar

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_nodes.health import Health

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.task import Future

P = ParamSpec('P')
Result = TypeVar('Result')


class BusyError(SpatialRagError):
    """More requests wait than will be served soon."""


class ServiceThreads:
    """
    Runs work beside the node's executor, which goes on with everything else meanwhile.

    The executor stays single-threaded: callbacks begin and end in its own thread.
    """

    def __init__(self, node: Node, name: str, count: int = 1, most_waiting: int = 50) -> None:
        self._node = node
        self._pool = ThreadPoolExecutor(count, name)
        self._sender = ThreadPoolExecutor(1, f'{name}-answers')
        self._waiting, self._most_waiting = 0, most_waiting
        self._group = ReentrantCallbackGroup()

    def create_service(self, kind: type, name: str, health: Health,
                       serve: Callable[[Any, Any], Awaitable[Any]], failure_code: int) -> None:
        """
        Offer a service whose callback, a coroutine function, may await `run`.

        Its answers are sent from a thread, too: to write a long one into a message takes 0.1 s.
        What the callback does not foresee is answered with failure_code.
        """
        service = self._node.create_service(
            kind, name, health.serving(serve, failure_code), callback_group=self._group)
        send = health.guarded(service.send_response)

        def send_later(*answer: Any) -> None:
            with contextlib.suppress(RuntimeError):  # closed: nobody waits for it any more
                self._sender.submit(send, *answer)
        service.send_response = send_later

    async def run(self, work: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
        """Return what work returns, or raise what it raises; BusyError where too many wait."""
        if self._waiting >= self._most_waiting:
            raise BusyError(f'{self._waiting} requests wait already; ask again later')
        future: Future = Future()

        def finish() -> None:
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:
                future.set_exception(error)
            with contextlib.suppress(Exception):  # no executor, or one that has ended
                self._node.executor.wake()
        self._waiting += 1
        try:
            self._pool.submit(finish)
            return await future
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Wait for the work at hand; what has not begun never will."""
        for pool in (self._pool, self._sender):
            pool.shutdown(wait=True, cancel_futures=True)
