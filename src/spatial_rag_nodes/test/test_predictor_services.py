"""What comes of plans, and what a latent looks like, asked of the transition predictor."""

from __future__ import annotations

import math
from pathlib import Path
import re
import threading
from typing import Any

from spatial_rag_core.errors import ModelMismatchError
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Hit
from spatial_rag_msgs.srv import DecodeLatent, QueryMemory, Rollout
from spatial_rag_nodes.client_conversions import Latent
from spatial_rag_nodes.conversions import msg_from_hit, msg_from_pose, time_from_ns
from spatial_rag_nodes.images import rgb_from_msg
from spatial_rag_nodes.rollout_conversions import rollout_from_response
from spatial_rag_nodes.spatial_rag_client import SpatialRagClient

from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from std_msgs.msg import Header

from .predictor_rig import bank, HERE, memory, Rig, T0_NS, vector

pytestmark = pytest.mark.ros

PLANS = np.float32([[[0.5, 0.1]] * 3, [[0.2, -0.3]] * 3])
AT_HERE = PoseStamped(header=Header(frame_id='map'), pose=msg_from_pose(HERE))


@pytest.fixture(scope='module')
def rig(module_lab: Any, bundle_path: Path) -> Rig:
    one = Rig(module_lab, bundle_path, retrieval_timeout_sec=1.0, action_timeout_sec=3600.0,
              latent_timeout_sec=3600.0)
    one.act(0.5, -0.2)
    return one


@pytest.fixture
def asked(rig: Rig) -> Any:
    """A retriever that the test plays: it knows three memories; the requests that it got."""
    requests: list[QueryMemory.Request] = []

    def serve(request: QueryMemory.Request,
              response: QueryMemory.Response) -> QueryMemory.Response:
        requests.append(request)
        response.memories = [msg_from_hit(Hit(memory(i), 0.0, 0.0), 'map') for i in (1, 2, 3)]
        return response
    service = rig.probe.node.create_service(QueryMemory, '/spatial_rag/query_memory', serve)

    def is_asked() -> bool:
        roll(rig, latent=z_of(1), pose=AT_HERE)
        return bool(requests)
    rig.probe.until(is_asked)
    requests.clear()
    yield requests
    rig.probe.node.destroy_service(service)


def z_of(seed: int) -> list[float]:
    return [float(value) for value in vector(seed)]


def roll(rig: Rig, plans: np.ndarray = PLANS, **fields: Any) -> Rollout.Response:
    return rig.probe.call(Rollout, '/spatial_rag/rollout', Rollout.Request(
        actions=[float(value) for value in plans.ravel()], plans=len(plans), **fields))


def test_before_anything_was_seen_there_is_nothing_to_start_from(rig: Rig) -> None:
    answer = roll(rig)
    assert answer.code == answer.NOTHING_SEEN
    assert 'is the encoder running?' in answer.message


def test_a_latent_that_is_given_is_where_plans_begin(rig: Rig) -> None:
    answer = roll(rig, latent=z_of(1))
    assert answer.code == answer.OK
    assert answer.message == 'without memories: the pose of the start is not known'
    assert (answer.model_id, answer.step_sec) == (rig.bundle.model_id, pytest.approx(0.2))
    assert (answer.plans, answer.steps, answer.header.frame_id) == (2, 3, '')
    found, expected = rollout_from_response(answer), rig.bundle.rollout(vector(1), PLANS)
    np.testing.assert_allclose(found.z, expected.z, atol=1e-5)
    np.testing.assert_allclose(found.poses[..., :3], expected.position, atol=1e-5)
    np.testing.assert_allclose(found.uncertainty, expected.sigma, atol=1e-5)
    assert (found.memory_ids, found.pictures) == ((), None)
    assert answer.model_time_ms > 0.0


def test_memories_around_the_start_are_looked_up_and_named(rig: Rig, asked: Any) -> None:
    answer = roll(rig, latent=z_of(1), pose=AT_HERE)
    assert (answer.code, answer.message) == (answer.OK, '')
    found = rollout_from_response(answer)
    expected = rig.bundle.rollout(vector(1), PLANS, bank(memory(1), memory(2), memory(3)))
    np.testing.assert_allclose(found.z, expected.z, atol=1e-5)
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-5)
    assert found.memory_rows.tolist() == expected.memory_rows.tolist()
    assert (found.memory_ids, found.frame_id) == (('1', '2', '3'), 'map')
    forward = found.poses[..., 1] - HERE.position.y  # HERE looks along the map's y
    np.testing.assert_allclose(forward, expected.position[..., 0], atol=1e-5)
    [request] = asked
    assert (request.rank_by, request.newest_only) == (request.RANK_BY_POSE, True)
    assert (request.radius_m, request.min_age_sec) == (6.0, 5.0)
    assert request.pose.pose == AT_HERE.pose


def test_where_memories_are_not_wanted_nobody_is_asked(rig: Rig, asked: Any) -> None:
    answer = roll(rig, latent=z_of(1), pose=AT_HERE, without_memories=True)
    assert (answer.message, len(answer.memory_ids), asked) == ('', 0, [])
    np.testing.assert_allclose(rollout_from_response(answer).z, rig.bundle.rollout(
        vector(1), PLANS, MemoryBank.empty(32, 2)).z, atol=1e-5)


def test_without_a_retriever_plans_go_on_without_memories(rig: Rig) -> None:
    answer = roll(rig, latent=z_of(1), pose=AT_HERE)
    assert answer.code == answer.OK
    assert 'without memories: there is no service /spatial_rag/query_memory' in answer.message


def test_now_is_the_newest_latent_with_the_pose_that_the_retriever_told(
        rig: Rig, asked: Any) -> None:
    rig.send(vector(5), [])
    rig.answer()
    stamp = time_from_ns(rig.stamp_ns)
    answer = roll(rig)
    assert (answer.code, answer.message) == (answer.OK, '')
    assert answer.header == Header(frame_id='map', stamp=stamp)
    np.testing.assert_allclose(rollout_from_response(answer).z[:, 0], rig.bundle.rollout(
        vector(5), PLANS, bank(memory(1), memory(2), memory(3))).z[:, 0], atol=1e-5)
    [request] = asked
    assert request.pose == PoseStamped(header=answer.header, pose=AT_HERE.pose)
    assert rig.stamp_ns > T0_NS


def test_without_a_pose_from_the_retriever_plans_are_relative_to_their_start(rig: Rig) -> None:
    rig.stamp_ns += 10**9  # poses of before are too old
    rig.send(vector(5), None)
    rig.answer()
    answer = roll(rig)
    assert answer.message == 'without memories: the pose of the start is not known'
    assert answer.header == Header(stamp=time_from_ns(rig.stamp_ns))


def test_a_rollout_begins_with_no_latent_that_is_old(rig: Rig) -> None:
    rig.send(vector(5), [])
    rig.answer()
    allow_age_sec(rig, 0.05)
    rig.probe.spin(0.1)
    answer = roll(rig)
    assert answer.code == answer.NOTHING_SEEN
    assert re.search(r'came \d+\.\d s ago, latent_timeout_sec allows 0\.05 s', answer.message)
    allow_age_sec(rig, 3600.0)
    assert roll(rig).code == answer.OK


def allow_age_sec(rig: Rig, value: float) -> None:
    request = SetParameters.Request(
        parameters=[Parameter('latent_timeout_sec', value=value).to_parameter_msg()])
    [result] = rig.probe.call(
        SetParameters, '/transition_predictor/set_parameters', request).results
    assert result.successful


def test_what_was_seen_before_it_was_inactive_is_forgotten(lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, latent_timeout_sec=3600.0)
    rig.send(vector(5), [])
    rig.probe.until(lambda: roll(rig).code == Rollout.Response.OK)
    for label in ('deactivate', 'activate'):
        request = ChangeState.Request(transition=Transition(label=label))
        assert rig.probe.call(
            ChangeState, '/transition_predictor/change_state', request, 60.0).success
    answer = roll(rig)
    assert answer.code == answer.NOTHING_SEEN
    assert 'no latent has come yet' in answer.message


def test_pictures_come_where_they_are_asked_for(rig: Rig) -> None:
    answer = roll(rig, latent=z_of(1), with_pictures=True)
    found = rollout_from_response(answer)
    assert found.pictures is not None
    assert found.pictures.shape == (2, 3, 64, 64, 3)
    decoded = rig.bundle.decode_image(found.z[1, 2])
    assert np.abs(found.pictures[1, 2].astype(int) - decoded).mean() < 4.0  # JPEG


@pytest.mark.parametrize(('fields', 'code', 'reason'), [
    ({'latent': [1.0]}, 'INVALID_REQUEST', '[32]'),
    ({'latent': [math.nan] * 32}, 'INVALID_REQUEST', 'not finite'),
    ({'latent': z_of(1), 'model_id': 'other'}, 'WRONG_MODEL', 'model other'),
    ({'latent': z_of(1), 'pose': PoseStamped(header=Header(frame_id='odom'))}, 'INVALID_REQUEST',
     "'odom'"),
    ({'plans': np.full((1, 2, 2), np.nan, np.float32)}, 'INVALID_REQUEST', 'not finite'),
    ({'plans': np.zeros((1, 0, 2), np.float32)}, 'INVALID_REQUEST', '0 numbers'),
    ({'plans': np.zeros((1, 257, 2), np.float32)}, 'INVALID_REQUEST', '256 steps'),
    ({'plans': np.zeros((200, 2, 2), np.float32), 'with_pictures': True}, 'INVALID_REQUEST',
     '256 in all with pictures')])
def test_plans_that_cannot_be_imagined_are_refused(
        rig: Rig, fields: dict[str, Any], code: str, reason: str) -> None:
    answer = roll(rig, **({'latent': z_of(1)} | fields))
    assert answer.code == getattr(answer, code)
    assert reason in answer.message


def test_the_stream_goes_on_while_plans_are_imagined(rig: Rig) -> None:
    client = rig.probe.node.create_client(Rollout, '/spatial_rag/rollout')
    rig.probe.until(client.service_is_ready)
    plans = np.zeros((256, 64, 2), np.float32)
    asked = client.call_async(Rollout.Request(actions=plans.ravel().tolist(), plans=256,
                                              latent=z_of(1)))
    answered = threading.Event()
    asked.add_done_callback(lambda _: answered.set())
    count = 0
    while not answered.is_set():
        rig.send(vector(1), [])
        rig.answer()
        count += 1
    assert asked.result().code == Rollout.Response.OK
    assert asked.result().model_time_ms > 100.0
    assert count >= 3, 'the stream waited for the rollout'


def test_the_client_hands_on_who_made_a_latent(rig: Rig) -> None:
    with SpatialRagClient(rig.probe.node, timeout_sec=60.0) as client:
        own, other = (Latent(vector(1), author) for author in (rig.bundle.model_id, 'other'))
        assert client.decode(own).shape == (64, 64, 3)
        np.testing.assert_allclose(client.rollout(PLANS, latent=own).z, rig.bundle.rollout(
            vector(1), PLANS).z, atol=1e-5)
        with pytest.raises(ModelMismatchError, match='model other'):
            client.decode(other)
        with pytest.raises(ModelMismatchError, match='model other'):
            client.rollout(PLANS, latent=other)


def decode(rig: Rig, **fields: Any) -> DecodeLatent.Response:
    return rig.probe.call(DecodeLatent, '/spatial_rag/decode_latent',
                          DecodeLatent.Request(**fields))


def test_a_latent_is_shown_as_the_bundle_decodes_it(rig: Rig) -> None:
    answer = decode(rig, latent=z_of(1), model_id=rig.bundle.model_id)
    assert (answer.code, answer.message, answer.image.encoding) == (answer.OK, '', 'rgb8')
    assert np.abs(rgb_from_msg(answer.image).astype(int)
                  - rig.bundle.decode_image(vector(1))).max() <= 1


@pytest.mark.parametrize(('fields', 'code', 'reason'), [
    ({}, 'INVALID_LATENT', '[32]'), ({'latent': [math.inf] * 32}, 'INVALID_LATENT', 'not finite'),
    ({'latent': z_of(1), 'model_id': 'other'}, 'WRONG_MODEL', 'encode the picture again')])
def test_what_is_no_latent_of_this_model_is_not_shown(
        rig: Rig, fields: dict[str, Any], code: str, reason: str) -> None:
    answer = decode(rig, **fields)
    assert answer.code == getattr(answer, code)
    assert reason in answer.message
