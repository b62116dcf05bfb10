"""How a run waits and looks after its nodes, without any process."""

import signal
import threading
from types import SimpleNamespace
from typing import Any

import pytest

stack_run = pytest.importorskip('spatial_rag_bringup.stack_run',
                                reason='rclpy is absent: no ROS and no wheels of it')
NODES = {'encoder', 'memory_writer', 'retriever', 'transition_predictor'}


class Child:
    """A node that has ended, or not, with the code that it is told."""

    stopping = False

    def __init__(self, code: int | None) -> None:
        self._code = code

    def exit_code(self) -> int | None:
        return self._code


class Rig:
    """A StackRun whose nodes are children that we make up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **options: Any) -> None:
        monkeypatch.setattr(stack_run, 'ChildProcess', self._start)
        monkeypatch.setattr(stack_run, 'RESPAWN_DELAY_SEC', 0.0)
        self.started: list[str] = []
        self.monitor = SimpleNamespace(
            nodes_seen=set(), ask_stats=lambda: None,
            figures=SimpleNamespace(deaths=0, memories_before=None))
        executor = SimpleNamespace(spin_once=lambda timeout_sec: None)
        plan = SimpleNamespace(nodes={'encoder': []})
        self.run = stack_run.StackRun(SimpleNamespace(**options), plan, self.monitor, executor,
                                      threading.Event())

    def _start(self, name: str, _command: list[str], **_: Any) -> Child:
        self.started.append(name)
        return Child(None)


@pytest.mark.parametrize(('seen', 'missing'), [
    (NODES - {'retriever', 'encoder'}, 'nothing heard of encoder, retriever; is the machine'),
    (NODES, 'the memory has not answered how much it holds; is the machine')])
def test_a_stack_that_is_not_ready_in_time_is_told_what_is_missing(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        seen: set[str], missing: str) -> None:
    monkeypatch.setattr(stack_run, 'START_TIMEOUT_SEC', 0.0)
    rig = Rig(monkeypatch)
    rig.monitor.nodes_seen = seen
    assert not rig.run._wait_until_ready()
    assert f'[run] not ready after 0 s: {missing}' in capsys.readouterr().out


@pytest.mark.parametrize(('respawn', 'code', 'again', 'words'), [
    (True, -signal.SIGKILL, True, 'died (signal SIGKILL); it is started again'),
    (True, 134, True, 'died (exit code 134); it is started again'),
    (True, 1, False, 'died (exit code 1); the others go on; it is not started again'),
    (False, 1, False, 'died (exit code 1); the others go on; it is not started again'),
    (False, -signal.SIGSEGV, False, 'the others go on (RESPAWN=true starts it again)')])
def test_a_node_is_started_again_unless_it_refused(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
        respawn: bool, code: int, again: bool, words: str) -> None:
    rig = Rig(monkeypatch, respawn=respawn)
    rig.run._nodes['encoder'] = Child(code)
    for _ in range(4):
        rig.run._look_after_nodes()
    assert rig.started == (['encoder'] if again else [])
    assert rig.monitor.figures.deaths == 1
    assert words in capsys.readouterr().out
