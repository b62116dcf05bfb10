"""The server behind the application: uvicorn, with a deadline that it has not."""

from __future__ import annotations

import asyncio

from spatial_rag_api.app import create_app
from spatial_rag_api.parts import Parts

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_TIMEOUT_SEC = 10.0
_GRACE_SEC = 3


class PromptH11Protocol(H11Protocol):
    """
    HTTP/1.1 with clients that must send a request's head within HEADER_TIMEOUT_SEC.

    uvicorn waits for it for ever: a few hundred silent connections would keep all others out.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Expect a request."""
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        """Go on waiting for the rest of a head, or wait no more."""
        super().data_received(data)
        if self.conn.their_state is h11.IDLE:
            self._expect_head()
        else:
            self._expect_nothing()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadline."""
        self._expect_nothing()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_TIMEOUT_SEC, self.transport.close)

    def _expect_nothing(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


def server_of(parts: Parts) -> uvicorn.Server:
    """A server that is to be run with a socket that listens."""
    return uvicorn.Server(uvicorn.Config(
        create_app(parts), http=PromptH11Protocol, log_level='warning', access_log=False,
        server_header=False, proxy_headers=False, ws='none', lifespan='off',
        timeout_graceful_shutdown=_GRACE_SEC,
        limit_concurrency=parts.config.limits.max_connections))
