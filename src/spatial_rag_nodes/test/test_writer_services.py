"""Sessions, pauses and words, asked of a memory writer that runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.records import Memory
from spatial_rag_msgs.srv import (
    EndSession,
    LabelMemories,
    PauseWriting,
    ResumeWriting,
    SetLabels,
    StartSession,
)
from spatial_rag_nodes.conversions import time_from_ns

from geometry_msgs.msg import Point
import pytest

from .writer_rig import Rig, STEP_NS, T0_NS

pytestmark = pytest.mark.ros

KINDS = {'pause_writing': PauseWriting, 'resume_writing': ResumeWriting,
         'start_session': StartSession, 'end_session': EndSession, 'set_labels': SetLabels,
         'label_memories': LabelMemories}


class Asked:
    """A writer that stores each moment of a robot that stands, and is asked things."""

    def __init__(self, lab: Any, path: Path, **parameters: object) -> None:
        self.rig = Rig(lab, path, **parameters)
        self._moment = 0

    def stand(self, count: int) -> None:
        """So many moments, the writer having seen them all."""
        self.rig.stand(self._moment, count)
        self._moment += count
        self.rig.probe.spin(0.3)

    def ask(self, service: str, **fields: object) -> Any:
        kind = KINDS[service]
        return self.rig.probe.call(kind, f'/spatial_rag/{service}', kind.Request(**fields))

    def stored(self) -> list[Memory]:
        reader = Journal.open_reader(self.rig.path)
        assert reader is not None
        with reader:
            found = reader.get(reader.index_rows_after(0).seqs.tolist())
        return [found[seq] for seq in sorted(found)]


@pytest.fixture
def asked(lab: Any, tmp_path: Path) -> Asked:
    return Asked(lab, tmp_path / 'memory.db', session='morning')


def test_a_pause_stores_what_came_before_and_nothing_until_its_end(asked: Asked) -> None:
    asked.stand(5)
    answer = asked.ask('pause_writing')
    assert (answer.code, answer.message, answer.count) == (answer.OK, '', 5)
    assert len(asked.stored()) == 5
    asked.stand(3)
    asked.rig.diagnostics.wait('memory_writer', lambda status, _: (
        'nothing is remembered: writing is paused until resume_writing' in status.message))
    answer = asked.ask('resume_writing')
    assert (answer.code, answer.skipped_count) == (answer.OK, 3)
    asked.stand(2)
    assert len(asked.rig.memories(7)) == 7
    assert {memory.session for memory in asked.stored()} == {'morning'}


def test_a_session_that_has_ended_is_stored_whole_and_gets_nothing_more(asked: Asked) -> None:
    asked.stand(4)
    answer = asked.ask('end_session')
    assert (answer.code, answer.session, answer.count) == (answer.OK, 'morning', 4)
    assert len(asked.stored()) == 4
    asked.stand(3)
    asked.rig.diagnostics.wait('memory_writer', lambda status, _: (
        'no session runs; begin one with start_session' in status.message))
    assert asked.ask('end_session').code == EndSession.Response.NO_SESSION
    answer = asked.ask('resume_writing')
    assert answer.code == ResumeWriting.Response.NO_SESSION
    answer = asked.ask('start_session', name='noon')
    assert (answer.code, answer.session, answer.ended_session) == (answer.OK, 'noon', '')
    asked.stand(2)
    assert [memory.session for memory in asked.rig.memories(6)] == ['morning'] * 4 + ['noon'] * 2


def test_a_new_session_ends_the_one_that_runs(asked: Asked) -> None:
    asked.stand(2)
    answer = asked.ask('start_session')
    assert answer.ended_session == 'morning'
    asked.stand(2)
    assert [memory.session for memory in asked.rig.memories(4)] == (
        ['morning'] * 2 + [answer.session] * 2)
    refused = asked.ask('start_session', name='x' * 256)
    assert refused.code == refused.INVALID_REQUEST
    assert '256 characters' in refused.message


def test_words_are_written_into_each_memory_from_now_on(lab: Any, tmp_path: Path) -> None:
    asked = Asked(lab, tmp_path / 'memory.db', labels='wet')
    asked.stand(1)
    answer = asked.ask('set_labels', labels=['kitchen', 'dry'])
    assert (answer.code, list(answer.previous_labels)) == (answer.OK, ['wet'])
    asked.stand(1)
    assert list(asked.ask('set_labels').previous_labels) == ['kitchen', 'dry']
    asked.stand(1)
    assert [memory.labels for memory in asked.rig.memories(3)] == [
        ('wet',), ('kitchen', 'dry'), ()]
    refused = asked.ask('set_labels', labels=[''])
    assert refused.code == refused.INVALID_REQUEST


def test_stored_memories_are_labelled_by_selection(asked: Asked) -> None:
    asked.stand(5)
    asked.rig.memories(5)
    answer = asked.ask('label_memories', add_labels=['door'],
                       after=time_from_ns(T0_NS + 3 * STEP_NS))
    assert (answer.code, answer.count) == (answer.OK, 2)
    answer = asked.ask('label_memories', add_labels=['hall'], remove_labels=['door'],
                       labels=['door'], center=Point(), radius_m=1.0,
                       before=time_from_ns(T0_NS + 3 * STEP_NS))
    assert answer.count == 1
    assert [memory.labels for memory in asked.stored()] == [(), (), (), ('hall',), ('door',)]
    for fields, reason in (({'add_labels': ['x']}, 'nothing is selected'),
                           ({'everything': True}, 'name words to add or to remove'),
                           ({'everything': True, 'add_labels': ['']}, 'none empty')):
        refused = asked.ask('label_memories', **fields)
        assert refused.code == refused.INVALID_REQUEST
        assert reason in refused.message


def test_a_pause_outlives_a_new_session(asked: Asked) -> None:
    asked.ask('pause_writing')
    asked.ask('start_session', name='noon')
    asked.stand(2)
    assert asked.ask('resume_writing').skipped_count == 2
    asked.stand(1)
    assert [memory.session for memory in asked.rig.memories(1)] == ['noon']
