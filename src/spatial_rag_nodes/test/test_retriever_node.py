"""The retriever as a process: what it finds for each latent, and what its services answer."""

from __future__ import annotations

import math
from pathlib import Path
import signal
from typing import Any

from spatial_rag_core.memory.identifiers import new_memory_id
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.journal_schema import JournalSpec
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
from spatial_rag_msgs.srv import MemoryStats, QueryMemory
from spatial_rag_nodes.conversions import msg_from_latent, msg_from_pose, time_from_ns

from geometry_msgs.msg import Point, PoseStamped
import numpy as np
import pytest
from std_msgs.msg import Header

pytestmark = pytest.mark.ros

T0_NS = 1_700_000_000_000_000_000
T0 = T0_NS / 1e9
GRID = H3Grid(LocalFrame(), 13)


def memory(number: int, session: str = 'first') -> Memory:
    """One memory a second, one a metre; latents along one axis."""
    pose = Pose(Position(float(number), 0.0))
    vector = np.zeros(32, np.float32)
    vector[0] = number
    return Memory(id=new_memory_id(), vector=vector, pose=pose, h3_cell=GRID.cell(pose.position),
                  timestamp=T0 + number, model_id='author', session=session, thumbnail=b'jpeg',
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


@pytest.fixture(scope='module')
def rig(module_lab: Any) -> Rig:
    path = module_lab.folder / 'memory.db'
    make_memory_file(path)
    return Rig(module_lab, path, radius_m=5.0, min_age_sec=3.0, k=4)


def latent(z0: float) -> list[float]:
    return [z0] + [0.0] * 31


def numbers(answer: Any) -> list[int]:
    return [round(hit.memory.vector[0]) for hit in answer.memories]


def at(x: float, stamp_sec: float = 0.0, frame: str = 'map') -> PoseStamped:
    header = Header(frame_id=frame)
    if stamp_sec:
        header.stamp = time_from_ns(T0_NS + round(stamp_sec * 1e9))
    return PoseStamped(header=header, pose=msg_from_pose(Pose(Position(x, 0.0))))


def test_each_latent_gets_the_nearest_latents_of_its_place_but_not_its_own_moments(
        rig: Rig) -> None:
    answer = rig.ask(52.0, x=50.0, z0=50.0)
    # In 5 m: 45 to 55. Within 3 s of second 52: 50 to 54 (49 and 55 are just old enough).
    assert numbers(answer) == [49, 48, 47, 46]
    assert [hit.distance for hit in answer.memories] == [1.0, 2.0, 3.0, 4.0]
    assert [hit.separation_m for hit in answer.memories] == [1.0, 2.0, 3.0, 4.0]
    assert answer.pose_valid
    assert answer.pose.position.x == 50.0
    hit = answer.memories[0].memory
    assert (hit.model_id, hit.session, hit.header.frame_id) == ('author', 'first', 'map')
    assert list(hit.action) == [1.0, 0.0]
    assert hit.h3_cell == GRID.cell(Position(49.0, 0.0))
    assert not len(hit.thumbnail)


def test_a_latent_without_a_pose_is_answered_empty_and_counted(rig: Rig) -> None:
    answer = rig.ask(5000.0, x=0.0, z0=0.0, with_pose=False)
    assert not answer.pose_valid
    assert len(answer.memories) == 0
    rig.diagnostics.wait('retriever', lambda status, values: (
        int(values['latents_without_pose']) >= 1
        and 'nothing is retrieved for a latent' in status.message))


def test_a_latent_of_another_encoder_finds_nothing_and_is_told(rig: Rig) -> None:
    assert len(rig.ask(6000.0, x=50.0, z0=50.0, model_id='other').memories) == 0
    rig.diagnostics.wait('retriever', lambda status, _: (
        status.level == b'\x02' and 'model other' in status.message))


def test_what_is_stored_later_is_found_soon(module_lab: Any, rig: Rig) -> None:
    with Journal.open_writer(module_lab.folder / 'memory.db', JournalSpec()) as journal:
        journal.append([memory(1000, 'second')])
    answer = rig.query(latent=latent(1000.0))
    assert answer.code == answer.OK
    assert numbers(answer)[0] == 1000


@pytest.mark.parametrize(('fields', 'expected'), [
    ({'latent': latent(10.2), 'k': 3}, [10, 11, 9]),
    ({'latent': latent(10.2), 'pose': at(20.0), 'radius_m': 1.5}, [19, 20, 21]),
    ({'latent': latent(0.0), 'use_box': True, 'box_min': Point(x=29.5, y=-1.0, z=-1.0),
      'box_max': Point(x=31.5, y=1.0, z=1.0)}, [30, 31]),
    ({'rank_by': 1, 'pose': at(40.3), 'k': 2}, [40, 41]),
    ({'latent': latent(0.0), 'after': time_from_ns(T0_NS + 60 * 10**9),
      'before': time_from_ns(T0_NS + 62 * 10**9)}, [60, 61, 62]),
    ({'latent': latent(70.0), 'pose': at(70.0, 70.0), 'radius_m': 3.2, 'min_age_sec': 2.0},
     [68, 72, 67, 73]),
    ({'latent': latent(0.0), 'session': 'nobody'}, []),
])
def test_the_service_answers_by_latent_place_box_time_and_session(
        rig: Rig, fields: dict[str, Any], expected: list[int]) -> None:
    answer = rig.query(**fields)
    assert (answer.code, answer.message) == (answer.OK, '')
    assert numbers(answer) == expected


def test_thumbnails_come_where_they_are_asked_for(rig: Rig) -> None:
    answer = rig.query(latent=latent(3.0), k=1, with_thumbnails=True)
    assert bytes(answer.memories[0].memory.thumbnail) == b'jpeg'


@pytest.mark.parametrize(('fields', 'code', 'reason'), [
    ({}, 'INVALID_REQUEST', 'needs a vector'),
    ({'rank_by': 1}, 'INVALID_REQUEST', 'needs a pose'),
    ({'rank_by': 7, 'latent': latent(0.0)}, 'INVALID_REQUEST', 'rank_by'),
    ({'latent': [0.0] * 16}, 'INVALID_REQUEST', '[16]'),
    ({'latent': latent(math.nan)}, 'INVALID_REQUEST', 'not finite'),
    ({'latent': latent(0.0), 'radius_m': 2.0}, 'INVALID_REQUEST', 'radius_m'),
    ({'latent': latent(0.0), 'pose': at(0.0), 'radius_m': math.nan}, 'INVALID_REQUEST',
     'radius_m'),
    ({'latent': latent(0.0), 'pose': at(0.0), 'radius_m': -1.0}, 'INVALID_REQUEST', 'radius_m'),
    ({'latent': latent(0.0), 'pose': at(0.0, frame='odom')}, 'INVALID_REQUEST', "'odom'"),
    ({'latent': latent(0.0), 'k': 4_000_000_000}, 'INVALID_REQUEST', 'k must lie'),
    ({'latent': latent(0.0), 'use_box': True, 'box_min': Point(x=1.0)}, 'INVALID_REQUEST',
     'low corner'),
    ({'latent': latent(0.0), 'min_age_sec': math.inf}, 'INVALID_REQUEST', 'min_age_sec'),
    ({'latent': latent(0.0), 'model_id': 'other'}, 'WRONG_MODEL', 'model other'),
])
def test_a_bad_request_is_answered_with_its_code_and_the_reason(
        rig: Rig, fields: dict[str, Any], code: str, reason: str) -> None:
    answer = rig.query(**fields)
    assert answer.code == getattr(answer, code)
    assert reason in answer.message
    assert len(answer.memories) == 0


def test_stats_tell_how_much_is_remembered(lab: Any, tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    lab.start_node('retriever_node', memory_path=path)

    def ask() -> MemoryStats.Response:
        return lab.probe.call(MemoryStats, '/spatial_rag/memory_stats', MemoryStats.Request())
    empty = ask()
    assert (empty.code, empty.journal_count, empty.index_count) == (empty.OK, 0, 0)
    make_memory_file(path, 30)
    stats = ask()
    assert (stats.journal_count, stats.index_count) == (30, 30)
    assert (stats.journal_last_seq, stats.index_last_seq) == (30, 30)
    assert (stats.session_count, stats.h3_resolution) == (1, 13)
    assert (stats.oldest.sec, stats.newest.sec) == (1_700_000_000, 1_700_000_029)
    assert 0 < stats.cell_count < 30
    assert (stats.memory_path, stats.model_id) == (str(path), 'author')
    assert stats.file_size_bytes > 4096


def test_parameters_change_while_it_runs_and_bad_values_are_refused_with_the_range(
        rig: Rig) -> None:
    from rcl_interfaces.msg import Parameter, ParameterValue
    from rcl_interfaces.srv import SetParameters

    def set_k(value: int) -> Any:
        (result,) = rig.probe.call(
            SetParameters, '/retriever/set_parameters', SetParameters.Request(parameters=[
                Parameter(name='k', value=ParameterValue(type=2, integer_value=value))])).results
        return result
    assert set_k(2).successful
    assert len(rig.ask(7000.0, x=50.0, z0=50.0).memories) == 2
    refused = set_k(0)
    assert not refused.successful
    for word in ('k', '1', '1024', '0'):
        assert word in refused.reason
    assert len(rig.ask(7001.0, x=50.0, z0=50.0).memories) == 2


def test_a_replaced_file_is_read_anew(lab: Any, tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    make_memory_file(path, 30)
    lab.start_node('retriever_node', memory_path=path)

    def count() -> int:
        return lab.probe.call(MemoryStats, '/spatial_rag/memory_stats',
                              MemoryStats.Request()).journal_count
    assert count() == 30
    make_memory_file(tmp_path / 'other.db', 5)
    (tmp_path / 'other.db').replace(path)
    assert count() == 5


def test_a_memory_of_another_frame_is_refused_at_the_start(lab: Any, tmp_path: Path) -> None:
    make_memory_file(tmp_path / 'memory.db', 1)
    process = lab.start_node('retriever_node', memory_path=tmp_path / 'memory.db',
                             map_frame='world')
    assert process.wait() == 1
    assert "holds poses in frame 'map', asked in 'world'" in process.output


def test_a_parameter_out_of_range_ends_the_start_with_code_1(lab: Any) -> None:
    process = lab.start_node('retriever_node', radius_m=-1.0)
    assert process.wait() == 1
    assert '[FATAL] cannot start: parameter radius_m must lie between' in process.output
    assert 'got -1.0' in process.output
    assert process.output.count('\n') == 1


def test_a_whole_number_for_a_decimal_parameter_is_explained(lab: Any) -> None:
    process = lab.start_node('retriever_node', radius_m=5)
    assert process.wait() == 1
    assert 'radius_m must be a number with a decimal point' in process.output


def test_ctrl_c_ends_it_without_a_traceback(lab: Any, tmp_path: Path) -> None:
    process = lab.start_node('retriever_node', memory_path=tmp_path / 'memory.db')
    process.wait_for_output('0 memories')
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert 'Traceback' not in process.output
