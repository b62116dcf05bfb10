"""What writer and retriever do with the memory file on their way through the lifecycle."""

from __future__ import annotations

import sqlite3
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_msgs.msg import LatentStamped

from geometry_msgs.msg import PoseStamped
import pytest

from .lifecycle_rig import Rig, Stored, WithLatents
from .retriever_rig import make_memory_file, memory

pytestmark = pytest.mark.ros


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
    second.wait_for_output('is being written by')
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
