"""The four nodes as managed nodes: each step of their lifecycle, by the services of ROS 2."""

from __future__ import annotations

from pathlib import Path
import signal
import sqlite3
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.records import Pose, Position
from spatial_rag_core.settings import Settings
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_msgs.srv import EncodeImage, ForgetMemories, MemoryStats
from spatial_rag_nodes.conversions import (
    array_from_vector,
    msg_from_latent,
    msg_from_pose,
    time_from_ns,
)
from spatial_rag_nodes.images import image_from_rgb

from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition, TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, Header

from .retriever_rig import make_memory_file, memory

pytestmark = pytest.mark.ros

T0_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000
NODES = ('encoder', 'memory_writer', 'retriever', 'transition_predictor')
each_node = pytest.mark.parametrize('name', NODES)


class Rig:
    """A process under the test's own lifecycle manager, and a robot that the test plays."""

    def __init__(self, lab: Any, process: Any) -> None:
        self.lab, self.probe, self.diagnostics = lab, lab.probe, lab.diagnostics
        self.process = process
        self._publishers: dict[str, Any] = {}
        self.step = 0

    def change(self, name: str, transition: str) -> bool:
        request = ChangeState.Request(transition=Transition(label=transition))
        return self.probe.call(ChangeState, f'/{name}/change_state', request, 60.0).success

    def change_by_id(self, name: str, number: int) -> bool:
        request = ChangeState.Request(transition=Transition(id=number))
        return self.probe.call(ChangeState, f'/{name}/change_state', request).success

    def state(self, name: str) -> str:
        return self.probe.call(GetState, f'/{name}/get_state', GetState.Request(),
                               60.0).current_state.label

    def set(self, node: str, **values: object) -> Any:
        request = SetParameters.Request(parameters=[
            Parameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        (result,) = self.probe.call(SetParameters, f'/{node}/set_parameters', request).results
        return result

    def publish(self, kind: type, topic: str, message: Any) -> None:
        if topic not in self._publishers:
            self._publishers[topic] = self.probe.node.create_publisher(kind, topic, 50)
        self._publishers[topic].publish(message)

    def meet(self, kind: type, topic: str) -> None:
        """Have a publisher that the node has found."""
        self._publishers[topic] = self.probe.publisher(kind, topic)
        self.probe.spin(0.3)

    def move(self) -> int:
        """One moment of the robot on all topics; returns its stamp."""
        self.step += 1
        stamp_ns = T0_NS + self.step * STEP_NS
        header = Header(stamp=time_from_ns(stamp_ns), frame_id='map')
        pose = Pose(Position(float(self.step), 0.0))
        self.publish(PoseStamped, '/pose', PoseStamped(header=header, pose=msg_from_pose(pose)))
        self.publish(Float32MultiArray, '/actions', array_from_vector(np.float32([1, 0])))
        self.publish(Image, '/camera/image_raw', image_from_rgb(picture(self.step), header))
        self.probe.spin(0.05)
        return stamp_ns

    def drive(self, heard: list[Any]) -> None:
        """Until something is heard anew."""
        count = len(heard)

        def is_heard() -> bool:
            self.move()
            return len(heard) > count
        self.probe.until(is_heard)


class WithLatents(Rig):
    """The test plays the encoder too, for the three nodes that follow it."""

    model_id = 'author'

    def move(self) -> int:
        stamp_ns = super().move()
        self.publish(LatentStamped, '/spatial_rag/latent', msg_from_latent(
            np.full(32, 0.5, np.float32), Header(stamp=time_from_ns(stamp_ns)), self.model_id))
        self.probe.spin(0.03)
        return stamp_ns


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)


def rig_of(lab: Any, name: str, bundle_path: Path, **parameters: object) -> Rig:
    paths = {'memory_path': lab.folder / 'memory.db'} if name in ('memory_writer', 'retriever') \
        else {'model_path': bundle_path}
    kind = Rig if name == 'encoder' else WithLatents
    return kind(lab, lab.start_node(
        f'{name}_node', **{**paths, 'autostart': False, **parameters}))


def work_of(rig: Rig, name: str, bundle_path: Path) -> list[Any]:
    """What shows that the node works: a list that grows with it."""
    if name == 'transition_predictor':
        rig.model_id = Bundle.load(bundle_path).model_id
    kind, topic = {'encoder': (LatentStamped, '/spatial_rag/latent'),
                   'retriever': (RetrievedMemories, '/spatial_rag/retrieved'),
                   'transition_predictor': (LatentStamped, '/spatial_rag/latent_next'),
                   'memory_writer': (None, '')}[name]
    return Stored(rig.lab.folder / 'memory.db') if kind is None else rig.probe.listen(kind, topic)


class Stored(list):
    """As long as the memory file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __len__(self) -> int:
        reader = Journal.open_reader(self._path)
        if reader is None:
            return 0
        with reader:
            return reader.stats().count


@each_node
def test_a_node_works_while_it_is_active_and_only_then(
        lab: Any, bundle_path: Path, name: str) -> None:
    rig = rig_of(lab, name, bundle_path)
    done = work_of(rig, name, bundle_path)
    assert rig.state(name) == 'unconfigured'
    for _ in range(2):
        assert rig.change(name, 'configure')
        assert rig.state(name) == 'inactive'
        for _ in range(2):
            rig.diagnostics.wait(name, lambda status, values: (
                values['state'] == status.message == 'inactive' and status.level == b'\x00'))
            before = len(done)
            for _ in range(5):
                rig.move()
            rig.probe.spin(0.3)
            assert len(done) == before, 'it works though it is inactive'
            assert rig.change(name, 'activate')
            assert rig.state(name) == 'active'
            rig.drive(done)
            assert rig.change(name, 'deactivate')
            rig.probe.spin(0.2)  # what was under way
        assert rig.change(name, 'cleanup')
        assert rig.state(name) == 'unconfigured'
    assert rig.change(name, 'shutdown')
    assert rig.state(name) == 'finalized'
    rig.process.signal(signal.SIGINT)
    assert rig.process.wait() == 0
    assert 'Traceback' not in rig.process.output


@each_node
def test_shutdown_from_active_ends_the_work_and_the_process_ends_on_ctrl_c(
        lab: Any, bundle_path: Path, name: str) -> None:
    rig = rig_of(lab, name, bundle_path, autostart=True)
    assert rig.state(name) == 'active'
    assert rig.change(name, 'shutdown')
    assert rig.state(name) == 'finalized'
    done = work_of(rig, name, bundle_path)
    before = len(done)
    for _ in range(5):
        rig.move()
    assert len(done) == before
    rig.process.signal(signal.SIGTERM)
    assert rig.process.wait() == 0


@each_node
def test_a_transition_that_there_is_not_is_refused_and_the_node_lives_on(
        lab: Any, bundle_path: Path, name: str) -> None:
    rig = rig_of(lab, name, bundle_path)
    assert not rig.change(name, 'deactivate')
    assert not rig.change(name, 'dance')
    assert not rig.change_by_id(name, Transition.TRANSITION_ACTIVATE)
    assert not rig.change_by_id(name, 200)
    assert rig.state(name) == 'unconfigured'
    assert 'no transition deactivate from unconfigured; there are: configure (1)' in (
        rig.process.output)


def spoil(name: str, folder: Path) -> tuple[dict[str, Any], str]:
    """What the node cannot be configured with, and what it says of that."""
    path = folder / 'spoilt'
    if name in ('encoder', 'transition_predictor'):
        return {'model_path': path}, 'spoilt'
    Journal.open_writer(path, JournalSpec(map_frame='world')).close()
    return {'memory_path': path}, 'world'


def mend(name: str, folder: Path) -> None:
    if name in ('encoder', 'transition_predictor'):
        create_untrained_bundle(folder / 'spoilt', Settings())
    else:
        for file in folder.glob('spoilt*'):
            file.unlink()


@each_node
def test_what_keeps_a_node_from_being_configured_is_told_and_it_can_be_tried_again(
        lab: Any, bundle_path: Path, tmp_path: Path, name: str) -> None:
    wrong, reason = spoil(name, tmp_path)
    rig = rig_of(lab, name, bundle_path, **wrong)
    for _ in range(2):
        assert not rig.change(name, 'configure')
        assert rig.state(name) == 'unconfigured'
    rig.diagnostics.wait(name, lambda status, values: (
        status.level == b'\x02' and reason in status.message
        and 'unconfigured: ' in status.message and values['state'] == 'unconfigured'))
    errors = [line for line in rig.process.output.splitlines() if '[ERROR]' in line]
    assert len([line for line in errors if reason in line]) == 2
    assert 'Traceback' not in rig.process.output
    mend(name, tmp_path)
    assert rig.change(name, 'configure')
    assert rig.change(name, 'activate')
    rig.diagnostics.wait(name, lambda status, _: (status.level, status.message) == (b'\x00', 'ok'))


@each_node
def test_with_autostart_what_keeps_it_from_working_ends_the_process(
        lab: Any, bundle_path: Path, tmp_path: Path, name: str) -> None:
    wrong, reason = spoil(name, tmp_path)
    rig = rig_of(lab, name, bundle_path, **{**wrong, 'autostart': True})
    assert rig.process.wait() == 1
    assert rig.process.output.startswith('[FATAL] cannot start: ')
    assert reason in rig.process.output
    assert rig.process.output.count('\n') == 1


def test_parameters_may_be_mended_while_a_node_is_unconfigured_and_not_after(
        lab: Any, bundle_path: Path) -> None:
    rig = Rig(lab, lab.start_node('encoder_node', model_path='nowhere.pt', autostart=False))
    assert not rig.change('encoder', 'configure')
    assert rig.set('encoder', model_path=str(bundle_path)).successful
    assert rig.change('encoder', 'configure')
    refused = rig.set('encoder', model_path='elsewhere.pt')
    assert not refused.successful
    assert 'ros2 lifecycle set /encoder cleanup' in refused.reason
    assert rig.set('encoder', publish_rate=5.0).successful


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


def test_deactivating_the_writer_stores_what_waits_and_keeps_the_file(lab: Any) -> None:
    path = lab.folder / 'memory.db'
    rig = WithLatents(lab, lab.start_node('memory_writer_node', memory_path=path, autostart=False,
                                          pose_wait_sec=10.0, commit_period_sec=60.0))
    stored = Stored(path)
    assert rig.change('memory_writer', 'configure')
    assert rig.change('memory_writer', 'activate')
    rig.meet(PoseStamped, '/pose')
    rig.meet(LatentStamped, '/spatial_rag/latent')
    for _ in range(10):
        rig.move()
    rig.probe.spin(0.5)
    assert len(stored) == 0, 'it gathers for a minute'
    assert rig.change('memory_writer', 'deactivate')
    assert len(stored) == 10
    second = lab.start_node('memory_writer_node', '-r', '__node:=second', memory_path=path)
    assert second.wait() == 1
    assert 'is being written by' in second.output
    assert rig.change('memory_writer', 'activate')
    rig.diagnostics.wait('memory_writer', lambda _, values: (
        values['state'] == 'active' and values['memories_stored'] == '10'))
    assert rig.change('memory_writer', 'shutdown')
    third = lab.start_node('memory_writer_node', '-r', '__node:=third', memory_path=path)
    third.wait_for_output('(10 memories so far)')


def test_a_file_that_refuses_holds_up_no_transition_and_loses_nothing(lab: Any) -> None:
    path = lab.folder / 'memory.db'
    rig = WithLatents(lab, lab.start_node('memory_writer_node', memory_path=path, autostart=False))
    assert rig.change('memory_writer', 'configure')
    assert rig.change('memory_writer', 'activate')
    stored = Stored(path)
    rig.drive(stored)
    rig.probe.spin(0.5)
    before = len(stored)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute('BEGIN IMMEDIATE')
    for _ in range(5):
        rig.move()
    assert rig.change('memory_writer', 'deactivate')
    assert rig.state('memory_writer') == 'inactive'
    other.execute('ROLLBACK')
    other.close()
    rig.probe.until(lambda: len(stored) == before + 5)


def test_the_retriever_takes_in_what_is_stored_while_it_is_inactive(lab: Any) -> None:
    path = lab.folder / 'memory.db'
    make_memory_file(path, 20)
    rig = Rig(lab, lab.start_node('retriever_node', memory_path=path, autostart=False))
    assert rig.change('retriever', 'configure')
    rig.diagnostics.wait('retriever', lambda _, values: values['memories_in_index'] == '20')
    with Journal.open_existing_writer(path) as journal:
        journal.append([memory(number) for number in range(20, 30)])
    rig.diagnostics.wait('retriever', lambda _, values: values['memories_in_index'] == '30')


def test_composed_nodes_start_and_stop_one_by_one(lab: Any, bundle_path: Path) -> None:
    path = lab.folder / 'memory.db'
    rig = Rig(lab, lab.start_node('composed', model_path=bundle_path, memory_path=path,
                                  autostart=False))
    events = {name: rig.probe.listen(TransitionEvent, f'/{name}/transition_event')
              for name in NODES}
    latents = rig.probe.listen(LatentStamped, '/spatial_rag/latent')
    assert {rig.state(name) for name in NODES} == {'unconfigured'}
    for name in NODES:
        assert rig.change(name, 'configure')
        assert rig.change(name, 'activate')
    rig.probe.until(lambda: all(events.values()))
    rig.drive(latents)
    rig.drive(Stored(path))
    assert rig.change('memory_writer', 'deactivate')
    assert [rig.state(name) for name in NODES] == ['active', 'inactive', 'active', 'active']
    before = len(Stored(path))
    rig.drive(latents)
    assert len(Stored(path)) == before
    rig.process.signal(signal.SIGINT)
    assert rig.process.wait() == 0
    assert 'Traceback' not in rig.process.output


def test_composed_with_autostart_is_active_at_once_unless_one_is_told_to_wait(
        lab: Any, bundle_path: Path) -> None:
    parameters = lab.folder / 'parameters.yaml'
    parameters.write_text('/**/memory_writer: {ros__parameters: {autostart: false}}\n')
    rig = Rig(lab, lab.start(
        'composed', '--ros-args', '--params-file', parameters, '-p',
        f'model_path:={bundle_path}', '-p', f'memory_path:={lab.folder / "memory.db"}'))
    states = [rig.state(name) for name in NODES]
    assert states == ['active', 'unconfigured', 'active', 'active']
    assert 'ros2 lifecycle set /memory_writer configure' in rig.process.output
