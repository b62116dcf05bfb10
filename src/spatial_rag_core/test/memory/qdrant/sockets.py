"""Servers for the client to meet: a stand-in that answers, and sockets that do not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
import json
from pathlib import Path
import re
import socket
import ssl
import threading
from typing import Any

from spatial_rag_core.memory.qdrant.collection import CollectionStore
from spatial_rag_core.memory.qdrant.server import vectors_config
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.spatial.h3_cells import H3Grid

from qdrant_client import models, QdrantClient
from qdrant_client.local.qdrant_local import QdrantLocal

Answer = tuple[int, Any]


class StandIn:
    """
    The part of Qdrant's REST interface that is used here, over qdrant-client's local engine.

    The client under test speaks to it over a socket, as to a server. requests: what it was asked,
    (method, path, body). Shards by key are noted and then ignored: the local engine has none.
    """

    def __init__(self, api_key: str = '', version: str = '1.20.0',
                 certificate: tuple[Path, Path] | None = None) -> None:
        self.api_key = api_key
        self.version = version
        self.certificate = certificate
        self.requests: list[tuple[str, str, Any]] = []
        self.shard_keys: list[str] = []
        self.put_points = 0
        self.local = QdrantLocal(':memory:')
        self._lock = threading.Lock()
        self._http: ThreadingHTTPServer | None = None
        self.port = 0
        self.start()

    def start(self) -> None:
        """Listen, on the same port as before where it listened before."""
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get('Content-Length', 0))
                body = json.loads(self.rfile.read(length) or 'null')
                status, result = stand_in.answer(
                    self.command, self.path.partition('?')[0], body,
                    self.headers.get('api-key', ''))
                content = json.dumps(result, default=_plain).encode()
                self.send_response(status)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(('127.0.0.1', self.port), Handler)
        self._http.daemon_threads = True
        if self.certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def stop(self) -> None:
        """Refuse from now on; what it holds stays."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def empty(self) -> None:
        """Lose everything, as a server does whose disk was not kept."""
        with self._lock:
            self.local = QdrantLocal(':memory:')
            self.shard_keys = []

    def answer(self, method: str, path: str, body: Any, key: str) -> Answer:
        self.requests.append((method, path, body))
        if key != self.api_key:
            return 401, {'status': {'error': 'Must provide an API key'}, 'time': 0}
        if path == '/':
            return 200, {'title': 'qdrant - vector search engine', 'version': self.version}
        try:
            with self._lock:
                return 200, {'result': self._result(method, path, body), 'status': 'ok',
                             'time': 0}
        except ValueError as error:
            status = 404 if 'not found' in str(error) else 409
            return status, {'status': {'error': f'{error}'}, 'time': 0}

    def _result(self, method: str, path: str, body: Any) -> Any:
        name, rest = re.fullmatch(r'/collections/([^/]+)(.*)', path).groups()  # type: ignore[union-attr]
        return _ROUTES[f'{method} {rest}'](self, name, body or {})


def _plain(value: Any) -> Any:
    return value.model_dump(mode='json', exclude_unset=True)


def _create(server: StandIn, name: str, body: Any) -> bool:
    request = models.CreateCollection(**body)
    if server.local.collection_exists(name):
        raise ValueError(f'Collection `{name}` already exists!')
    return server.local.create_collection(name, vectors_config=request.vectors)


def _info(server: StandIn, name: str, _: Any) -> Any:
    info = server.local.get_collection(name).model_dump(mode='json')
    indexed = [asked['field_name'] for method, path, asked in server.requests
               if method == 'PUT' and path == f'/collections/{name}/index']
    return {**info, 'payload_schema': {
        field: {'data_type': 'keyword', 'points': 0} for field in indexed}}


def _upsert(server: StandIn, name: str, body: Any) -> Any:
    points = models.PointsList(**body).points
    server.put_points += len(points)
    return server.local.upsert(name, points)


def _delete(server: StandIn, name: str, body: Any) -> Any:
    selector = models.FilterSelector(**body) if 'filter' in body else models.PointIdsList(**body)
    return server.local.delete(name, selector)


def _set_payload(server: StandIn, name: str, body: Any) -> Any:
    request = models.SetPayload(**body)
    return server.local.set_payload(name, request.payload, request.filter or request.points)


def _query(server: StandIn, name: str, body: Any) -> Any:
    ask = models.QueryRequest(**body)
    return server.local.query_points(
        name, ask.query, using=ask.using, query_filter=ask.filter, limit=ask.limit,
        with_payload=ask.with_payload, with_vectors=ask.with_vector)


def _scroll(server: StandIn, name: str, body: Any) -> Any:
    ask = models.ScrollRequest(**body)
    points, offset = server.local.scroll(
        name, ask.filter, limit=ask.limit, offset=ask.offset, with_payload=ask.with_payload,
        with_vectors=ask.with_vector)
    return models.ScrollResult(points=points, next_page_offset=offset)


def _shards(server: StandIn, name: str, _: Any) -> Any:
    shards = [{'shard_id': n, 'shard_key': key, 'points_count': 0, 'state': 'Active'}
              for n, key in enumerate(server.shard_keys)]
    return {'peer_id': 1, 'shard_count': len(shards), 'local_shards': shards,
            'remote_shards': [], 'shard_transfers': []}


def _add_shard(server: StandIn, name: str, body: Any) -> bool:
    if body['shard_key'] in server.shard_keys:
        raise ValueError(f'Sharding key {body["shard_key"]} already exists')
    server.shard_keys.append(body['shard_key'])
    return True


_ROUTES: dict[str, Callable[[StandIn, str, Any], Any]] = {
    'GET /exists': lambda server, name, _: {'exists': server.local.collection_exists(name)},
    'GET ': _info,
    'GET /cluster': _shards,
    'PUT ': _create,
    'PUT /index': lambda *_: {'operation_id': 0, 'status': 'completed'},
    'PUT /shards': _add_shard,
    'PUT /points': _upsert,
    'POST /points': lambda server, name, body: server.local.retrieve(name, body['ids']),
    'POST /points/delete': _delete,
    'POST /points/payload': _set_payload,
    'POST /points/query': _query,
    'POST /points/scroll': _scroll,
    'POST /points/count': lambda server, name, body: server.local.count(
        name, models.Filter(**body['filter']) if body.get('filter') else None),
}


class LocalClient(QdrantClient):
    """The client's local mode; its searches are exact, and it warns of who says so."""

    def __init__(self) -> None:
        super().__init__(':memory:')

    def query_points(self, *args: Any, search_params: Any = None, **kwargs: Any) -> Any:
        return super().query_points(*args, **kwargs)


def local_index(z_dim: int, grid: H3Grid) -> QdrantIndex:
    """An empty index in the client's local mode."""
    client = LocalClient()
    client.create_collection('spatial_rag', vectors_config=vectors_config(z_dim))
    return QdrantIndex(CollectionStore(client, 'spatial_rag', 77, 'local mode'), grid)


@contextlib.contextmanager
def stand_in(**options: Any) -> Iterator[StandIn]:
    server = StandIn(**options)
    try:
        yield server
    finally:
        server.stop()


@contextlib.contextmanager
def rude_server(behave: Callable[[socket.socket], None]) -> Iterator[int]:
    """Listen on a port of its own and treat every connection by `behave`; gives the port."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        held: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                with contextlib.suppress(OSError):
                    behave(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            for connection in held:
                connection.close()


def hang(connection: socket.socket) -> None:
    """Never answer."""


def cut(connection: socket.socket) -> None:
    """Begin an answer and drop the connection in the middle of it."""
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"result": [')
    connection.close()


def talk_nonsense(connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(b'SSH-2.0-OpenSSH_9.2\r\n')
    connection.close()


def answer_a_page(connection: socket.socket) -> None:
    """Answer as a web server does that is no Qdrant."""
    connection.recv(65536)
    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>')
    connection.close()


def free_port() -> int:
    """A port where nothing listens."""
    with socket.create_server(('127.0.0.1', 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def bad_line_to(port: int, answered: Callable[[], float]) -> Iterator[int]:
    """
    Pass connections on to a port, but let through only a part of each answer.

    answered: how much of the next answer, 0 to 1; above 1: all of it.
    """
    def carry(near: socket.socket) -> None:
        with near, socket.create_connection(('127.0.0.1', port)) as far:
            far.sendall(_message(near))
            answer = _message(far)
            near.sendall(answer[:int(len(answer) * answered())])

    with rude_server(lambda near: threading.Thread(
            target=_quietly, args=(carry, near), daemon=True).start()) as own_port:
        yield own_port


def _quietly(carry: Callable[[socket.socket], None], near: socket.socket) -> None:
    with contextlib.suppress(OSError):
        carry(near)


def _message(sender: socket.socket) -> bytes:
    """One whole HTTP message."""
    message = b''
    while b'\r\n\r\n' not in message:
        message += _some(sender)
    head, _, body = message.partition(b'\r\n\r\n')
    length = re.search(rb'(?i)content-length: *(\d+)', head)
    while len(body) < (0 if length is None else int(length[1])):
        more = _some(sender)
        message, body = message + more, body + more
    return message


def _some(sender: socket.socket) -> bytes:
    received = sender.recv(65536)
    if not received:
        raise ConnectionError('it hung up')
    return received
