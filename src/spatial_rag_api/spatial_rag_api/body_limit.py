"""Requests that are too large or too slow are refused before they are held in memory."""

from __future__ import annotations

import asyncio

from spatial_rag_api.limits import Limits
from spatial_rag_api.problems import kind_of_status, ProblemResponse

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class BodyLimit:
    """Counts the bytes of a request, whatever its Content-Length says, and their time."""

    def __init__(self, app: ASGIApp, limits: Limits) -> None:
        self._app, self._limits = app, limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or refuse it with 413 or 408."""
        if scope['type'] != 'http':
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get('content-length', '0')
        if not length.isdecimal() or int(length) > self._limits.max_body_bytes:
            await ProblemResponse(kind_of_status(413), self._too_large(length))(
                scope, receive, send)
            return
        await self._app(scope, _Body(receive, self._limits).receive, send)

    def _too_large(self, length: str) -> str:
        return (f'a body of {length} bytes is more than {self._limits.max_body_bytes}; send less, '
                'pictures as JPEG')


class _Body:
    def __init__(self, receive: Receive, limits: Limits) -> None:
        self._receive, self._limits = receive, limits
        self._bytes, self._is_whole = 0, False
        self._deadline = asyncio.get_running_loop().time() + limits.body_timeout_sec

    async def receive(self) -> Message:
        """One piece of it; once it is whole, whatever comes, which may be never."""
        if self._is_whole:
            return await self._receive()
        message = await self._in_time()
        self._bytes += len(message.get('body', b''))
        self._is_whole = not message.get('more_body', False)
        if self._bytes > self._limits.max_body_bytes:
            raise HTTPException(413, f'a body of more than {self._limits.max_body_bytes} bytes; '
                                'send less, pictures as JPEG')
        return message

    async def _in_time(self) -> Message:
        left_sec = self._deadline - asyncio.get_running_loop().time()
        try:
            return await asyncio.wait_for(self._receive(), max(left_sec, 0.001))
        except asyncio.TimeoutError as error:
            raise HTTPException(408, f'the body did not come within '
                                f'{self._limits.body_timeout_sec:g} s; send it faster, or '
                                'less') from error
