"""Who may ask: the owner of the key; without a key, programs of this computer."""

from __future__ import annotations

from collections.abc import Mapping
import hmac

from spatial_rag_api.config import ApiConfig, is_loopback
from spatial_rag_api.problems import kind_of_status, ProblemResponse

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

OPEN_PATHS = frozenset({'/health', '/ready'})
"""What watchdogs ask, which have no key; they tell nothing of what the robot saw."""


class AccessGuard:
    """
    Lets no request through that has not the key.

    Without a key only requests to a loopback name pass: a web page whose name was made to point
    at this computer (DNS rebinding) gets no pictures out of the memory.
    """

    def __init__(self, app: ASGIApp, config: ApiConfig) -> None:
        self._app = app
        self._key = None if config.api_key is None else config.api_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on, or refuse it."""
        refusal = self._refusal(scope) if scope['type'] == 'http' else None
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, scope: Scope) -> ProblemResponse | None:
        headers = Headers(scope=scope)
        if self._key is None:
            return None if is_loopback(_host_of(headers)) else ProblemResponse(
                kind_of_status(421), f'host {_host_of(headers)!r} is not this computer, and '
                'there is no API key; ask by 127.0.0.1 or localhost, or set SPATIAL_RAG_API_KEY')
        if scope['path'] in OPEN_PATHS or hmac.compare_digest(_key_of(headers), self._key):
            return None
        return ProblemResponse(kind_of_status(401), 'no API key, or a wrong one; send the header '
                               'X-API-Key, or Authorization: Bearer',
                               {'WWW-Authenticate': 'Bearer'})


def _key_of(headers: Mapping[str, str]) -> bytes:
    """The key that was sent, in any encoding; compared as bytes it cannot raise."""
    scheme, _, token = headers.get('authorization', '').partition(' ')
    given = headers.get('x-api-key') or (token.strip() if scheme.lower() == 'bearer' else '')
    return given.encode('utf-8', 'surrogateescape')


def _host_of(headers: Mapping[str, str]) -> str:
    """Name or address of the Host header, without its port."""
    host = headers.get('host', '')
    if host.startswith('['):
        return host[1:].partition(']')[0]
    return host.partition(':')[0]
