"""The memory writer as a process: what it stores, refuses and survives."""

from __future__ import annotations

import math
from pathlib import Path
import signal
import sqlite3
import time
from typing import Any

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.model_steps import step_actions
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.streams.motion import past_motion
from spatial_rag_msgs.srv import ForgetMemories
from spatial_rag_nodes.conversions import (
    array_from_vector,
    time_from_ns,
)

from geometry_msgs.msg import PoseStamped
import numpy as np
import pytest
from std_msgs.msg import Header

from .writer_rig import Rig, STEP_NS, stored_count, T0_NS, turned

pytestmark = pytest.mark.ros

@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'deep' / 'memory.db'


def test_a_latent_is_stored_with_the_pose_of_its_moment_and_the_action_that_led_to_it(
        lab: Any, path: Path) -> None:
    rig = Rig(lab, path, robot='r2', map_id='hall', session='morning')
    for step in range(4):
        rig.send_pose(T0_NS + step * STEP_NS, x=float(step), heading=0.1 * step)
        rig.probe.spin(0.05)
        rig.action.publish(array_from_vector(np.float32([step, -step])))
        rig.probe.spin(0.05)
    rig.send_latent(T0_NS + 5 * STEP_NS // 2)  # between the poses of steps 2 and 3
    (memory,) = rig.memories(1)
    assert memory.position == pytest.approx((2.5, 0.0, 0.0), abs=1e-9)
    assert memory.orientation == pytest.approx(turned(0.25), abs=1e-9)
    assert memory.action.tolist() == [2.0, -2.0]
    assert memory.timestamp == pytest.approx((T0_NS + 5 * STEP_NS // 2) / 1e9, abs=1e-6)
    assert (memory.robot, memory.map_id, memory.session) == ('r2', 'hall', 'morning')
    assert (memory.model_id, memory.thumbnail) == ('author', b'jpeg')
    assert memory.vector.tolist() == [0.5] * 32


def test_actions_are_derived_from_the_motion_where_asked(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, action_source='motion')
    for step in range(6):  # 2 m/s forward along y
        rig.send_pose(T0_NS + step * STEP_NS, x=0.0, y=0.1 * step, heading=math.pi / 2)
    rig.probe.spin(0.1)
    rig.send_latent(T0_NS + 5 * STEP_NS)
    (memory,) = rig.memories(1)
    assert memory.action == pytest.approx([2.0, 0.0], abs=1e-4)


def test_the_motion_of_a_memory_is_that_which_training_took(lab: Any, path: Path) -> None:
    """A drive at changing speed; each memory has the mean over the step of 0.2 s before it."""
    forward = [0.1 * step + 0.4 * math.sin(step / 3) for step in range(12)]
    poses = [Pose(Position(x, 0.0), turned(0.0)) for x in forward]
    drive = Episode('', np.zeros((12, 8, 8, 3), np.uint8), past_motion(poses, [0.05] * 11, 2),
                    np.array([[*pose.position, *pose.orientation] for pose in poses]),
                    np.arange(12) * 0.05, 20.0, actions_from='past motion')
    rig = Rig(lab, path, action_source='motion')
    for step, x in enumerate(forward):
        rig.send_pose(T0_NS + step * STEP_NS, x)
        rig.send_latent(T0_NS + step * STEP_NS)
        rig.probe.spin(0.01)
    found = [memory.action for memory in rig.memories(12)[4:]]
    np.testing.assert_allclose(found, step_actions(drive, 4)[4:], atol=1e-4)


def bad_pose(rig: Rig, case: str) -> None:
    stamp_ns = T0_NS + STEP_NS
    if case == 'NaN':
        msg = PoseStamped(header=Header(stamp=time_from_ns(stamp_ns), frame_id='map'))
        msg.pose.position.x = math.nan
        rig.pose.publish(msg)
    elif case == 'infinite':
        msg = PoseStamped(header=Header(stamp=time_from_ns(stamp_ns), frame_id='map'))
        msg.pose.position.y = math.inf
        rig.pose.publish(msg)
    elif case == 'zero quaternion':
        msg = PoseStamped(header=Header(stamp=time_from_ns(stamp_ns), frame_id='map'))
        msg.pose.orientation.w = 0.0
        rig.pose.publish(msg)
    elif case == 'frame':
        rig.send_pose(stamp_ns, 1.0, frame='odom')
    elif case == 'action':
        rig.action.publish(array_from_vector(np.zeros(3, np.float32)))
    elif case == 'NaN action':
        rig.action.publish(array_from_vector(np.float32([0.0, math.nan])))
    elif case == 'latent length':
        rig.send_latent(stamp_ns, size=16)
    elif case == 'NaN latent':
        rig.send_latent(stamp_ns, value=math.nan)
    elif case == 'no author':
        rig.send_latent(stamp_ns, model_id='')


@pytest.fixture(scope='module')
def shared_rig(module_lab: Any) -> Rig:
    rig = Rig(module_lab, module_lab.folder / 'memory.db')
    rig.send_pose(T0_NS, 0.0)
    rig.send_latent(T0_NS)
    rig.memories(1)
    return rig


@pytest.mark.parametrize(('case', 'reason'), [
    ('NaN', 'not finite'), ('infinite', 'not finite'), ('zero quaternion', 'length 0'),
    ('frame', "'odom'"), ('action', '[3], expected [2]'), ('NaN action', 'not finite'),
    ('latent length', '[16], expected [32]'), ('NaN latent', 'not finite'),
    ('no author', 'model_id'),
])
def test_bad_input_is_told_once_and_the_writer_goes_on(
        shared_rig: Rig, case: str, reason: str) -> None:
    rig = shared_rig
    before = len(rig.memories(1))
    for _ in range(20):
        bad_pose(rig, case)
    rig.diagnostics.wait('memory_writer', lambda status, _: (
        status.level == b'\x01' and reason in status.message))
    assert sum(reason in line for line in rig.process.output.splitlines()) <= 2  # rate-limited
    stamp_ns = T0_NS + (10 + before) * STEP_NS
    rig.send_pose(stamp_ns, 1.0)
    rig.send_latent(stamp_ns)
    assert len(rig.memories(before + 1)) == before + 1


def test_a_looped_bag_begins_a_new_session_and_loses_nothing(lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    for _ in range(2):
        for step in range(20):
            rig.send_pose(T0_NS + step * STEP_NS, float(step))
            rig.send_latent(T0_NS + step * STEP_NS)
            rig.probe.spin(0.01)
    memories = rig.memories(40)
    assert len(memories) == 40
    assert [m.position.x for m in memories] == [float(step) for step in range(20)] * 2
    assert len({m.session for m in memories[:20]}) == len({m.session for m in memories[20:]}) == 1
    assert memories[0].session != memories[-1].session
    rig.diagnostics.wait('memory_writer', lambda status, _: 'ran backwards' in status.message)


def test_latents_of_another_encoder_are_refused_with_the_remedy(lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    for stamp_ns, model in ((T0_NS, 'author'), (T0_NS + STEP_NS, 'other'),
                            (T0_NS + 2 * STEP_NS, 'author')):
        rig.send_pose(stamp_ns, 0.0)
        rig.send_latent(stamp_ns, model_id=model)
        rig.probe.spin(0.05)
    assert {m.model_id for m in rig.memories(2)} == {'author'}
    rig.diagnostics.wait('memory_writer', lambda status, _: (
        status.level == b'\x02' and 'other' in status.message
        and 'spatial-rag memory reencode' in status.message))


def test_a_latent_that_no_pose_belongs_to_is_counted_and_not_stored(lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    rig.send_pose(T0_NS, 0.0)
    rig.send_latent(T0_NS + 100 * STEP_NS)
    rig.diagnostics.wait('memory_writer', lambda status, values: (
        values['latents_without_pose'] == '1' and '5.000 s away' in status.message))
    assert rig.memories(0) == []


def test_what_is_stored_survives_kill_9_and_a_new_writer_goes_on(lab: Any, path: Path) -> None:
    first = Rig(lab, path)
    for step in range(10):
        first.send_pose(T0_NS + step * STEP_NS, float(step))
        first.send_latent(T0_NS + step * STEP_NS)
    first.memories(10)
    first.process.signal(signal.SIGKILL)
    first.process.wait()
    second = Rig(lab, path)
    step = 20
    while not second.has(11):  # until it has found the robot's publishers
        step += 1
        second.send_pose(T0_NS + step * STEP_NS, float(step))
        second.send_latent(T0_NS + step * STEP_NS)
        second.probe.spin(0.05)
        assert step < 1000
    memories = second.memories(11)
    assert [m.position.x for m in memories[:10]] == list(map(float, range(10)))
    assert memories[10].session != memories[9].session
    assert len({m.id for m in memories}) == len(memories)


def test_a_file_that_is_deleted_while_open_is_told_and_a_new_one_begun(
        lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    rig.send_pose(T0_NS, 0.0)
    rig.send_latent(T0_NS)
    rig.memories(1)
    for part in path.parent.iterdir():
        part.unlink()
    for step in range(1, 4):
        rig.send_pose(T0_NS + step * STEP_NS, float(step))
        rig.send_latent(T0_NS + step * STEP_NS)
        rig.probe.spin(0.05)
    memories = rig.memories(3)
    assert [m.position.x for m in memories] == [1.0, 2.0, 3.0]
    rig.diagnostics.wait('memory_writer', lambda status, _: (
        status.level == b'\x02' and 'was deleted or replaced' in status.message))


def test_ctrl_c_stores_what_waits_and_prints_no_traceback(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, pose_wait_sec=10.0)
    rig.send_pose(T0_NS, 0.0)
    rig.send_latent(T0_NS + STEP_NS)  # would wait 10 s for a pose after it
    rig.probe.spin(0.5)
    rig.process.signal(signal.SIGINT)
    assert rig.process.wait() == 0
    assert len(rig.memories(1)) == 1
    assert 'Traceback' not in rig.process.output


def test_ctrl_c_tells_what_could_not_be_stored_for_a_file_that_refuses(
        lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute('BEGIN EXCLUSIVE')
    rig.stand(0, 3)
    rig.diagnostics.wait('memory_writer', lambda status, values: (
        values['backlog'] == '3' and 'locked' in status.message
        and '3 waiting to be stored' in status.message))
    rig.process.signal(signal.SIGINT)
    assert rig.process.wait() == 0
    other.close()
    assert '3 memories that waited could not be stored: ' in rig.process.output
    assert 'Traceback' not in rig.process.output


def test_a_robot_that_stands_still_remembers_no_more_until_it_moves(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, min_travel_m=0.05, min_turn_deg=2.0, labels=' dock, charging ,')
    rig.stand(0, 20)
    values = rig.diagnostics.wait('memory_writer', lambda _, values: (
        values['memories_not_admitted'] == '19'))
    assert (values['memories_stored'], values['not_admitted_unchanged'],
            values['not_admitted_too_soon']) == ('1', '19', '0')
    rig.send_pose(T0_NS + 20 * STEP_NS, 1.0)
    rig.send_latent(T0_NS + 20 * STEP_NS)
    assert [m.position.x for m in rig.memories(2)] == [0.0, 1.0]
    assert {m.labels for m in rig.memories(2)} == {('dock', 'charging')}


def test_what_is_remembered_may_be_set_while_it_runs(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, min_travel_m=0.05)
    rig.stand(0, 10)
    rig.memories(1)
    rig.set(min_travel_m=0.0)
    rig.stand(10, 10)
    assert len(rig.memories(11)) == 11


def test_the_memory_keeps_to_its_capacity(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, capacity=50)
    rig.stand(0, 120)
    values = rig.diagnostics.wait('memory_writer', lambda _, values: (
        int(values['memories_stored']) == 120 and int(values['memories_in_file']) <= 50))
    assert int(values['memories_thinned']) == 120 - int(values['memories_in_file'])
    assert values['capacity'] == '50'
    rig.set(capacity=10)
    rig.diagnostics.wait('memory_writer', lambda _, values: values['memories_in_file'] == '9')


def test_a_capacity_that_cannot_be_kept_is_told_and_nothing_is_refused(
        lab: Any, path: Path) -> None:
    rig = Rig(lab, path, capacity=3)
    for step in range(8):  # a cell for each
        rig.send_pose(T0_NS + step * STEP_NS, 100.0 * step)
        rig.send_latent(T0_NS + step * STEP_NS)
        rig.probe.spin(0.05)
    assert len(rig.memories(8)) == 8
    rig.diagnostics.wait('memory_writer', lambda status, _: (
        status.level == b'\x01' and '8 memories exceed capacity 3' in status.message))


def test_memories_are_forgotten_on_request_and_counted_beforehand(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, session='morning')
    rig.stand(0, 10)
    rig.memories(10)
    after = time_from_ns(T0_NS + 5 * STEP_NS)
    answer = rig.forget(after=after, dry_run=True)
    assert (answer.code, answer.count, answer.message) == (0, 5, '')
    assert len(rig.memories(10)) == 10
    answer = rig.forget(after=after, session='morning')
    assert (answer.code, answer.count) == (0, 5)
    assert len(rig.memories(5)) == 5
    assert rig.forget(session='evening').count == 0
    assert rig.forget(everything=True).count == 5
    rig.stand(20, 3)
    assert len(rig.memories(3)) == 3


@pytest.mark.parametrize(('fields', 'message'), [
    ({}, 'nothing is selected'), ({'radius_m': -1.0}, 'radius_m must lie in'),
    ({'labels': ['']}, 'labels must be'), ({'dry_run': True}, 'nothing is selected'),
])
def test_a_selection_that_is_none_is_refused(
        shared_rig: Rig, fields: dict[str, object], message: str) -> None:
    before = len(shared_rig.memories(1))
    answer = shared_rig.forget(**fields)
    assert (answer.code, answer.count) == (ForgetMemories.Response.INVALID_REQUEST, 0)
    assert message in answer.message
    assert len(shared_rig.memories(1)) == before


def test_nothing_waits_while_a_whole_life_is_forgotten(lab: Any, path: Path) -> None:
    path.parent.mkdir()
    with Journal.open_writer(path, JournalSpec()) as journal:
        pose = Pose(Position(0.0, 0.0))
        journal.append([Memory(f'old-{n}', np.full(32, n, np.float32), pose, '8d754e64992d6ff',
                               1e9 + n, 'author', thumbnail=bytes(3000)) for n in range(20_000)])
    rig = Rig(lab, path)
    client = rig.probe.node.create_client(ForgetMemories, '/spatial_rag/forget_memories')
    rig.probe.until(client.service_is_ready)
    future = client.call_async(ForgetMemories.Request(before=time_from_ns(T0_NS - STEP_NS)))
    step = 0
    while not future.done():
        rig.stand(step, 1)
        step += 1
    assert (future.result().code, future.result().count) == (0, 20_000)
    rig.probe.until(lambda: stored_count(rig.path) == step)
    values = rig.diagnostics.wait('memory_writer', lambda _, values: (
        values['memories_stored'] == str(step)))
    assert (values['memories_lost'], values['memories_in_file']) == ('0', str(step))


def test_a_second_writer_of_the_same_file_refuses_to_start_and_says_who_holds_it(
        lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    second = lab.start_node('memory_writer_node', '-r', '__node:=second', memory_path=path,
                            exit_on_failure=True)
    assert second.wait() == 1
    assert second.output.startswith(f'[FATAL] cannot start: {path} is being written by ')
    assert f'/memory_writer (pid {rig.process.pid} on' in second.output
    assert second.output.count('\n') == 1
    rig.stand(0, 2)
    assert len(rig.memories(2)) == 2


def test_memories_are_gathered_where_that_was_asked_for(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, durability='power', commit_period_sec=2.0)
    begin = time.monotonic()
    rig.stand(0, 10)
    rig.probe.until(lambda: rig.has(1))
    assert time.monotonic() - begin >= 2.0
    assert len(rig.memories(10)) == 10


def unusable_files(folder: Path) -> dict[str, tuple[Path, str]]:
    newer, other = folder / 'newer.db', folder / 'other.db'
    garbage, spec = folder / 'garbage.db', folder / 'z16.db'
    Journal.open_writer(newer, JournalSpec()).close()
    with sqlite3.connect(newer) as connection:
        connection.execute('PRAGMA user_version = 99')
    connection.close()
    with sqlite3.connect(other) as connection:
        connection.execute('CREATE TABLE songs (name)')
    connection.close()
    garbage.write_bytes(b'no database at all' * 1000)
    Journal.open_writer(spec, JournalSpec(z_dim=16)).close()
    frame = folder / 'world.db'
    Journal.open_writer(frame, JournalSpec(map_frame='world')).close()
    return {'newer': (newer, 'schema version 99'), 'other': (other, 'not a Spatial-RAG memory'),
            'garbage': (garbage, 'restore a backup'), 'z16': (spec, 'z_dim 16'),
            'frame': (frame, 'map_frame: world'),
            'below a file': (garbage / 'memory.db', 'memory_path')}


@pytest.mark.parametrize('case', ['newer', 'other', 'garbage', 'z16', 'frame', 'below a file'])
def test_a_memory_that_cannot_be_used_ends_the_start_with_code_1_and_the_remedy(
        lab: Any, tmp_path: Path, case: str) -> None:
    path, remedy = unusable_files(tmp_path)[case]
    process = lab.start_node('memory_writer_node', memory_path=path, exit_on_failure=True)
    assert process.wait() == 1
    assert process.output.startswith('[FATAL] cannot start: ')
    assert process.output.count('\n') == 1
    assert remedy in process.output


def test_a_disk_with_less_room_than_is_wanted_and_silent_poses_are_told(
        lab: Any, path: Path) -> None:
    rig = Rig(lab, path, disk_reserve_mb=1e9)
    rig.stand(0, 3)
    for words in ('MB are left on the disk of', 'no pose on /pose for'):
        rig.diagnostics.wait('memory_writer', lambda status, _, words=words: (
            status.level in (b'\x01', b'\x02') and words in status.message))
    rig.set(disk_reserve_mb=0.0)
    rig.diagnostics.wait('memory_writer', lambda status, _: (
        'MB are left' not in status.message))
