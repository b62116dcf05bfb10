"""Poses out of the transforms: with tf2_ros where it is installed, else with a stand-in."""

from __future__ import annotations

from importlib.util import find_spec
import os
from pathlib import Path
import sys
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_nodes.conversions import msg_from_latent, time_from_ns

from geometry_msgs.msg import Transform, TransformStamped, Vector3
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from std_msgs.msg import Header

pytestmark = pytest.mark.ros

T0_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000
HAS_TF2_ROS = find_spec('tf2_ros') is not None
STAND_IN = Path(__file__).parent / 'fake_tf2_ros'


class Rig:
    """A writer that follows the transforms, and the robot that moves them."""

    def __init__(self, lab: Any, path: Path, namespace: str = '', **parameters: object) -> None:
        self.probe, self.path = lab.probe, path
        words = ('-r', f'__ns:={namespace}') if namespace else ()
        self.process = lab.start_node(
            'memory_writer_node', *words, memory_path=path, pose_source='tf', min_travel_m=0.0,
            min_turn_deg=0.0, action_source='motion', **parameters)
        self.tf = self.transforms(f'{namespace}/tf')
        self._latent = self.probe.publisher(LatentStamped, f'{namespace}/spatial_rag/latent')
        self.probe.spin(0.3)  # the writer must have found these publishers, too

    def transforms(self, topic: str, subscribers: int = 1) -> Any:
        """What publishes transforms there, once it has its subscribers."""
        return self.probe.publisher(type(_message(TransformStamped())), topic, subscribers)

    def move(self, stamp_ns: int, x: float, frames: tuple[str, str] = ('map', 'base_link'),
             publisher: Any = None) -> None:
        """Say where the robot is; spun for longer than the writer's look period."""
        (publisher or self.tf).publish(_message(_transform(stamp_ns, x, frames)))
        self.probe.spin(0.1)

    def see(self, stamp_ns: int) -> None:
        self._latent.publish(msg_from_latent(np.zeros(32, np.float32),
                                             Header(stamp=time_from_ns(stamp_ns)), 'author'))

    def places(self, count: int) -> list[float]:
        """x [m] of each memory in order, once there are so many."""
        def found() -> list[float]:
            reader = Journal.open_reader(self.path)
            if reader is None:
                return []
            with reader:
                memories = reader.get(reader.index_rows_after(0).seqs.tolist())
                return [memories[seq].position.x for seq in sorted(memories)]
        self.probe.until(lambda: len(found()) >= count,
                         message=lambda: f'{found()}; {self.process.output}')
        return found()


def _transform(stamp_ns: int, x: float, frames: tuple[str, str] = ('map', 'base_link'),
               ) -> TransformStamped:
    return TransformStamped(
        header=Header(stamp=time_from_ns(stamp_ns), frame_id=frames[0]),
        child_frame_id=frames[1], transform=Transform(translation=Vector3(x=x)))


def _message(transform: TransformStamped) -> Any:
    """One of them as it is sent: the stand-in has no message of several."""
    if not HAS_TF2_ROS:
        return transform
    from tf2_msgs.msg import TFMessage
    return TFMessage(transforms=[transform])


@pytest.fixture
def tf(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nodes find tf2_ros, or what stands in for it."""
    if not HAS_TF2_ROS:
        monkeypatch.setenv('PYTHONPATH', f'{STAND_IN}:{os.environ.get("PYTHONPATH", "")}')


def test_a_latent_is_stored_where_the_transforms_say_that_the_robot_was(
        lab: Any, tf: None, tmp_path: Path) -> None:
    rig = Rig(lab, tmp_path / 'memory.db')
    for step in range(4):
        rig.move(T0_NS + step * STEP_NS, x=float(step))
    rig.see(T0_NS + 5 * STEP_NS // 2)  # between the transforms of steps 2 and 3
    assert rig.places(1) == [pytest.approx(2.5, abs=1e-6)]


def test_the_frames_may_have_other_names(lab: Any, tf: None, tmp_path: Path) -> None:
    rig = Rig(lab, tmp_path / 'memory.db', map_frame='world', base_frame='camera')
    rig.move(T0_NS, x=1.0)
    rig.move(T0_NS, x=2.0, frames=('world', 'camera'))
    rig.see(T0_NS)
    assert rig.places(1) == [pytest.approx(2.0)]


def test_where_simulated_time_is_turned_back_the_transforms_are_followed_anew(
        lab: Any, tf: None, tmp_path: Path) -> None:
    rig = Rig(lab, tmp_path / 'memory.db', use_sim_time=True)
    clock = lab.probe.publisher(Clock, '/clock')
    for x in (1.0, 2.0):  # a bag of 60 s, twice
        for second in (0, 60):
            clock.publish(Clock(clock=time_from_ns(T0_NS + second * 10**9)))
            lab.probe.spin(0.2)
            rig.move(T0_NS + second * 10**9, x + second)
            rig.see(T0_NS + second * 10**9)
            lab.probe.spin(0.5)
    assert rig.places(4) == pytest.approx([1.0, 61.0, 2.0, 62.0])


def test_each_robot_in_a_namespace_has_transforms_of_its_own(
        lab: Any, tf: None, tmp_path: Path) -> None:
    rig = Rig(lab, tmp_path / 'memory.db', namespace='/robot1')
    others = rig.transforms('/tf', subscribers=0)
    lab.probe.spin(0.3)
    for step in range(2):
        rig.move(T0_NS + step * STEP_NS, x=1.0)
        rig.move(T0_NS + step * STEP_NS, x=70.0, publisher=others)
    rig.see(T0_NS + STEP_NS // 2)
    assert rig.places(1) == [pytest.approx(1.0)]


def test_what_is_no_transform_is_told_and_those_after_it_are_followed(
        lab: Any, tf: None, tmp_path: Path) -> None:
    rig = Rig(lab, tmp_path / 'memory.db')
    rig.tf.publish(b'\x00\x01\x00\x00' + b'\xff' * 40)
    lab.diagnostics.wait('memory_writer', lambda status, _: (
        'bytes are no T' in status.message and 'internal error' not in status.message))
    rig.move(T0_NS, x=3.0)
    rig.see(T0_NS)
    assert rig.places(1) == [pytest.approx(3.0)]


@pytest.mark.skipif(HAS_TF2_ROS, reason='when tf2 itself raises is not known')
def test_what_tf2_does_not_take_is_told_and_those_after_it_are_followed(
        lab: Any, tf: None, tmp_path: Path) -> None:
    rig = Rig(lab, tmp_path / 'memory.db')
    rig.move(T0_NS, x=1.0, frames=('map', 'refused'))
    lab.diagnostics.wait('memory_writer', lambda status, _: (
        "tf2 takes no transform of 'refused' in 'map'" in status.message))
    rig.move(T0_NS, x=3.0)
    rig.see(T0_NS)
    assert rig.places(1) == [pytest.approx(3.0)]


_TWO_NODES = """
from spatial_rag_nodes.executables import _run
_run({'memory_writer_node': 'MemoryWriterNode', 'retriever_node': 'RetrieverNode'})
"""


def test_the_nodes_of_a_process_hear_the_transforms_once_also_when_one_of_them_stops(
        lab: Any, tf: None, tmp_path: Path) -> None:
    lab.start(sys.executable, '-c', _TWO_NODES, '--ros-args', '-p', 'pose_source:=tf', '-p',
              f'memory_path:={tmp_path / "memory.db"}')
    lab.diagnostics.wait_ready('memory_writer', 'retriever')
    probe = lab.probe

    def listeners() -> list[str]:
        return [end.node_name for end in probe.node.get_subscriptions_info_by_topic('/tf')]
    probe.until(lambda: listeners() == ['memory_writer'], message=lambda: str(listeners()))
    answer = probe.call(ChangeState, '/memory_writer/change_state', ChangeState.Request(
        transition=Transition(label='deactivate')))
    assert answer.success
    probe.until(lambda: listeners() == ['retriever'], message=lambda: str(listeners()))
    retrieved = probe.listen(RetrievedMemories, '/spatial_rag/retrieved')
    tf = probe.publisher(type(_message(TransformStamped())), '/tf')
    latent = probe.publisher(LatentStamped, '/spatial_rag/latent')
    tf.publish(_message(_transform(T0_NS, 4.0)))
    probe.spin(0.3)
    latent.publish(msg_from_latent(np.zeros(32, np.float32), Header(stamp=time_from_ns(T0_NS)),
                                   'author'))
    probe.until(lambda: bool(retrieved))
    assert (retrieved[0].pose_valid, retrieved[0].pose.position.x) == (True, 4.0)


def test_a_robot_without_transforms_is_told(lab: Any, tf: None, tmp_path: Path) -> None:
    Rig(lab, tmp_path / 'memory.db')
    lab.diagnostics.wait('memory_writer', lambda status, _: (
        "no pose of 'base_link' in 'map'" in status.message), 30.0)


@pytest.mark.skipif(HAS_TF2_ROS, reason='tf2_ros is installed')
def test_without_tf2_ros_the_node_says_what_to_do_and_ends(lab: Any, tmp_path: Path) -> None:
    process = lab.start_node('memory_writer_node', memory_path=tmp_path / 'memory.db',
                             pose_source='tf', exit_on_failure=True)
    assert process.wait() == 1
    assert 'pose_source tf needs tf2_ros' in process.output
    assert 'tf2-ros-py, or set pose_source to pose or odometry' in process.output
    assert 'Traceback' not in process.output
