"""The transition predictor as a process: latent, action and memories in, the next latent out."""

from __future__ import annotations

from dataclasses import replace
import math
from pathlib import Path
from typing import Any

from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.imagined import History
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.records import Pose, Position
from spatial_rag_msgs.srv import Rollout
from spatial_rag_nodes.conversions import (
    msg_from_pose,
    time_from_ns,
)

from geometry_msgs.msg import PoseStamped
import numpy as np
import pytest
from std_msgs.msg import Header

from .predictor_rig import bank, memory, other_bundle, Rig, STEP_NS, T0_NS, vector

pytestmark = pytest.mark.ros

@pytest.fixture(scope='module')
def rig(module_lab: Any, bundle_path: Path) -> Rig:
    # The test's own process is slow to answer at times: give its memories a long time.
    return Rig(module_lab, bundle_path, retrieval_timeout_sec=1.0, action_timeout_sec=3600.0)


def test_the_prediction_is_the_bundles_and_carries_stamp_author_and_layout(rig: Rig) -> None:
    rig.act(0.5, -0.2)
    found = bank(memory(1), memory(2), memory(3))
    rig.send(vector(1), [memory(1), memory(2), memory(3)])
    answer = rig.answer()
    expected = rig.bundle.predict_next(vector(1), [0.5, -0.2], found.z, found.pose)
    np.testing.assert_allclose(answer.z, expected, atol=1e-5)
    assert (answer.header.frame_id, answer.model_id) == ('camera', rig.bundle.model_id)
    rig.probe.until(lambda: len(rig.plain) == len(rig.stamped))
    (dimension,) = rig.plain[-1].layout.dim
    assert (dimension.label, dimension.size, dimension.stride) == ('z', 32, 32)
    assert list(rig.plain[-1].data) == list(answer.z)


def test_poses_and_actions_of_the_memories_make_a_difference(
        lab: Any, tmp_path: Path) -> None:
    rig = Rig(lab, other_bundle(tmp_path, memory_action=True), retrieval_timeout_sec=1.0,
              action_timeout_sec=3600.0)
    rig.act(0.5, -0.2)
    answers = []
    for seen in (memory(1), memory(1, forward_m=-2.0),
                 replace(memory(1), action=np.float32([2.0, 2.0]))):
        rig.send(vector(1), [seen])
        answers.append(np.array(rig.answer().z))
    for other in answers[1:]:
        assert np.abs(other - answers[0]).max() > 1e-4
    rig.diagnostics.wait('transition_predictor', lambda _, values: (
        int(values['with_memory_poses']) >= 3 and values['history_steps'] == '0'))


def test_of_two_views_of_a_place_the_newer_one_stands(rig: Rig) -> None:
    rig.act(0.5, -0.2)
    old, new = memory(1, age_sec=1000.0), memory(2, forward_m=1.1)
    rig.send(vector(1), [old, new])
    only_new = bank(new)
    np.testing.assert_allclose(rig.answer().z, rig.bundle.predict_next(
        vector(1), [0.5, -0.2], only_new.z, only_new.pose), atol=1e-5)


def test_a_model_that_looks_back_gets_the_latents_and_actions_of_the_last_steps(
        lab: Any, tmp_path: Path) -> None:
    rig = Rig(lab, other_bundle(tmp_path, history=2), retrieval_timeout_sec=1.0,
              action_timeout_sec=3600.0)
    actions = np.float32([[0.1 * frame, -0.2] for frame in range(10)])
    for frame in range(10):
        rig.act(*actions[frame])
        rig.send(vector(frame), [])
        rig.answer()
    before = [1, 5]  # 0.4 s and 0.2 s before frame 9
    past = History(np.stack([vector(frame) for frame in before]), actions[before])
    none = np.zeros((0, 32), np.float32)
    expected = rig.bundle.predict_next(vector(9), actions[9], none, history=past)
    np.testing.assert_allclose(rig.answer().z, expected, atol=1e-5)
    assert np.abs(rig.bundle.predict_next(vector(9), actions[9], none) - expected).max() > 1e-4
    rig.diagnostics.wait('transition_predictor', lambda _, values: (
        values['history_steps'] == '2' and values['step_sec'] == '0.200'))


def test_a_plain_model_gets_latents_alone(lab: Any, tmp_path: Path) -> None:
    plain = other_bundle(tmp_path, memory_pose=False, pointer=False,
                         displacement=False, uncertainty=False, lookup='once')
    rig = Rig(lab, plain, retrieval_timeout_sec=1.0, action_timeout_sec=3600.0)
    rig.act(0.5, -0.2)
    rig.send(vector(1), [memory(1), memory(2)])
    np.testing.assert_allclose(rig.answer().z, rig.bundle.predict_next(
        vector(1), [0.5, -0.2], bank(memory(1), memory(2)).z), atol=1e-5)
    rig.diagnostics.wait('transition_predictor', lambda _, values: (
        values['with_memories'] == '1' and values['with_memory_poses'] == '0'))


def test_an_empty_memory_is_legal(rig: Rig) -> None:
    rig.act(0.5, -0.2)
    rig.send(vector(2), [])
    np.testing.assert_allclose(rig.answer().z, rig.bundle.predict_next(
        vector(2), [0.5, -0.2], np.zeros((0, 32), np.float32)), atol=1e-5)


def test_past_the_deadline_it_predicts_without_memories_and_counts_it(rig: Rig) -> None:
    rig.act(0.5, -0.2)
    rig.send(vector(3), None)
    np.testing.assert_allclose(rig.answer().z, rig.bundle.predict_next(
        vector(3), [0.5, -0.2], np.zeros((0, 32), np.float32)), atol=1e-5)
    rig.diagnostics.wait('transition_predictor',
                         lambda _, values: int(values['retrieval_late']) >= 1)


@pytest.mark.parametrize(('case', 'reason'), [
    ('model', 'start all nodes with the same model_path'), ('length', '[16], expected [32]'),
    ('NaN', 'not finite'), ('action length', '[3], expected [2]'), ('memory', 'not finite')])
def test_bad_input_is_told_and_the_next_latent_is_predicted(
        rig: Rig, case: str, reason: str) -> None:
    rig.act(0.1, 0.1)
    if case == 'model':
        rig.send(vector(1), [], model_id='other')
    elif case == 'length':
        rig.send(np.zeros(16, np.float32), [])
    elif case == 'NaN':
        rig.send(np.full(32, math.nan, np.float32), [])
    elif case == 'action length':
        rig.act(0.0, 0.0, 0.0)
    else:
        rig.send(vector(1), [replace(memory(1), vector=np.full(32, math.inf, np.float32))])
    rig.diagnostics.wait('transition_predictor', lambda status, _: (
        status.level != b'\x00' and reason in status.message))
    rig.send(vector(4), [])
    rig.answer()


def test_without_an_action_nothing_is_predicted_and_it_is_counted(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, action_timeout_sec=0.3)
    rig.send(vector(1), [])
    rig.diagnostics.wait('transition_predictor',
                         lambda _, values: values['without_action'] == '1')
    rig.act(0.1, 0.1)
    rig.send(vector(1), [])
    rig.answer()
    rig.probe.spin(0.5)  # the action is no longer in force
    rig.send(vector(1), [])
    rig.diagnostics.wait('transition_predictor',
                         lambda _, values: values['without_action'] == '2')
    assert len(rig.stamped) == 1


def test_poses_are_not_listened_to_where_no_action_comes_from_them(rig: Rig) -> None:
    names = {name for name, _ in rig.probe.node.get_subscriber_names_and_types_by_node(
        'transition_predictor', '/')}
    assert '/actions' in names
    assert not names & {'/pose', '/odom', '/tf'}


def test_memories_of_another_map_frame_are_told(rig: Rig) -> None:
    rig.act(0.1, 0.1)
    rig.send(vector(1), [], map_frame='world')
    rig.answer()
    rig.diagnostics.wait('transition_predictor', lambda status, _: (
        "pose is in frame 'world', the memory in 'map'" in status.message))


def test_actions_come_from_the_motion_of_the_step_before_where_asked(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, action_source='motion', retrieval_timeout_sec=1.0,
              latent_timeout_sec=3600.0)
    pose = rig.probe.publisher(PoseStamped, '/pose')
    for step in range(-5, 2):  # 1 m/s forward, 0.5 rad/s to the left; it stands for half of 0.2 s
        heading = 0.025 * min(step, -1)
        position = Position(2 * math.sin(heading), 2 * (1 - math.cos(heading)))
        turn = (0.0, 0.0, math.sin(heading / 2), math.cos(heading / 2))
        pose.publish(PoseStamped(
            header=Header(stamp=time_from_ns(T0_NS + step * STEP_NS), frame_id='map'),
            pose=msg_from_pose(Pose(position, turn))))
    rig.probe.spin(0.3)
    rig.send(vector(1), [])
    expected = rig.bundle.predict_next(vector(1), [0.5, 0.25], np.zeros((0, 32), np.float32))
    other = rig.bundle.predict_next(vector(1), [0.0, 0.0], np.zeros((0, 32), np.float32))
    answer = np.array(rig.answer().z)
    assert np.linalg.norm(answer - expected) < 0.1 * np.linalg.norm(answer - other)
    plan = rig.probe.call(Rollout, '/spatial_rag/rollout', Rollout.Request(
        actions=[0.0, 0.0], without_memories=True))  # it begins where those poses lead to
    assert (plan.code, plan.header.frame_id) == (plan.OK, 'map')


def test_a_model_of_past_motion_that_is_given_commands_is_told_at_start(
        lab: Any, tmp_path: Path) -> None:
    path = tmp_path / 'past.pt'
    save_bundle(WorldModel(WorldModelConfig(EncoderConfig(), TransitionConfig())), path,
                trained=True, training={'data': {'actions_from': 'past motion'}})
    process = lab.start_node('transition_predictor_node', model_path=path)
    output = process.wait_for_output('set action_source to motion, here and in memory_writer')
    assert 'learned from past motion, action_source topic gives it commands' in output


def test_without_a_retriever_a_fast_stream_is_still_predicted(lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, bundle_path, action_timeout_sec=3600.0)  # memories are awaited for 25 ms
    rig.act(0.1, 0.1)
    for _ in range(60):  # a latent each 10 ms
        rig.send(vector(1), None)
        rig.probe.spin(0.01)
    rig.probe.until(lambda: len(rig.stamped) == 60,
                    message=lambda: f'{len(rig.stamped)} of 60 predicted')
    rig.diagnostics.wait('transition_predictor',
                         lambda _, values: values['retrieval_late'] == '60')
