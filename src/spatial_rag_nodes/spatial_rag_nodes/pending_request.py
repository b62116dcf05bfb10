"""A service's request, from its arrival to its answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from typing import Any

from spatial_rag_core.errors import SpatialRagError

from rclpy.task import Future


class BusyError(SpatialRagError):
    """Not now: more requests wait than will be served soon, or the node is closing."""


class PendingRequest:
    """
    Goes through a callback step by step, and sends its answer at once when that is there.

    The executor awaits it. Who closes the service can end it before: an executor takes its next
    step only after the service is gone.

    answering: what the callback, a coroutine function, returned.  send: takes the answer.
    """

    def __init__(self, answering: Coroutine[Any, None, Any], send: Callable[[Any], None]) -> None:
        self._answering, self._send = answering, send
        self._awaited: object = None
        self.is_open = True
        self.go_on()

    def go_on(self) -> None:
        """Take the next step, where what it waits for is there."""
        if not isinstance(self._awaited, Future) or self._awaited.done():
            self._step(lambda: self._answering.send(None))

    def refuse(self, error: BusyError) -> None:
        """Have the callback answer that what it waits for will not come."""
        while self.is_open:
            self._step(lambda: self._answering.throw(error))

    def _step(self, step: Callable[[], object]) -> None:
        if not self.is_open:
            return
        try:
            self._awaited = step()
        except StopIteration as end:
            self.is_open = False
            self._send(end.value)

    def __await__(self) -> Generator[object, None, None]:
        while self.is_open:
            yield self._awaited  # None, or by later releases of rclpy the future
            self.go_on()
