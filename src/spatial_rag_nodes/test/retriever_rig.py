"""A retriever as a process, over memories on a line, and a robot that the test plays."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_msgs.srv import QueryMemory
from spatial_rag_nodes.conversions import msg_from_latent, msg_from_pose, time_from_ns

from geometry_msgs.msg import PoseStamped
import numpy as np
import pytest
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from std_msgs.msg import Header

T0_NS = 1_700_000_000_000_000_000
T0 = T0_NS / 1e9
GRID = H3Grid(LocalFrame(), 13)


def memory(number: int, session: str = 'first') -> Memory:
    """One memory a second, one a metre; latents along one axis; from 90 on in the cellar."""
    pose = Pose(Position(float(number), 0.0))
    vector = np.zeros(32, np.float32)
    vector[0] = number
    return Memory(id=new_memory_id(), vector=vector, pose=pose, h3_cell=GRID.cell(pose.position),
                  timestamp=T0 + number, model_id='author', session=session, thumbnail=b'jpeg',
                  robot='carl', map_id='cellar' if number >= 90 else 'hall',
                  labels=('door',) if number in (40, 80) else (),
                  action=np.float32([1.0, 0.0]))


class Rig:
    """A retriever over 100 memories, and a robot that the test plays."""

    def __init__(self, lab: Any, path: Path, **parameters: object) -> None:
        self.lab, self.probe, self.diagnostics = lab, lab.probe, lab.diagnostics
        self.answers: list[RetrievedMemories] = self.probe.listen(
            RetrievedMemories, '/spatial_rag/retrieved')
        self.process = lab.start_node('retriever_node', memory_path=path, **parameters)
        self.pose = self.probe.publisher(PoseStamped, '/pose')
        self.latent = self.probe.publisher(LatentStamped, '/spatial_rag/latent')
        self.probe.spin(0.3)

    def ask(self, stamp_sec: float, x: float, z0: float, model_id: str = 'author',
            with_pose: bool = True) -> RetrievedMemories:
        """The topic's answer to a latent (z0, 0, 0, …) at x."""
        stamp = time_from_ns(T0_NS + round(stamp_sec * 1e9))
        if with_pose:
            self.pose.publish(PoseStamped(header=Header(stamp=stamp, frame_id='map'),
                                          pose=msg_from_pose(Pose(Position(x, 0.0)))))
            self.probe.spin(0.05)
        vector = np.zeros(32, np.float32)
        vector[0] = z0
        count = len(self.answers)
        self.latent.publish(msg_from_latent(vector, Header(stamp=stamp), model_id))
        self.probe.until(lambda: len(self.answers) > count)
        assert self.answers[-1].header.stamp == stamp
        return self.answers[-1]

    def query(self, **fields: Any) -> QueryMemory.Response:
        return self.probe.call(QueryMemory, '/spatial_rag/query_memory',
                               QueryMemory.Request(**fields))


def make_memory_file(path: Path, count: int = 100) -> None:
    with Journal.open_writer(path, JournalSpec()) as journal:
        journal.append([memory(number) for number in range(count)])


@pytest.fixture(scope='module', name='rig')
def retriever_rig(module_lab: Any) -> Rig:
    path = module_lab.folder / 'memory.db'
    make_memory_file(path)
    return Rig(module_lab, path, radius_m=5.0, min_age_sec=3.0, k=4, rank_by='latent')


def latent(z0: float) -> list[float]:
    return [z0] + [0.0] * 31


def numbers(answer: Any) -> list[int]:
    return [round(hit.memory.vector[0]) for hit in answer.memories]


def at(x: float, stamp_sec: float = 0.0, frame: str = 'map') -> PoseStamped:
    header = Header(frame_id=frame)
    if stamp_sec:
        header.stamp = time_from_ns(T0_NS + round(stamp_sec * 1e9))
    return PoseStamped(header=header, pose=msg_from_pose(Pose(Position(x, 0.0))))


def set_parameter(rig: Rig, name: str, **value: Any) -> Any:
    parameter = Parameter(name=name, value=ParameterValue(**value))
    (result,) = rig.probe.call(SetParameters, '/retriever/set_parameters',
                               SetParameters.Request(parameters=[parameter])).results
    return result
