from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import replace
from typing import Any

from spatial_rag_core.memory.qdrant.collection import CollectionStore
from spatial_rag_core.memory.qdrant.filters import AnyOf
from spatial_rag_core.memory.qdrant.server import connect, ensure_collection
from spatial_rag_core.memory.qdrant.shards import ShardKeys
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.records import MemoryQuery, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid

import h3
import numpy as np
import pytest

from ..index_contract import cells_of, check_random_queries, GRID, some_rows, Z_DIM
from .sockets import stand_in, StandIn
from .test_server import config_of
from .test_shipper import Clock

RESOLUTION = 9
ZERO = np.zeros(Z_DIM, np.float32)
QUERY = '/collections/spatial_rag/points/query'


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def sharded(server: StandIn, clock: Clock) -> QdrantIndex:
    config = config_of(server, shard_resolution=RESOLUTION)
    client = connect(config, 5.0)
    ensure_collection(client, config, Z_DIM, GRID.resolution)
    shards = ShardKeys(client, config.collection, RESOLUTION, clock)
    return QdrantIndex(CollectionStore(client, config.collection, 7, config.where, shards), GRID)


def asked(server: StandIn, path: str) -> list[Any]:
    return [body for _, asked_path, body in server.requests if asked_path == path]


def far_apart() -> Any:
    """Memories in three places, kilometres apart."""
    rows = some_rows(60)
    rows.positions[:, 0] += np.arange(60) % 3 * 5000.0
    return replace(rows, cells=cells_of(rows.positions))


def test_memories_go_to_the_shard_of_their_place(server: StandIn) -> None:
    rows = far_apart()
    with contextlib.closing(sharded(server, Clock())) as index:
        index.add(rows)
        index.add(replace(rows, seqs=rows.seqs + 1000))
    bodies = [body for method, path, body in server.requests
              if (method, path) == ('PUT', '/collections/spatial_rag/points')]
    for body in bodies:
        for point in body['points']:
            place = point['payload']['location']
            assert h3.latlng_to_cell(place['lat'], place['lon'], RESOLUTION) == body['shard_key']
    assert sum(len(body['points']) for body in bodies) == 120
    assert len(server.shard_keys) == len(set(server.shard_keys)) >= 3
    assert {body['shard_key'] for body in bodies} == set(server.shard_keys)


def test_a_new_collection_is_made_for_shards_by_key(server: StandIn) -> None:
    sharded(server, Clock()).close()
    [created] = [body for method, path, body in server.requests
                 if (method, path) == ('PUT', '/collections/spatial_rag')]
    assert created['sharding_method'] == 'custom'


def test_a_bounded_question_goes_only_to_shards_that_can_answer(server: StandIn) -> None:
    rows = far_apart()
    with contextlib.closing(sharded(server, Clock())) as index:
        index.add(rows)
        for n in range(3):
            there = Pose(Position(*rows.positions[n].tolist()))
            index.search(MemoryQuery(vector=ZERO, pose=there, radius_m=2.0))
            selected = asked(server, QUERY)[-1]['shard_key']
            here = h3.latlng_to_cell(
                *GRID.frame.to_geodetic(*there.position[:2]), RESOLUTION)
            assert here in selected
            assert len(selected) < len(server.shard_keys)
        index.search(MemoryQuery(vector=ZERO))
        assert asked(server, QUERY)[-1].get('shard_key') is None


def test_where_no_shard_can_answer_none_is_asked(server: StandIn) -> None:
    with contextlib.closing(sharded(server, Clock())) as index:
        index.add(far_apart())
        before = len(asked(server, QUERY))
        away = Pose(Position(0.0, 90_000.0))
        assert index.search(MemoryQuery(vector=ZERO, pose=away, radius_m=2.0)) == []
        assert len(asked(server, QUERY)) == before


def test_sharded_answers_are_those_of_brute_force(server: StandIn) -> None:
    with contextlib.closing(sharded(server, Clock())) as index:
        rows = some_rows(300)
        index.add(rows)
        check_random_queries(index, rows, 30)


class AllShards(ShardKeys):
    """Knows every shard around a place."""

    def __init__(self, lat: float, lon: float) -> None:
        super().__init__(None, '', 4)  # type: ignore[arg-type]
        self.here = h3.latlng_to_cell(lat, lon, 4)

    def _refreshed(self) -> set[str]:
        return set(h3.grid_disk(self.here, 3))


@pytest.mark.parametrize('finer', [5, 7, 9])
def test_a_cell_that_sticks_out_of_its_parent_is_found_in_the_next_shard(finer: int) -> None:
    sticking_out = 0
    for x, y in np.random.default_rng(0).uniform(-60_000, 60_000, (500, 2)).tolist():
        shards = AllShards(*GRID.frame.to_geodetic(x, y))
        cell = H3Grid(GRID.frame, finer).cell_number(Position(x, y))
        found = shards.that_may_hold([AnyOf(f'h3_{finer}', (cell,))])
        assert found is not None
        assert shards.here in found
        sticking_out += h3.cell_to_parent(h3.int_to_str(cell), 4) != shards.here
    assert sticking_out > 0


def test_shards_that_other_robots_make_are_known_within_seconds(server: StandIn) -> None:
    clock, rows = Clock(), far_apart()
    with contextlib.closing(sharded(server, clock)) as mine, contextlib.closing(
            sharded(server, Clock())) as theirs:
        here = MemoryQuery(vector=ZERO, pose=Pose(Position(*rows.positions[0].tolist())),
                           radius_m=500.0)
        assert mine.search(here) == []
        theirs.add(rows)
        mine.add(rows)
        assert len(server.shard_keys) == len(set(server.shard_keys))
        clock.now += 2.1
        assert len(mine.search(here)) > 0
