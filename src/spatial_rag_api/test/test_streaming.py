"""GET /stream-rollout: events, pace, and clients that go without a word."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator
import contextlib
import json
from pathlib import Path
import socket
import threading
import time
from typing import Any

from spatial_rag_api.limits import Limits
from spatial_rag_api.parts import Parts
from spatial_rag_core.models.bundle import Bundle

import httpx
import pytest

from .robots import client_of, parts_of, picture, quick, served

FAST = {'from_memory': 20, 'rate_hz': 60, 'actions': '0.5,0.0'}
ENDLESS = '/stream-rollout?from_memory=latest&repeat=true&rate_hz=60&steps=8'


def events(client: httpx.Client, **asked: object) -> list[tuple[str, Any]]:
    answer = client.get('/stream-rollout', params={
        name: value for name, value in {**FAST, **asked}.items() if value is not None})
    assert answer.status_code == 200, answer.text
    assert answer.headers['content-type'].startswith('text/event-stream')
    found = []
    for block in answer.text.strip().split('\n\n'):
        if block.startswith(':'):  # a ping
            continue
        fields = dict(line.split(': ', 1) for line in block.split('\n'))
        found.append((fields['event'], json.loads(fields['data'])))
    return found


@pytest.fixture
def small(bundle_path: Path, memory_path: Path) -> Iterator[Parts]:
    """A server that serves two streams."""
    limits = Limits(max_streams=2)
    with parts_of(bundle_path, memory_path, limits=limits) as parts:
        yield parts


def test_a_stream_tells_what_a_rollout_tells(client: httpx.Client) -> None:
    told = events(client, steps=5)
    assert [name for name, _ in told] == ['start', *['step'] * 5, 'end']
    plans = [[[0.5, 0.0]] * 5]
    rollout = client.post('/rollout', json={
        'from_memory': 20, 'plans': plans, 'pictures': True}).json()
    assert [data for name, data in told if name == 'step'] == rollout['plans'][0]['steps']
    assert told[0][1]['memories_at_hand'] == rollout['memories_at_hand'] > 0
    assert told[-1][1] == {'reason': 'horizon'}


def test_the_last_action_goes_on_to_the_end(client: httpx.Client) -> None:
    told = events(client, steps=3, actions='0.5,0.0;0.0,0.5', pictures=False)
    plans = [[[0.5, 0.0], [0.0, 0.5], [0.0, 0.5]]]
    rollout = client.post('/rollout', json={'from_memory': 20, 'plans': plans}).json()
    assert [data for name, data in told if name == 'step'] == rollout['plans'][0]['steps']


def test_a_latent_and_a_pose_may_stand_in_the_address(
        client: httpx.Client, bundle: Bundle) -> None:
    z = ','.join(map(str, bundle.encode_image(picture(3)).tolist()))
    told = events(client, from_memory=None, z=z, x_m=2.0, y_m=0.0, steps=2)
    assert told[0][1]['pose_frame'] == 'map'
    assert told[1][1]['memories']


def test_steps_come_at_the_rate_that_was_asked_for(client: httpx.Client) -> None:
    begun = time.monotonic()
    events(client, steps=9, rate_hz=20)
    assert time.monotonic() - begun >= 8 / 20


def test_it_begins_anew_until_the_time_is_over(bundle_path: Path, memory_path: Path) -> None:
    limits = Limits(stream_timeout_sec=2.0)
    with (parts_of(bundle_path, memory_path, limits=limits) as parts,
          client_of(parts) as client):
        told = events(client, steps=2, repeat=True)
    starts = [data['rollout'] for name, data in told if name == 'start']
    assert starts == list(range(1, len(starts) + 1))
    assert len(starts) > 1
    assert told[-1] == ('end', {'reason': 'time_limit'})


@pytest.mark.parametrize(('asked', 'status', 'words'), [
    ({'from_memory': 4000}, 404, '4000'), ({'actions': '0.5'}, 422, 'action_dim'),
    ({'actions': '0,0;0,0', 'steps': 1}, 422, '2 actions'), ({'steps': 257}, 422, 'steps'),
    ({'rate_hz': 0}, 422, 'rate_hz'), ({'rate_hz': 'nan'}, 422, 'rate_hz'),
    ({'z': '1'}, 422, 'z and from_memory'),
    ({'actions': '0,inf'}, 422, 'actions must be'), ({'actions': ';'}, 422, 'actions must be'),
    ({'actions': '0,1e300'}, 422, 'not finite'), ({'stpes': 3}, 422, 'stpes')])
def test_what_cannot_be_streamed_is_told_before_the_stream_begins(
        client: httpx.Client, asked: dict[str, object], status: int, words: str) -> None:
    answer = client.get('/stream-rollout', params={**FAST, **asked})  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert words in answer.json()['detail']


def test_what_goes_wrong_on_the_way_is_told_as_the_last_event(
        bundle_path: Path, memory_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from spatial_rag_core.errors import LatentError

    async def fails(*_: object) -> str:
        raise LatentError('the decoder gives nothing; load another bundle')
    with parts_of(bundle_path, memory_path, limits=quick()) as parts, client_of(parts) as client:
        monkeypatch.setattr(parts.model, 'picture', fails)
        told = events(client, steps=3)
        assert told[-1][0] == 'problem'
        assert told[-1][1]['remedy'] == 'load another bundle'
        until(lambda: parts.streams.count == 0)


def test_one_stream_too_many_is_refused_and_a_place_that_was_left_is_given_again(
        small: Parts) -> None:
    with served(small) as port:
        with contextlib.ExitStack() as open_streams:
            for _ in range(2):
                open_streams.enter_context(begun_stream(port))
            refused = httpx.get(f'http://127.0.0.1:{port}{ENDLESS}', trust_env=False)
            assert refused.status_code == 503
            assert refused.headers['retry-after'] == '1'
            assert '2 clients' in refused.json()['detail']
        until(lambda: small.streams.count == 0)
        with begun_stream(port):
            assert small.streams.count == 1


def test_a_client_that_goes_ends_its_stream_at_once(
        bundle_path: Path, memory_path: Path) -> None:
    """With the slowest stream: it is not the next step that notices."""
    slow = '/stream-rollout?from_memory=1&rate_hz=0.01'
    with parts_of(bundle_path, memory_path) as parts, served(parts) as port:
        with begun_stream(port, slow):
            assert parts.streams.count == 1
        until(lambda: parts.streams.count == 0, 2.0)


def test_clients_that_vanish_leave_no_task_and_no_thread_behind(
        bundle_path: Path, memory_path: Path) -> None:
    with parts_of(bundle_path, memory_path) as parts, served(parts) as port:
        with begun_stream(port):
            pass
        until(lambda: parts.streams.count == 0)
        threads = threading.active_count() + 1  # `lookups` may begin its second one
        for _ in range(50):
            with begun_stream(port, hard=True):
                pass
        until(lambda: parts.streams.count == 0)
        until(lambda: parts.model.worker.at_hand == 0)
        assert threading.active_count() <= threads
        assert tasks_of(port, parts) <= 4  # the server's own, and the watcher of sse-starlette
        text = httpx.get(f'http://127.0.0.1:{port}/metrics', trust_env=False).text
        assert 'spatial_rag_streams 0.0' in text


def test_a_client_that_takes_nothing_is_left_and_holds_up_nobody(
        bundle_path: Path, memory_path: Path) -> None:
    limits = Limits(send_timeout_sec=0.5)
    with (parts_of(bundle_path, memory_path, limits=limits) as parts,
          served(parts, send_bytes=4096) as port, begun_stream(port, ENDLESS, receive_bytes=4096)):
        begun = time.monotonic()
        with httpx.Client(base_url=f'http://127.0.0.1:{port}', trust_env=False,
                          timeout=30.0) as client:
            for _ in range(5):
                assert client.get('/memory/1').status_code == 200
            assert events(client, steps=3)[-1][0] == 'end'
        assert time.monotonic() - begun < 20.0
        until(lambda: parts.streams.count == 0, 60.0)


@contextlib.contextmanager
def begun_stream(port: int, address: str = ENDLESS, hard: bool = False,
                 receive_bytes: int = 65536) -> Iterator[None]:
    """A stream of which the first bytes have come; hard: it ends with a reset."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(30.0)
        connection.connect(('127.0.0.1', port))
        connection.sendall(f'GET {address} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'.encode())
        received = b''
        while b'event: start' not in received:
            received += connection.recv(1024)
        yield
        if hard:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                  b'\x01\x00\x00\x00\x00\x00\x00\x00')


def until(condition: Any, timeout_sec: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_sec
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def tasks_of(port: int, parts: Parts) -> int:
    """Tasks of the server's event loop, counted in it."""
    counted: list[int] = []

    async def count(*_: object) -> str:
        counted.append(len(asyncio.all_tasks()))
        return base64.b64encode(b'jpeg').decode()
    picture_of, parts.model.picture = parts.model.picture, count  # type: ignore[method-assign]
    try:
        httpx.get(f'http://127.0.0.1:{port}/stream-rollout?from_memory=1&steps=1', trust_env=False,
                  timeout=30.0)
    finally:
        parts.model.picture = picture_of  # type: ignore[method-assign]
    return counted[0] - 4  # those of the stream that counts, and of its connection
