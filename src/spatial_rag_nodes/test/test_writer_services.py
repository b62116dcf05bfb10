"""Sessions, pauses and words, asked of a memory writer that runs."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path
import threading
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.storing.recording import Recording
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Memory
from spatial_rag_msgs.srv import (
    EndSession,
    LabelMemories,
    PauseWriting,
    ResumeWriting,
    SetLabels,
    StartSession,
)
from spatial_rag_nodes import writer_services
from spatial_rag_nodes.conversions import time_from_ns
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.service_threads import ServiceThreads
from spatial_rag_nodes.writer_services import WriterServices

from geometry_msgs.msg import Point
import pytest

from .retriever_rig import make_memory_file, memory
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


class CountingCommitter(Committer):
    jobs = 0

    def run(self, work: Any) -> Any:
        self.jobs += 1
        return super().run(work)


class Busy:
    """The services over a committer whose thread is held up until `go_on` is set."""

    def __init__(self, probe: Any, path: Path, closing: contextlib.ExitStack) -> None:
        make_memory_file(path, 1)
        self.probe, self.go_on = probe, threading.Event()
        self.committer = CountingCommitter(lambda: Journal.open_writer(path, JournalSpec()))
        changes, sessions = (ServiceThreads(probe.node, name, count)
                             for name, count in (('changes', 2), ('sessions', 1)))
        for finish in (sessions.close, changes.close, self.committer.close, self.go_on.set):
            closing.callback(finish)  # the last first
        WriterServices(changes, sessions, Health(probe.node, dict), Recording('morning'),
                       self.committer, lambda: None)
        held = threading.Event()

        def hold(_: Journal) -> None:
            held.set()
            self.go_on.wait(60.0)
        self.committer.run(hold)
        assert held.wait(60.0)

    def ask(self, service: str, **fields: object) -> Any:
        kind = KINDS[service]
        return self.probe.call(kind, f'/spatial_rag/{service}', kind.Request(**fields))


@pytest.fixture
def busy(lab: Any, tmp_path: Path) -> Iterator[Busy]:
    with contextlib.ExitStack() as closing:
        yield Busy(lab.probe, tmp_path / 'memory.db', closing)


def test_who_pauses_or_begins_a_session_waits_for_nobody_who_labels(busy: Busy) -> None:
    client = busy.probe.node.create_client(LabelMemories, '/spatial_rag/label_memories')
    busy.probe.until(client.service_is_ready)
    asked = [client.call_async(LabelMemories.Request(everything=True, add_labels=[word]))
             for word in ('wet', 'dry')]
    busy.probe.until(lambda: busy.committer.jobs == 1 + len(asked))
    assert busy.ask('pause_writing').code == PauseWriting.Response.OK
    assert busy.ask('resume_writing').code == ResumeWriting.Response.OK
    assert busy.ask('set_labels', labels=['wet']).code == SetLabels.Response.OK
    answer = busy.ask('start_session', name='noon')
    assert (answer.code, answer.ended_session) == (answer.OK, 'morning')
    assert busy.ask('end_session').code == EndSession.Response.OK
    assert not any(future.done() for future in asked)


def test_what_has_taken_effect_is_told_where_the_disk_is_slow(
        busy: Busy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_services, '_FLUSH_SEC', 0.1)
    busy.committer.submit([memory(1)])
    for service, fields, told in (
            ('pause_writing', {}, 'writing is paused'),
            ('start_session', {'name': 'noon'}, 'session noon has begun'),
            ('end_session', {}, 'session noon has ended')):
        answer = busy.ask(service, **fields)
        assert answer.code == answer.MEMORY_UNAVAILABLE
        assert answer.message.startswith(f'{told}, but 1 memories are not stored after 0.1 s')


def test_a_pause_outlives_a_new_session(asked: Asked) -> None:
    asked.ask('pause_writing')
    asked.ask('start_session', name='noon')
    asked.stand(2)
    assert asked.ask('resume_writing').skipped_count == 2
    asked.stand(1)
    assert [memory.session for memory in asked.rig.memories(1)] == ['noon']
