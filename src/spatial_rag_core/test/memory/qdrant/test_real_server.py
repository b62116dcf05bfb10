"""The same claims about a real server, wherever QDRANT_HOST answers; see docs/QDRANT.md."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import replace
import os
from pathlib import Path
import secrets

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.collection import CollectionStore
from spatial_rag_core.memory.qdrant.fleet import FleetMemory
from spatial_rag_core.memory.qdrant.server import connect, ensure_collection, require_version
from spatial_rag_core.memory.qdrant.shards import ShardKeys
from spatial_rag_core.memory.qdrant.shipper import QdrantShipper
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.records import MemoryQuery

import numpy as np
import pytest
from qdrant_client import QdrantClient

from ..index_contract import check_changes, check_random_queries, GRID, some_rows, Z_DIM
from ..memory_files import make, memory, SPEC
from .test_shipper import run_until_level

pytestmark = pytest.mark.skipif(
    not os.environ.get('QDRANT_HOST'), reason='QDRANT_HOST names no server')

EVERYTHING = MemoryQuery(k=1000, vector=np.zeros(4, np.float32))


@pytest.fixture
def config() -> Iterator[IndexConfig]:
    """A collection of its own, which is removed afterwards."""
    config = IndexConfig.from_environment(
        kind='qdrant', collection=f'test_{secrets.token_hex(6)}', timeout_sec=10.0, batch_size=50)
    client = connect(config, 10.0)
    try:
        require_version(client, config.where)
    except IndexUnavailableError as error:
        client.close()
        pytest.skip(str(error))
    yield config
    for name in (config.collection, f'{config.collection}_checkpoints'):
        client.delete_collection(name)
    client.close()


@pytest.fixture
def client(config: IndexConfig) -> Iterator[QdrantClient]:
    with contextlib.closing(connect(config, 10.0)) as client:
        yield client


def index_with(client: QdrantClient, config: IndexConfig, generation: int = 7) -> QdrantIndex:
    ensure_collection(client, config, Z_DIM, GRID.resolution)
    shards = None if config.shard_resolution is None else ShardKeys(
        client, config.collection, config.shard_resolution)
    store = CollectionStore(client, config.collection, generation, config.where, shards)
    return QdrantIndex(store, GRID)


def test_every_answer_of_a_real_server_is_that_of_brute_force(client: QdrantClient,
                                                              config: IndexConfig) -> None:
    index, rows = index_with(client, config), some_rows(600)
    index.add(rows)
    check_random_queries(index, rows, 100)


def test_memories_come_and_go_on_a_real_server(client: QdrantClient,
                                               config: IndexConfig) -> None:
    check_changes(index_with(client, config), 20)


def test_a_real_server_is_filled_emptied_and_filled_again(
        client: QdrantClient, config: IndexConfig, tmp_path: Path) -> None:
    path = make(tmp_path / 'memory.db', 200)
    shipper = QdrantShipper(path, config)
    run_until_level(shipper)
    with Journal.open_existing_writer(path) as journal:
        journal.forget([1, 2, 3])
        journal.relabel([7], add=['seen'])
        journal.append([memory(n) for n in range(200, 230)])
        run_until_level(shipper)
        assert client.count(config.collection, exact=True).count == 227
        client.delete_collection(config.collection)
        client.delete_collection(f'{config.collection}_checkpoints')
        journal.append([memory(300)])
        run_until_level(shipper)
    assert client.count(config.collection, exact=True).count == 228
    shipper.close()
    with contextlib.closing(FleetMemory(config, SPEC, 'model-a')) as fleet:
        assert len(fleet.search(EVERYTHING)) == 228
        assert len(fleet.search(replace(EVERYTHING, labels=('seen',)))) == 1


def test_a_real_cluster_is_sharded_by_place(client: QdrantClient, config: IndexConfig) -> None:
    if getattr(client.cluster_status(), 'status', 'disabled') != 'enabled':
        pytest.skip('the server is not in cluster mode')
    index, rows = index_with(client, replace(config, shard_resolution=9)), some_rows(300)
    index.add(rows)
    check_random_queries(index, rows, 50)
