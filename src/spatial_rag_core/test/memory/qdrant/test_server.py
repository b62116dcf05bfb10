from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
import contextlib
from pathlib import Path
import shutil
import socket
import subprocess
import time
import traceback
from typing import Any

from spatial_rag_core.errors import ConfigurationError, IndexUnavailableError
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.qdrant.collection import CollectionStore
from spatial_rag_core.memory.qdrant.server import (
    connect,
    ensure_collection,
    indexed_fields,
    MissingCollectionError,
    require_version,
)
from spatial_rag_core.memory.qdrant_index import QdrantIndex

import pytest

from ..index_contract import check_changes, check_random_queries, GRID, part, some_rows, Z_DIM
from .sockets import (
    answer_a_page,
    cut,
    free_port,
    hang,
    rude_server,
    stand_in,
    StandIn,
    talk_nonsense,
)

GENERATION = 0x0123456789abcdef


def config_of(server: StandIn | int, **fields: Any) -> IndexConfig:
    port = server if isinstance(server, int) else server.port
    return IndexConfig(kind='qdrant', host='127.0.0.1', port=port, **fields)


def index_on(server: StandIn, generation: int = GENERATION, **fields: Any) -> QdrantIndex:
    config = config_of(server, **fields)
    client = connect(config, 5.0)
    ensure_collection(client, config, Z_DIM, GRID.resolution)
    return QdrantIndex(
        CollectionStore(client, config.collection, generation, config.where), GRID)


def test_over_a_socket_every_answer_is_that_of_brute_force() -> None:
    with stand_in() as server, contextlib.closing(index_on(server)) as index:
        rows = some_rows(400)
        index.add(rows)
        check_random_queries(index, rows, 60)
    with stand_in() as server, contextlib.closing(index_on(server)) as index:
        check_changes(index, 10)


def test_two_journals_in_one_collection_do_not_see_each_other() -> None:
    with stand_in() as server, contextlib.closing(
            index_on(server, 1)) as mine, contextlib.closing(index_on(server, 2)) as theirs:
        rows = some_rows(200)
        mine.add(part(rows, slice(0, 120)))
        theirs.add(part(rows, slice(80, 200)))
        theirs.remove(rows.seqs[80:150])
        theirs.relabel(part(rows, slice(150, 160)))
        assert (mine.count, theirs.count) == (120, 50)
        assert mine.store.seqs().tolist() == rows.seqs[:120].tolist()
        check_random_queries(mine, part(rows, slice(0, 120)), 20)
        store = theirs.store
        assert isinstance(store, CollectionStore)
        store.delete_all()
        assert (mine.count, theirs.count) == (120, 0)


def test_a_collection_is_made_once_with_the_right_vectors_and_indexes() -> None:
    with stand_in() as server:
        for _ in range(2):
            index_on(server, replication_factor=2).close()
        made = [(path, body) for method, path, body in server.requests if method == 'PUT']
    [collection] = [body for path, body in made if path == '/collections/spatial_rag']
    assert {name: (vector['size'], vector['distance'])
            for name, vector in collection['vectors'].items()} == {
        'latent': (Z_DIM, 'Euclid'), 'direction': (Z_DIM, 'Cosine'), 'pose': (12, 'Euclid')}
    assert (collection['replication_factor'], collection['on_disk_payload']) == (2, True)
    assert 'sharding_method' not in collection
    fields = [body['field_name'] for path, body in made if path.endswith('/index')]
    assert sorted(fields) == sorted(indexed_fields(GRID.resolution))
    [journal] = [body for path, body in made
                 if path.endswith('/index') and body['field_name'] == 'journal']
    assert journal['field_schema'] == {'type': 'keyword', 'is_tenant': True}


def test_robots_that_start_together_make_one_collection() -> None:
    with stand_in() as server, ThreadPoolExecutor(6) as robots:
        for index in robots.map(lambda n: index_on(server, n), range(6)):
            index.close()
        assert [info.name for info in server.local.get_collections().collections] == [
            'spatial_rag']


@pytest.mark.parametrize('other', [{'z_dim': Z_DIM + 1}, {'collection': 'elsewhere'}])
def test_a_collection_of_other_vectors_is_refused(other: dict[str, Any]) -> None:
    from qdrant_client import models
    with stand_in() as server:
        config, z_dim = config_of(server), other.get('z_dim', Z_DIM)
        client = connect(config, 5.0)
        if 'collection' in other:  # of some other software
            server.local.create_collection('spatial_rag', models.VectorParams(
                size=Z_DIM, distance=models.Distance.DOT))
        else:
            ensure_collection(client, config, Z_DIM, 13)
        with pytest.raises(ConfigurationError, match=rf'127.0.0.1:{server.port} has vectors .*, '
                           rf'wanted are .*latent {z_dim} Euclid.*; name another collection'):
            ensure_collection(client, config, z_dim, 13)
        client.close()


@pytest.mark.parametrize(('behave', 'told'), [
    (hang, r'does not answer in time \(ReadTimeout.*look at the server and the network'),
    (cut, r'broke off in the middle of an answer .*look at the server'),
    (talk_nonsense, r'broke off in the middle of an answer .*whether the port is that of REST'),
    (answer_a_page, r'is not a Qdrant, or one of another version .*set host and port'),
])
def test_what_is_wrong_with_a_server_is_told_with_its_name_and_a_remedy(
        behave: Callable[[socket.socket], None], told: str) -> None:
    with rude_server(behave) as port:
        config = config_of(port)
        client = connect(config, 1.0)
        with pytest.raises(IndexUnavailableError, match=f'127.0.0.1:{port} {told}'):
            require_version(client, config.where)
        store = CollectionStore(client, 'spatial_rag', 1, config.where)
        with pytest.raises(IndexUnavailableError, match=f'127.0.0.1:{port} {told}'):
            store.delete([1])
        client.close()


@pytest.mark.parametrize('host', ['127.0.0.1', 'no-such-host.invalid'])
def test_a_server_that_is_not_there_is_told_with_its_name(host: str) -> None:
    config = IndexConfig(kind='qdrant', host=host, port=free_port())
    client = connect(config, 1.0)
    with pytest.raises(IndexUnavailableError, match=rf'{config.where} cannot be reached .*start '
                       'it there, or set host, port and https'):
        require_version(client, config.where)
    client.close()


def test_https_to_a_server_without_it_is_told() -> None:
    with stand_in() as server:
        config = config_of(server, https=True)
        client = connect(config, 1.0)
        with pytest.raises(IndexUnavailableError, match='and https'):
            require_version(client, config.where)
        client.close()


@pytest.mark.skipif(shutil.which('openssl') is None, reason='openssl makes the certificate')
def test_a_server_with_a_certificate_of_its_own_is_trusted_when_that_is_said(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key, certificate = tmp_path / 'key.pem', tmp_path / 'certificate.pem'
    subprocess.run(['openssl', 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2',
                    '-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1',
                    '-keyout', key, '-out', certificate], check=True, capture_output=True)
    with stand_in(certificate=(certificate, key)) as server:
        config = config_of(server, https=True)
        client = connect(config, 5.0)
        with pytest.raises(IndexUnavailableError, match=r'is not trusted .*set SSL_CERT_FILE'):
            require_version(client, config.where)
        client.close()
        monkeypatch.setenv('SSL_CERT_FILE', str(certificate))
        client = connect(config, 5.0)
        require_version(client, config.where)
        client.close()


@pytest.mark.parametrize('key', ['', 'wrong-key'])
def test_a_wrong_key_is_told_and_never_shown(key: str) -> None:
    with stand_in(api_key='right-key') as server:
        config = config_of(server, api_key=key)
        client = connect(config, 1.0)
        with pytest.raises(IndexUnavailableError, match=(
                r'refuses the api key \(401\); set api_key or QDRANT_API_KEY')) as caught:
            require_version(client, config.where)
        client.close()
        whole = ''.join(traceback.format_exception(caught.value))
        assert 'wrong-key' not in whole
        assert 'right-key' not in whole
        allowed = connect(config_of(server, api_key='right-key'), 1.0)
        require_version(allowed, config.where)
        allowed.close()


@pytest.mark.parametrize('version', ['1.7.4', '0.11.1', 'unknown'])
def test_a_server_that_is_too_old_is_told(version: str) -> None:
    with stand_in(version=version) as server:
        client = connect(config_of(server), 1.0)
        with pytest.raises(IndexUnavailableError,
                           match=f'has version {version}, at least 1.12 is needed; update'):
            require_version(client, 'cluster:6333')
        client.close()


def test_a_collection_that_is_gone_is_told_from_a_server_that_is_gone() -> None:
    with stand_in() as server, contextlib.closing(index_on(server)) as index:
        server.empty()
        for ask in (lambda: index.count, lambda: index.add(some_rows(3))):
            with pytest.raises(MissingCollectionError, match='Collection spatial_rag not found'):
                ask()


def test_a_server_that_hangs_holds_a_request_up_no_longer_than_its_time_out() -> None:
    with rude_server(hang) as port:
        client = connect(config_of(port), 1.0)
        start = time.monotonic()
        with pytest.raises(IndexUnavailableError):
            require_version(client, 'cluster:6333')
        assert time.monotonic() - start < 5.0
        client.close()
