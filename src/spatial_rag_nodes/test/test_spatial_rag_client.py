"""The client against a real retriever, from inside a node and alone; the rest: test_examples."""

from __future__ import annotations

from collections.abc import Iterator
import math
from pathlib import Path
import threading
import time
from typing import Any

from spatial_rag_core.errors import (
    ConfigurationError,
    LatentError,
    ModelMismatchError,
    ServiceUnavailableError,
)
from spatial_rag_core.records import MemoryQuery, Pose, Position
from spatial_rag_msgs.srv import EncodeImage, QueryMemory
from spatial_rag_nodes.client_conversions import Latent
from spatial_rag_nodes.spatial_rag_client import SpatialRagClient

import numpy as np
import pytest
import rclpy

from .retriever_rig import latent, retriever_rig, Rig  # noqa: F401  the fixture `rig`

pytestmark = pytest.mark.ros

PICTURE = np.zeros((4, 4, 3), np.uint8)


@pytest.fixture(scope='module')
def client(rig: Rig) -> Iterator[SpatialRagClient]:
    with SpatialRagClient(rig.probe.node) as one:
        yield one


def numbers(hits: list[Any]) -> list[int]:
    return [round(hit.memory.vector[0]) for hit in hits]


def query(z0: float, **fields: Any) -> MemoryQuery:
    return MemoryQuery(vector=np.float32(latent(z0)), **fields)


def test_records_go_in_and_come_out_while_nobody_spins_the_node(client: SpatialRagClient) -> None:
    hits = client.query(query(10.2, k=3), with_thumbnails=True)
    assert numbers(hits) == [10, 11, 9]
    assert hits[0].memory.thumbnail == b'jpeg'
    assert hits[0].memory.pose.position == (10.0, 0.0, 0.0)
    assert hits[0].distance == pytest.approx(0.2, abs=1e-5)
    assert numbers(client.query(MemoryQuery(
        2, pose=Pose(Position(40.3, 0.0)), rank_by='pose', labels=('door',)))) == [40, 80]


def test_it_may_be_asked_in_a_callback_of_a_node(rig: Rig, client: SpatialRagClient) -> None:
    found: list[int] = []
    timer = rig.probe.node.create_timer(0.01, lambda: found.extend(
        numbers(client.query(query(20.0, k=1)))))
    rig.probe.until(lambda: bool(found))
    rig.probe.node.destroy_timer(timer)
    assert found[0] == 20


def test_many_threads_may_ask(client: SpatialRagClient) -> None:
    found: dict[int, list[int]] = {}

    def ask(number: int) -> None:
        found[number] = numbers(client.query(query(float(number), k=1)))
    threads = [threading.Thread(target=ask, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [number] for number in range(20)}


def test_one_memory_stats_and_a_backup(client: SpatialRagClient, tmp_path: Path) -> None:
    memory = client.query(query(3.0, k=1))[0].memory
    whole = client.get_memory(memory.id)
    assert whole is not None
    assert (whole.id, whole.thumbnail, whole.labels) == (memory.id, b'jpeg', ())
    assert client.get_memory('nobody') is None
    assert client.memory_stats().journal_count == 100
    copy = client.backup_memory(tmp_path / 'copy.db')
    assert (copy.path, copy.count) == (tmp_path / 'copy.db', 100)
    assert copy.size_bytes == copy.path.stat().st_size


def test_a_latent_tells_where_it_was_seen(client: SpatialRagClient) -> None:
    best, *_ = client.relocalize(latent=Latent(latent(70.2), 'author'), k=4)
    assert best.pose.position.x == pytest.approx(70.0)
    assert best.covariance.shape == (6, 6)
    assert best.memory_ids


def test_what_a_node_refuses_is_raised(client: SpatialRagClient) -> None:
    with pytest.raises(ModelMismatchError, match='model other'):
        client.query(query(0.0, model_id='other'))
    with pytest.raises(ConfigurationError, match='max_hypotheses'):
        client.relocalize(latent=Latent(latent(0.0), 'author'), max_hypotheses=101)
    with pytest.raises(ConfigurationError, match='exists already'):
        client.backup_memory(__file__)
    with pytest.raises(ServiceUnavailableError, match='is the encoder running'):
        client.relocalize(PICTURE)


def test_a_latent_keeps_its_author(client: SpatialRagClient) -> None:
    with pytest.raises(ModelMismatchError, match='model other'):
        client.relocalize(latent=Latent(latent(70.2), 'other'))
    assert client.relocalize(latent=Latent(latent(70.2), '')), 'it is not to be checked'
    with pytest.raises(ConfigurationError, match=r'must be a Latent, got list; say who made it'):
        client.relocalize(latent=latent(70.2))  # type: ignore[arg-type]
    with pytest.raises(LatentError, match='not finite'):
        Latent(latent(math.inf), 'author')


def test_a_node_that_is_not_there_is_told_in_time(rig: Rig) -> None:
    begun = time.monotonic()
    with (SpatialRagClient(rig.probe.node, timeout_sec=0.3) as client,
          pytest.raises(ServiceUnavailableError, match=r'no service /spatial_rag/encode_image')):
        client.encode(PICTURE)
    assert time.monotonic() - begun < 10.0


def test_a_node_that_does_not_answer_is_told_in_time(rig: Rig) -> None:
    """A service that nobody spins takes requests and never answers."""
    node = rclpy.create_node('mute', context=rig.probe.context, namespace='/mute')
    service = node.create_service(QueryMemory, 'spatial_rag/query_memory', lambda *_: None)
    with (SpatialRagClient(rig.probe.node, namespace='/mute', timeout_sec=1.0) as client,
          pytest.raises(ServiceUnavailableError, match='does not answer within 1 s')):
        client.query(query(0.0))
    node.destroy_service(service)
    node.destroy_node()


def test_nothing_foreseen_is_told_in_time(client: SpatialRagClient) -> None:
    with (client.surprises(timeout_sec=0.2) as surprises,
          pytest.raises(ServiceUnavailableError, match='nothing on /spatial_rag/surprise')):
        next(surprises)


def test_pictures_go_out_as_they_are(rig: Rig, client: SpatialRagClient) -> None:
    """The encoder is played: it answers with what it got."""
    picture = np.random.default_rng(0).integers(0, 256, (3, 5, 3), dtype=np.uint8)

    def serve(request: EncodeImage.Request,
              response: EncodeImage.Response) -> EncodeImage.Response:
        response.latent = [float(value) for value in request.image.data]
        response.model_id = 'author'
        return response
    service = rig.probe.node.create_service(EncodeImage, '/spatial_rag/encode_image', serve)
    found: list[Latent] = []
    thread = threading.Thread(target=lambda: found.append(client.encode(picture)))
    thread.start()
    rig.probe.until(lambda: bool(found))
    thread.join()
    rig.probe.node.destroy_service(service)
    assert (found[0].z.tolist(), found[0].model_id) == (picture.ravel().tolist(), 'author')


def test_alone_it_has_a_context_of_its_own_and_leaves_nothing_behind(
        ros_domain: int, start_node: Any, tmp_path: Path) -> None:
    before = set(threading.enumerate())
    start_node('retriever_node', memory_path=tmp_path / 'none.db')
    with SpatialRagClient(timeout_sec=30.0) as client:
        assert client.memory_stats().journal_count == 0
    left = [thread.name for thread in threading.enumerate() if thread not in before]
    assert not [name for name in left if name.startswith('spatial_rag')]
    assert not rclpy.ok(), 'the default context is none of its business'


def test_a_timeout_of_nothing_is_refused(rig: Rig) -> None:
    with pytest.raises(ConfigurationError, match='timeout_sec must be > 0 s, got 0'):
        SpatialRagClient(rig.probe.node, timeout_sec=0)
