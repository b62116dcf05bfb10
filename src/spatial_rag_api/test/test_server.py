"""Health, figures, keys, hosts and sizes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import socket
import time

from spatial_rag_api import serving
from spatial_rag_api.limits import Limits
from spatial_rag_core.models.bundle import Bundle

import httpx
import pytest

from .robots import client_of, MEMORIES, parts_of, quick

KEY = 'a-key-of-some-length'
ROUTES = ('/stats', '/metrics', '/version', '/openapi.json', '/memory/1', '/memory/cells',
          '/stream-rollout?from_memory=1', '/nowhere')


@pytest.fixture(scope='module')
def guarded(bundle_path: Path, memory_path: Path) -> Iterator[httpx.Client]:
    with parts_of(bundle_path, memory_path, host='0.0.0.0', api_key=KEY) as parts, \
            client_of(parts) as client:
        yield client


@pytest.fixture(scope='module')
def bounded(bundle_path: Path, memory_path: Path) -> Iterator[httpx.Client]:
    with parts_of(bundle_path, memory_path, limits=quick()) as parts, client_of(parts) as client:
        yield client


def test_it_is_alive_and_ready(client: httpx.Client) -> None:
    assert client.get('/health').json() == {'status': 'alive'}
    assert client.get('/ready').json() == {'status': 'ready', 'memory': 'ready'}


def test_stats_tell_what_memory_and_model_are(client: httpx.Client, bundle: Bundle) -> None:
    stats = client.get('/stats').json()
    assert stats['memory']['count'] == stats['memory']['findable'] == MEMORIES
    assert stats['memory']['session_count'] == 1
    assert stats['memory']['note'] == ''
    assert stats['model']['model_id'] == stats['memory']['model_id'] == bundle.model_id
    assert (stats['model']['z_dim'], stats['model']['action_dim']) == (32, 2)
    assert stats['model']['trained'] is False
    assert client.get('/version').json()['model_id'] == bundle.model_id


def test_prometheus_counts_by_route_and_not_by_path(client: httpx.Client) -> None:
    for seq in (1, 2, 3):
        client.get(f'/memory/{seq}')
    client.get('/never/heard/of')
    text = client.get('/metrics').text
    assert f'spatial_rag_memories {MEMORIES:.1f}' in text
    assert 'route="/memory/{seq}",status="200"' in text
    assert 'route="none",status="404"' in text
    assert 'never' not in text


@pytest.mark.parametrize('path', ROUTES)
@pytest.mark.parametrize('headers', [
    {}, {'X-API-Key': 'a-key-of-some-lengtH'}, {'Authorization': 'Basic ' + KEY},
    {'X-API-Key': ''}, {'Authorization': 'Bearer'}, {'X-API-Key': KEY + ' and more'},
    {'X-API-Key': b'\xff\xfe'}])
def test_without_the_key_there_is_no_answer(
        guarded: httpx.Client, path: str, headers: dict[str, str | bytes]) -> None:
    answer = guarded.get(path, headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 401
    assert answer.headers['www-authenticate'] == 'Bearer'
    assert answer.json()['remedy'] == 'send the header X-API-Key, or Authorization: Bearer'


@pytest.mark.parametrize('headers', [{'X-API-Key': KEY}, {'Authorization': 'Bearer ' + KEY},
                                     {'authorization': 'bearer  ' + KEY}])
def test_the_key_opens(guarded: httpx.Client, headers: dict[str, str]) -> None:
    assert guarded.get('/stats', headers=headers).status_code == 200


def test_watchdogs_need_no_key(guarded: httpx.Client) -> None:
    assert guarded.get('/health').status_code == guarded.get('/ready').status_code == 200


@pytest.mark.parametrize(('host', 'status'), [
    ('127.0.0.1', 200), ('localhost:8080', 200), ('[::1]:8080', 200), ('127.0.0.1:1', 200),
    ('robot.example', 421), ('127.0.0.1.example', 421), ('[::2]', 421), ('', 421)])
def test_a_web_page_whose_name_points_here_gets_nothing(
        client: httpx.Client, host: str, status: int) -> None:
    answer = client.get('/memory/1', headers={'Host': host})
    assert answer.status_code == status


def test_what_is_not_there_is_told_as_a_problem(client: httpx.Client) -> None:
    for answer, status in ((client.get('/nowhere'), 404), (client.get('/predict'), 405),
                           (client.request('BREW', '/encode'), 405)):
        assert answer.status_code == status
        assert answer.headers['content-type'] == 'application/problem+json'


@pytest.mark.parametrize('body', [b'', b'{', b'[]', b'null', b'\xff', b'{"z": "\\ud800"}',
                                  b'[' * 100_000, b'{"z": [' + b'1,' * 100_000 + b'1]}'])
def test_bodies_that_are_not_json_of_the_right_kind_are_refused(
        client: httpx.Client, body: bytes) -> None:
    answer = client.post('/predict', content=body, headers={'Content-Type': 'application/json'})
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.headers['content-type'] == 'application/problem+json'
    assert len(answer.content) < 3000


def test_a_body_that_says_it_is_too_large_is_refused_before_it_comes(
        client: httpx.Client) -> None:
    port = client.base_url.port
    with socket.create_connection(('127.0.0.1', port), 5.0) as connection:
        connection.sendall(b'POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n'
                           b'Content-Length: 1000000000\r\n\r\n')
        assert b' 413 ' in connection.recv(200)


def test_a_body_that_turns_out_too_large_is_refused(client: httpx.Client) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield bytes(1_000_000)
    try:
        answer = client.post('/predict', content=endless(),
                             headers={'Content-Type': 'application/json'})
    except httpx.TransportError:
        return  # the connection was closed while it was being sent
    assert answer.status_code == 413
    assert str(Limits().max_body_bytes) in answer.json()['detail']


def test_a_client_that_sends_no_request_is_not_waited_for(
        client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, 'HEADER_TIMEOUT_SEC', 0.2)
    for sent in (b'', b'GET / HTTP/1.1\r\nHost: ', b'GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n'
                 b'\r\nGET /health HTTP'):
        with socket.create_connection(('127.0.0.1', client.base_url.port), 20.0) as connection:
            connection.sendall(sent)
            while connection.recv(1000):
                pass


def test_a_body_that_does_not_come_is_not_waited_for(bounded: httpx.Client) -> None:
    begun = time.monotonic()
    with socket.create_connection(('127.0.0.1', bounded.base_url.port), 20.0) as connection:
        connection.sendall(b'POST /predict HTTP/1.1\r\nHost: 127.0.0.1\r\n'
                           b'Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{')
        assert b' 408 ' in connection.recv(200)
    assert time.monotonic() - begun < 15.0


def test_a_page_of_another_origin_may_ask_where_it_is_allowed(
        bundle_path: Path, memory_path: Path) -> None:
    page = 'http://localhost:3000'
    preflight = {'Access-Control-Request-Method': 'POST',
                 'Access-Control-Request-Headers': 'content-type,x-api-key'}
    with parts_of(bundle_path, memory_path, api_key=KEY, allowed_origins=(page,)) as parts, \
            client_of(parts) as client:
        allowed, other = (client.options('/predict', headers={**preflight, 'Origin': origin})
                          for origin in (page, 'http://localhost:3001'))
        assert allowed.headers['access-control-allow-origin'] == page
        assert 'access-control-allow-origin' not in other.headers
        answer = client.get('/stats', headers={'Origin': page})
        assert answer.status_code == 401  # allowed to ask, and to read that a key is missing
        assert answer.headers['access-control-allow-origin'] == page


def test_no_page_of_another_origin_may_read_where_none_is_allowed(client: httpx.Client) -> None:
    answer = client.get('/stats', headers={'Origin': 'http://localhost:3000'})
    assert 'access-control-allow-origin' not in answer.headers
