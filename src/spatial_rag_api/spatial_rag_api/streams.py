"""Streams of events, a bounded number of them, each of which ends with its client."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
import contextlib

from spatial_rag_api.limits import Limits
from spatial_rag_api.metrics import Metrics
from spatial_rag_api.problems import of_error
from spatial_rag_api.worker import BusyError

from sse_starlette import EventSourceResponse, ServerSentEvent
from sse_starlette.sse import SendTimeoutError
from starlette.types import Receive, Scope, Send

Events = AsyncGenerator[ServerSentEvent, None]

_PING_SEC = 15.0


class Streams:
    """How many streams there are; for the event loop only."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self.limits, self._metrics = limits, metrics
        self.count = 0

    def require_room(self) -> None:
        """Raise BusyError where one more would be too many."""
        if self.count >= self.limits.max_streams:
            raise BusyError(f'{self.count} clients take streams already, the most that this '
                            'server serves; close one, or ask again later')

    @contextlib.contextmanager
    def place(self) -> Iterator[None]:
        """Take a place while it lasts; raises BusyError."""
        self.require_room()
        self.count += 1
        self._metrics.streams.set(self.count)
        try:
            yield
        finally:
            self.count -= 1
            self._metrics.streams.set(self.count)


class StreamResponse(EventSourceResponse):
    """
    Events to one client, as fast as it takes them.

    The next event is made when the one before was taken, so a slow client holds up nobody but
    itself; one that takes nothing for send_timeout_sec is left. Whatever ends it, the client
    included, the generator is closed and its place given back before this returns.
    """

    def __init__(self, events: Events, streams: Streams) -> None:
        super().__init__(events, ping=_PING_SEC, sep='\n',
                         send_timeout=streams.limits.send_timeout_sec)
        self._events, self._streams = events, streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send them, or that there are too many streams."""
        async with contextlib.aclosing(self._events):
            try:
                with self._streams.place(), contextlib.suppress(SendTimeoutError):
                    await super().__call__(scope, receive, send)
            except BusyError as error:
                await of_error(error)(scope, receive, send)
