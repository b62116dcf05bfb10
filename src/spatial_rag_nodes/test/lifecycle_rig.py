"""Nodes under the test's own lifecycle manager, and a robot that the test plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.records import Pose, Position
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_nodes.conversions import (
    array_from_vector,
    msg_from_latent,
    msg_from_pose,
    time_from_ns,
)
from spatial_rag_nodes.images import image_from_rgb

from geometry_msgs.msg import PoseStamped
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import numpy as np
import pytest
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, Header

from .writer_rig import STEP_NS, stored_count, T0_NS

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
        return stored_count(self._path)
