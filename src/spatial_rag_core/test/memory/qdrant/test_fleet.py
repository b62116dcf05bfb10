from __future__ import annotations

from collections.abc import Iterator
import contextlib
from dataclasses import replace
from pathlib import Path
import shutil

from spatial_rag_core.errors import ConfigurationError, IndexUnavailableError
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.fleet import FleetMemory
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.records import Memory, MemoryQuery, Pose, Position

import numpy as np
import pytest

from ..memory_files import content, make, memory, read, SPEC
from .sockets import free_port, stand_in, StandIn
from .test_server import config_of
from .test_shipper import QdrantShipper, run

EVERYTHING = MemoryQuery(k=1000, vector=np.zeros(4, np.float32))
ONES = np.ones(4, np.float32)
HERE = Pose(Position(0, 0))


@pytest.fixture
def server() -> Iterator[StandIn]:
    with stand_in() as server:
        yield server


def ship(path: Path, server: StandIn, **fields: object) -> None:
    shipper = QdrantShipper(path, config_of(server, **fields))
    assert run(shipper).state == 'level'
    shipper.close()


def fleet_on(server: StandIn, model_id: str = 'model-a') -> contextlib.closing[FleetMemory]:
    return contextlib.closing(FleetMemory(config_of(server), SPEC, model_id))


def of_robot(robot: str, count: int, first: int = 0) -> list[Memory]:
    return [memory(n, robot=robot) for n in range(first, first + count)]


def made(path: Path, memories: list[Memory]) -> Path:
    with Journal.open_writer(path, SPEC) as journal:
        journal.append(memories)
    return path


def test_a_fleet_finds_what_any_of_its_robots_remembers(tmp_path: Path, server: StandIn) -> None:
    both = of_robot('anna', 40) + of_robot('ben', 40, first=100)
    ship(made(tmp_path / 'anna.db', both[:40]), server)
    ship(made(tmp_path / 'ben.db', both[40:]), server)
    with fleet_on(server) as fleet, contextlib.closing(
            Retriever(made(tmp_path / 'all.db', both))) as embedded:
        embedded.refresh()
        for query in (EVERYTHING, replace(EVERYTHING, robot='ben'),
                      replace(EVERYTHING, k=7, pose=HERE, radius_m=90.0, map_id='kitchen'),
                      replace(EVERYTHING, k=7, pose=HERE, rank_by='pose', map_id='kitchen'),
                      replace(EVERYTHING, k=7, diversity=0.5),
                      replace(EVERYTHING, labels=('door',)),
                      replace(EVERYTHING, vector=ONES, metric='cosine')):
            hits, expected = fleet.search(query), embedded.query(query)
            assert [hit.memory.id for hit in hits] == [hit.memory.id for hit in expected]
            np.testing.assert_allclose([hit.distance for hit in hits],
                                       [hit.distance for hit in expected], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose([hit.separation_m for hit in hits],
                                       [hit.separation_m for hit in expected])
        robots = {hit.memory.robot for hit in fleet.search(EVERYTHING)}
        assert robots == {'anna', 'ben'}


def test_a_memory_comes_whole_from_the_server(tmp_path: Path, server: StandIn) -> None:
    path = make(tmp_path / 'memory.db', 30)
    ship(path, server, with_thumbnails=True)
    with fleet_on(server) as fleet:
        found = {hit.memory.id: hit.memory for hit in fleet.search(EVERYTHING)}
    stored = {each.id: each for each in read(path)}
    assert found.keys() == stored.keys()
    for name, each in stored.items():
        assert content(found[name], but=('pose',)) == content(each, but=('pose',))
        assert found[name].position == each.position
        assert found[name].orientation == pytest.approx(each.orientation, abs=1e-6)


def test_a_memory_that_two_journals_hold_is_found_once(tmp_path: Path, server: StandIn) -> None:
    ship(make(tmp_path / 'memory.db', 30), server)
    shutil.copy(tmp_path / 'memory.db', tmp_path / 'restored.db')
    with Journal.open_existing_writer(tmp_path / 'restored.db') as journal:
        journal.renew_generation()
    ship(tmp_path / 'restored.db', server)
    assert server.local.count('spatial_rag').count == 60
    with fleet_on(server) as fleet:
        for k in (5, 30, 100):
            found = [hit.memory.id for hit in fleet.search(replace(EVERYTHING, k=k))]
            assert len(found) == len(set(found)) == min(k, 30)


def test_latents_of_another_model_are_not_compared(tmp_path: Path, server: StandIn) -> None:
    ship(made(tmp_path / 'a.db', of_robot('anna', 10)), server)
    ship(made(tmp_path / 'b.db', [replace(each, model_id='model-b')
                                  for each in of_robot('ben', 10, first=20)]), server)
    with fleet_on(server) as fleet:
        assert {hit.memory.robot for hit in fleet.search(EVERYTHING)} == {'anna'}
        with pytest.raises(ConfigurationError, match='is of model model-a, asked for model-b'):
            fleet.search(replace(EVERYTHING, model_id='model-b'))


def test_a_question_about_places_names_its_map(server: StandIn) -> None:
    with fleet_on(server) as fleet, pytest.raises(ConfigurationError, match='needs a map_id'):
        fleet.search(replace(EVERYTHING, pose=HERE, radius_m=5.0))


def test_a_fleet_needs_a_server(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match='needs a server'):
        FleetMemory(IndexConfig(kind='qdrant', path=str(tmp_path)), SPEC, 'model-a')
    fleet = FleetMemory(config_of(free_port()), SPEC, 'model-a')
    with contextlib.closing(fleet), pytest.raises(IndexUnavailableError, match='be reached'):
        fleet.search(EVERYTHING)
