"""A memory writer as a process, and a robot that the test plays."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.records import Memory, Pose, Position, Quaternion
from spatial_rag_msgs.msg import LatentStamped
from spatial_rag_msgs.srv import ForgetMemories
from spatial_rag_nodes.conversions import msg_from_latent, msg_from_pose, time_from_ns

from geometry_msgs.msg import PoseStamped
import numpy as np
from rcl_interfaces.srv import SetParameters
from rclpy.parameter import Parameter as RclParameter
from std_msgs.msg import Float32MultiArray, Header

T0_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000


def stored_count(path: Path) -> int:
    """Memories in a file; 0 where there is none."""
    reader = Journal.open_reader(path)
    if reader is None:
        return 0
    with reader:
        return reader.stats().count


def turned(heading: float) -> Quaternion:
    return Quaternion(0.0, 0.0, math.sin(heading / 2), math.cos(heading / 2))


EACH = {'min_travel_m': 0.0, 'min_turn_deg': 0.0}
"""Parameters with which each moment is remembered, also where the robot stands."""


class Rig:
    """A writer, and a robot that the test plays; each moment is remembered."""

    def __init__(self, lab: Any, path: Path, **parameters: object) -> None:
        self.lab, self.probe, self.path = lab, lab.probe, path
        self.process = lab.start_node('memory_writer_node', memory_path=path,
                                      **{**EACH, **parameters})
        self.pose = self.probe.publisher(PoseStamped, '/pose')
        self.latent = self.probe.publisher(LatentStamped, '/spatial_rag/latent')
        self.action = self.probe.publisher(Float32MultiArray, '/actions') if (
            parameters.get('action_source') != 'motion') else None
        self.diagnostics = lab.diagnostics
        self.probe.spin(0.3)  # the writer must have found these publishers, too

    def send_pose(self, stamp_ns: int, x: float, y: float = 0.0, heading: float = 0.0,
                  frame: str = 'map') -> None:
        self.pose.publish(PoseStamped(
            header=Header(stamp=time_from_ns(stamp_ns), frame_id=frame),
            pose=msg_from_pose(Pose(Position(x, y), turned(heading)))))

    def send_latent(self, stamp_ns: int, value: float = 0.5, model_id: str = 'author',
                    size: int = 32) -> None:
        self.latent.publish(msg_from_latent(
            np.full(size, value, np.float32), Header(stamp=time_from_ns(stamp_ns)), model_id,
            b'jpeg'))

    def memories(self, count: int) -> list[Memory]:
        """Once there are so many."""
        self.probe.until(lambda: self.has(count), message=lambda: (
            f'{stored_count(self.path)} of {count} stored; {self.process.output}'))
        reader = Journal.open_reader(self.path)
        assert reader is not None
        with reader:
            found = reader.get(reader.index_rows_after(0).seqs.tolist())
        return [found[seq] for seq in sorted(found)]

    def stand(self, first: int, count: int) -> None:
        """Send latents, and each with it the pose of a robot that does not move."""
        for step in range(first, first + count):
            self.send_pose(T0_NS + step * STEP_NS, 0.0)
            self.send_latent(T0_NS + step * STEP_NS)
            self.probe.spin(0.01)

    def forget(self, **fields: object) -> Any:
        return self.probe.call(ForgetMemories, '/spatial_rag/forget_memories',
                               ForgetMemories.Request(**fields))

    def set(self, **values: float) -> None:
        request = SetParameters.Request(parameters=[
            RclParameter(name, value=value).to_parameter_msg() for name, value in values.items()])
        answer = self.probe.call(SetParameters, '/memory_writer/set_parameters', request)
        assert all(result.successful for result in answer.results)

    def has(self, count: int) -> bool:
        return stored_count(self.path) >= count
