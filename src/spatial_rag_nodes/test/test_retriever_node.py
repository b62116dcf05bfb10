"""The retriever as a process: what it finds for each latent, while it is asked and in trouble."""

from __future__ import annotations

from pathlib import Path
import signal
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Position
from spatial_rag_msgs.msg import RetrievedMemories
from spatial_rag_msgs.srv import BackupMemory, MemoryStats, QueryMemory
from spatial_rag_nodes.conversions import msg_from_latent, time_from_ns

import numpy as np
import pytest
from std_msgs.msg import Header

from .retriever_rig import (
    at,
    GRID,
    latent,
    make_memory_file,
    memory,
    numbers,
    retriever_rig,  # noqa: F401  the fixture `rig`
    Rig,
    set_parameter,
    T0_NS,
)

pytestmark = pytest.mark.ros


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


def test_unless_told_otherwise_the_nearest_poses_come_first(lab: Any, tmp_path: Path) -> None:
    make_memory_file(tmp_path / 'memory.db')
    answer = Rig(lab, tmp_path / 'memory.db', k=3).ask(5000.0, x=20.2, z0=23.0)
    assert answer.rank_by == RetrievedMemories.RANK_BY_POSE
    assert numbers(answer) == [20, 21, 19]
    assert [hit.distance for hit in answer.memories] == pytest.approx([0.04, 0.64, 1.44])


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


def test_the_stream_keeps_up_while_wide_queries_and_a_backup_are_answered(
        lab: Any, tmp_path: Path) -> None:
    make_memory_file(tmp_path / 'memory.db', 30_000)
    rig = Rig(lab, tmp_path / 'memory.db', radius_m=5.0, k=4)
    lab.probe.until(lambda: len(rig.ask(0.0, x=50.0, z0=50.0).memories) == 4)
    wide = lab.probe.node.create_client(QueryMemory, '/spatial_rag/query_memory')
    backup = lab.probe.node.create_client(BackupMemory, '/spatial_rag/backup_memory')
    before, sent, behind = len(rig.answers), 0, [0]

    def send() -> None:
        nonlocal sent
        sent += 1
        rig.latent.publish(msg_from_latent(np.zeros(32, np.float32), Header(
            stamp=time_from_ns(T0_NS + sent)), 'author'))
        behind.append(sent - (len(rig.answers) - before))
    lab.probe.until(lambda: wide.service_is_ready() and backup.service_is_ready())
    lab.probe.node.create_timer(0.05, send)
    asked = [backup.call_async(BackupMemory.Request())] + [wide.call_async(QueryMemory.Request(
        rank_by=1, pose=at(0.0), k=10_000, with_thumbnails=True)) for _ in range(4)]
    lab.probe.until(lambda: all(future.done() for future in asked))
    assert all(future.result().code == 0 for future in asked)
    lab.probe.until(lambda: len(rig.answers) - before == sent)
    assert sent > 20
    assert max(behind) <= 10, 'more than half a second behind'


def test_parameters_change_while_it_runs_and_bad_values_are_refused_with_the_range(
        rig: Rig) -> None:
    assert set_parameter(rig, 'k', type=2, integer_value=2).successful
    assert len(rig.ask(7000.0, x=50.0, z0=50.0).memories) == 2
    refused = set_parameter(rig, 'k', type=2, integer_value=0)
    assert not refused.successful
    for word in ('k', '1', '1024', '0'):
        assert word in refused.reason
    assert len(rig.ask(7001.0, x=50.0, z0=50.0).memories) == 2


@pytest.mark.parametrize(('name', 'value', 'before', 'expected'), [
    ('map_id', {'type': 4, 'string_value': 'cellar'}, {'type': 4}, [90, 91]),
    ('metric', {'type': 4, 'string_value': 'cosine'}, {'type': 4, 'string_value': 'l2'},
     [84, 85]),
    ('rank_by', {'type': 4, 'string_value': 'pose'}, {'type': 4, 'string_value': 'latent'},
     [89, 88]),
    ('diversity', {'type': 3, 'double_value': 1.0}, {'type': 3}, [87, 91]),
    ('max_dz_m', {'type': 3, 'double_value': 1.0}, {'type': 3}, [87, 88]),
])
def test_the_stream_is_filtered_and_ranked_as_the_parameters_say_from_then_on(
        rig: Rig, name: str, value: dict[str, Any], before: dict[str, Any],
        expected: list[int]) -> None:
    set_parameter(rig, 'k', type=2, integer_value=2)
    assert set_parameter(rig, name, **value).successful
    try:
        assert numbers(rig.ask(9000.0, x=89.0, z0=87.2)) == expected
    finally:
        assert set_parameter(rig, name, **before).successful


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


def test_damaged_memories_are_left_out_and_told_as_long_as_they_are_there(
        lab: Any, tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    make_memory_file(path, 30)
    with Journal.open_existing_writer(path) as journal, journal.transaction() as connection:
        connection.execute("UPDATE memories SET record = X'00' WHERE seq IN (1, 4)")
        connection.execute('DELETE FROM memories WHERE seq = 2')
    rig = Rig(lab, path, k=3)
    answer = rig.query(latent=latent(0.0))
    assert (answer.code, numbers(answer)) == (answer.OK, [2, 4, 5])
    assert numbers(rig.ask(5000.0, x=0.0, z0=0.0)) == [2, 4, 5]
    first = len(lab.diagnostics.statuses('retriever'))
    lab.probe.until(lambda: len(lab.diagnostics.statuses('retriever')) >= first + 5)
    for status in lab.diagnostics.statuses('retriever')[first:]:
        assert status.level == b'\x02'
        assert '3 memories cannot be read, the first is 1' in status.message


def test_a_memory_of_another_frame_is_refused_at_the_start(lab: Any, tmp_path: Path) -> None:
    make_memory_file(tmp_path / 'memory.db', 1)
    process = lab.start_node('retriever_node', memory_path=tmp_path / 'memory.db',
                             map_frame='world', exit_on_failure=True)
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
    process.wait_for_output('reading ')
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert 'Traceback' not in process.output
