"""Requests to a node that does not work, or stops to while they are in flight."""

from __future__ import annotations

from pathlib import Path
import signal
from typing import Any

from spatial_rag_msgs.srv import (
    EncodeImage,
    ForgetMemories,
    MemoryStats,
    QueryMemory,
    Relocalize,
    Rollout,
)

import pytest
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.task import Future

from .lifecycle_rig import Rig, rig_of

pytestmark = pytest.mark.ros


@pytest.mark.parametrize(('name', 'kind', 'service'), [
    ('encoder', EncodeImage, 'encode_image'), ('memory_writer', ForgetMemories, 'forget_memories'),
    ('retriever', MemoryStats, 'memory_stats')])
def test_an_inactive_node_answers_that_it_is_inactive(
        lab: Any, bundle_path: Path, name: str, kind: type, service: str) -> None:
    rig = rig_of(lab, name, bundle_path)
    assert rig.change(name, 'configure')
    answer = rig.probe.call(kind, f'/spatial_rag/{service}', kind.Request())
    assert answer.code != 0
    assert answer.message == f'/{name} is inactive; only an active node answers'
    assert rig.change(name, 'activate')
    answer = rig.probe.call(kind, f'/spatial_rag/{service}', kind.Request())
    assert 'only an active node' not in answer.message


class Mute:
    """A service in the test's own node that hears what is asked and never answers."""

    def __init__(self, rig: Rig, kind: type, name: str) -> None:
        self.asked = 0
        rig.probe.node.create_service(kind, name, self._serve,
                                      callback_group=ReentrantCallbackGroup())

    async def _serve(self, _request: Any, _response: Any) -> None:
        self.asked += 1
        await Future()


def in_flight(lab: Any, bundle_path: Path, timeout_sec: float) -> tuple[Rig, Any]:
    """An active retriever, and a question to it that waits for an encoder that hangs."""
    rig = rig_of(lab, 'retriever', bundle_path, encoder_timeout_sec=timeout_sec)
    encoder = Mute(rig, EncodeImage, '/spatial_rag/encode_image')
    assert rig.change('retriever', 'configure')
    assert rig.change('retriever', 'activate')
    client = rig.probe.node.create_client(Relocalize, '/spatial_rag/relocalize')
    rig.probe.until(client.service_is_ready)
    asked = client.call_async(Relocalize.Request())
    rig.probe.until(lambda: encoder.asked == 1)
    return rig, asked


def test_a_node_that_is_deactivated_still_answers_what_it_was_asked_before(
        lab: Any, bundle_path: Path) -> None:
    rig, asked = in_flight(lab, bundle_path, 1.0)
    assert rig.change('retriever', 'deactivate')
    rig.probe.until(asked.done)
    assert (asked.result().code, asked.result().message) == (
        Relocalize.Response.ENCODER_UNAVAILABLE,
        'no answer from /spatial_rag/encode_image within 1 s; does the encoder hang?')


@pytest.mark.parametrize('way', [('deactivate', 'cleanup'), ('shutdown',)])
def test_a_node_that_ends_what_it_offers_answers_first(
        lab: Any, bundle_path: Path, way: tuple[str, ...]) -> None:
    rig, asked = in_flight(lab, bundle_path, 60.0)
    for transition in way:
        assert rig.change('retriever', transition)
    rig.probe.until(asked.done)
    assert (asked.result().code, asked.result().message) == (
        Relocalize.Response.MEMORY_UNAVAILABLE, '/retriever is closing; ask again later')
    rig.process.signal(signal.SIGINT)
    assert rig.process.wait() == 0
    assert 'Traceback' not in rig.process.output


def test_a_rollout_goes_on_without_memories_where_its_node_is_deactivated_meanwhile(
        lab: Any, bundle_path: Path) -> None:
    rig = rig_of(lab, 'transition_predictor', bundle_path, retriever_timeout_sec=1.0)
    retriever = Mute(rig, QueryMemory, '/spatial_rag/query_memory')
    assert rig.change('transition_predictor', 'configure')
    assert rig.change('transition_predictor', 'activate')
    client = rig.probe.node.create_client(Rollout, '/spatial_rag/rollout')
    rig.probe.until(client.service_is_ready)
    request = Rollout.Request(latent=[0.5] * 32, actions=[1.0, 0.0])
    request.pose.header.frame_id = 'map'
    asked = client.call_async(request)
    rig.probe.until(lambda: retriever.asked == 1 or asked.done())
    assert rig.change('transition_predictor', 'deactivate')
    rig.probe.until(asked.done)
    assert asked.result().message == (
        'without memories: no answer from /spatial_rag/query_memory within 1 s; does the '
        'retriever hang?')
    assert asked.result().code == Rollout.Response.OK
