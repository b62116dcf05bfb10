"""The retriever over Qdrant: in its own process, and on a server that does not answer."""

from __future__ import annotations

from pathlib import Path
import socket
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_msgs.srv import MemoryStats, QueryMemory
from spatial_rag_nodes.conversions import msg_from_latent, msg_from_pose, time_from_ns

from geometry_msgs.msg import PoseStamped
import numpy as np
import pytest
from std_msgs.msg import Header

pytestmark = pytest.mark.ros

GRID = H3Grid(LocalFrame(), 13)
COUNT = 50


def vector(number: float) -> np.ndarray:
    return np.float32([number, *[0.0] * 31])


@pytest.fixture
def memory_path(tmp_path: Path) -> Path:
    """One memory a metre, its latent (number, 0, 0, …)."""
    path = tmp_path / 'memory.db'
    places = [Position(float(number), 0.0) for number in range(COUNT)]
    with Journal.open_writer(path, JournalSpec()) as journal:
        journal.append([Memory(new_memory_id(), vector(number), Pose(place), GRID.cell(place),
                               1000.0, 'author') for number, place in enumerate(places)])
    return path


class Robot:
    """Sends latents and gets what is retrieved for them."""

    def __init__(self, lab: Any) -> None:
        self.probe = lab.probe
        self.answers = lab.probe.listen(RetrievedMemories, '/spatial_rag/retrieved')
        self.pose = lab.probe.publisher(PoseStamped, '/pose')
        self.latent = lab.probe.publisher(LatentStamped, '/spatial_rag/latent')
        self.probe.until(lambda: self.latent.get_subscription_count() > 0)

    def ask(self, stamp_sec: float, x: float) -> RetrievedMemories:
        header, count = Header(stamp=time_from_ns(round(stamp_sec * 1e9)), frame_id='map'), len(
            self.answers)
        self.pose.publish(PoseStamped(header=header, pose=msg_from_pose(Pose(Position(x, 0.0)))))
        self.probe.spin(0.05)
        self.latent.publish(msg_from_latent(vector(x), header, 'author'))
        self.probe.until(lambda: len(self.answers) > count)
        assert self.answers[-1].header.stamp == header.stamp
        return self.answers[-1]

    def query(self, **fields: Any) -> QueryMemory.Response:
        return self.probe.call(QueryMemory, '/spatial_rag/query_memory',
                               QueryMemory.Request(**fields))


def numbers(answer: Any) -> list[int]:
    return [round(hit.memory.vector[0]) for hit in answer.memories]


def test_qdrant_in_the_process_answers_as_the_embedded_index_does(
        lab: Any, tmp_path: Path, memory_path: Path) -> None:
    lab.start_node('retriever_node', memory_path=memory_path, index='qdrant', k=3,
                   qdrant_path=tmp_path / 'qdrant')
    robot = Robot(lab)
    answer = robot.query(latent=vector(10.2).tolist())
    assert (answer.code, answer.message) == (answer.OK, '')
    assert numbers(answer) == [10, 11, 9]
    answer = robot.ask(5000.0, x=20.2)
    assert numbers(answer) == [20, 21, 19]
    assert answer.search_time_ms > 0.0
    lab.diagnostics.wait('retriever', lambda status, values: (
        values['index'] == 'qdrant' and values['memories_in_index'] == str(COUNT)
        and values['latents_dropped'] == '0'))


def test_a_server_that_cannot_be_reached_costs_no_answer_and_is_told(
        lab: Any, memory_path: Path) -> None:
    with socket.socket() as taken:  # bound, and nobody listens
        taken.bind(('127.0.0.1', 0))
        port = taken.getsockname()[1]
        lab.start_node('retriever_node', memory_path=memory_path, index='qdrant',
                       qdrant_host='127.0.0.1', qdrant_port=port)
        robot = Robot(lab)
        for number in range(5):
            answer = robot.ask(5000.0 + number, x=20.0)
            assert answer.pose_valid
            assert len(answer.memories) == 0
        answer = robot.query(latent=vector(1.0).tolist())
        assert answer.code == answer.MEMORY_UNAVAILABLE
        assert f'Qdrant at 127.0.0.1:{port} cannot be reached' in answer.message
        lab.diagnostics.wait('retriever', lambda status, values: (
            status.level == b'\x02' and 'cannot be reached' in status.message
            and values['shipping_state'] == 'waiting'
            and values['shipping_backlog'] == str(COUNT)))
        stats = lab.probe.call(MemoryStats, '/spatial_rag/memory_stats', MemoryStats.Request())
        assert (stats.code, stats.journal_count) == (stats.OK, COUNT)


def test_latents_that_are_overtaken_are_answered_too(lab: Any, memory_path: Path) -> None:
    with socket.create_server(('127.0.0.1', 0)) as mute:  # takes questions and never answers
        lab.start_node('retriever_node', memory_path=memory_path, index='qdrant',
                       qdrant_host='127.0.0.1', qdrant_port=mute.getsockname()[1],
                       qdrant_timeout_sec=3.0)
        robot = Robot(lab)
        headers = [Header(stamp=time_from_ns(5_000_000_000_000 + number), frame_id='map')
                   for number in range(20)]
        robot.pose.publish(PoseStamped(header=headers[0]))
        robot.probe.spin(0.2)
        for header in headers:
            robot.latent.publish(msg_from_latent(vector(1.0), header, 'author'))
            robot.probe.spin(0.02)
        robot.probe.until(lambda: len(robot.answers) == len(headers), message=lambda: (
            f'{len(robot.answers)} of {len(headers)} answered'))
        assert {answer.header.stamp.nanosec for answer in robot.answers} == set(range(20))
        assert all(answer.pose_valid and not answer.memories for answer in robot.answers)
        lab.diagnostics.wait('retriever', lambda _, values: int(values['latents_dropped']) > 0)


def test_a_qdrant_parameter_that_is_wrong_ends_the_start(lab: Any, memory_path: Path) -> None:
    process = lab.start_node('retriever_node', memory_path=memory_path, index='qdrant',
                             qdrant_host='http://here', exit_on_failure=True)
    assert process.wait() == 1
    assert 'host must be a name or an address without a scheme' in process.output


def test_a_key_of_another_type_is_not_shown(lab: Any) -> None:
    process = lab.start_node('retriever_node', index='qdrant', qdrant_api_key=987654321)
    assert process.wait() == 1
    assert 'parameter qdrant_api_key must be str' in process.output
    assert '987654321' not in process.output
