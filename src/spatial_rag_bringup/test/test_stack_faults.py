"""The whole stack when nodes die, people press Ctrl-C, and files are broken."""

from collections.abc import Callable
import os
from pathlib import Path
import signal
from typing import Any

from spatial_rag_core.memory.journal import Journal

import pytest

pytestmark = [pytest.mark.ros, pytest.mark.stack]

NODES = ('encoder', 'memory_writer', 'retriever', 'transition_predictor')


def stored(path: Path) -> tuple[list[int], list[float]]:
    """Sequence numbers and timestamps of all that is committed."""
    journal = Journal.open_reader(path)
    if journal is None:
        return [], []
    with journal:
        rows = journal.index_rows_after(0)
    return rows.seqs.tolist(), rows.timestamps.tolist()


class Signs:
    """Signs of life of each node: counts that grow while it works."""

    def __init__(self, probe: Any, memory_path: Path) -> None:
        from spatial_rag_msgs.msg import LatentStamped, RetrievedMemories
        self._memory_path = memory_path
        self._heard = {
            'encoder': probe.listen(LatentStamped, '/spatial_rag/latent', 1000),
            'transition_predictor': probe.listen(LatentStamped, '/spatial_rag/latent_next', 1000)}
        self._answers = probe.listen(RetrievedMemories, '/spatial_rag/retrieved', 1000)

    def count(self, node: str) -> int:
        if node == 'memory_writer':
            return len(stored(self._memory_path)[0])
        if node == 'retriever':
            return sum(bool(answer.memories) for answer in self._answers)
        return len(self._heard[node])


@pytest.mark.timeout(240)
def test_a_killed_node_comes_back_the_others_live_on_and_nothing_stored_is_lost(
        probe: Any, tmp_path: Path, start_stack: Callable[..., Any]) -> None:
    memory_path = tmp_path / 'memory.db'
    signs = Signs(probe, memory_path)
    stack = start_stack('--respawn', 'true', '--memory', memory_path)
    probe.until(lambda: all(signs.count(node) > 5 for node in NODES), 60.0, lambda: stack.output)
    for node in NODES:
        pids = {other: stack.pid(other) for other in NODES}
        before = stored(memory_path)
        predictions = signs.count('transition_predictor')
        os.kill(pids[node], signal.SIGKILL)
        probe.until(lambda node=node, pids=pids: stack.pid(node) not in (None, pids[node]),
                    30.0, lambda: stack.output)
        again = signs.count(node)
        probe.until(lambda node=node, again=again: signs.count(node) >= again + 10, 60.0,
                    lambda node=node: f'{node} does not work again:\n{stack.output}')
        if node == 'retriever':
            assert signs.count('transition_predictor') > predictions + 10
        assert {other: stack.pid(other) for other in NODES if other != node} == {
            other: pid for other, pid in pids.items() if other != node}
        for old, new in zip(before, stored(memory_path), strict=True):
            assert new[:len(old)] == old
        assert f'[run] {node} died (signal SIGKILL); it is started again' in stack.output
    stack.process.signal(signal.SIGINT)
    assert stack.end() == 0
    assert stack.summary['errors'] >= len(NODES)
    seqs, timestamps = stored(memory_path)
    assert seqs == sorted(set(seqs))
    assert len(set(timestamps)) == len(timestamps)


def test_without_respawn_the_others_go_on_and_the_run_ends_with_1_and_its_summary(
        probe: Any, tmp_path: Path, start_stack: Callable[..., Any]) -> None:
    signs = Signs(probe, tmp_path / 'memory.db')
    stack = start_stack('--duration', 6, '--memory', tmp_path / 'memory.db')
    stack.wait_running()
    os.kill(stack.pid('retriever'), signal.SIGKILL)
    stack.process.wait_for_output('[run] retriever died (signal SIGKILL); the others go on')
    counts = {node: signs.count(node) for node in NODES}
    probe.until(lambda: all(signs.count(node) > counts[node] + 10
                            for node in NODES if node != 'retriever'), 30.0)
    probe.until(lambda: not stack.process.is_running(), 60.0)
    assert stack.end() == 1
    assert stack.summary['errors'] >= 1
    assert stack.summary['latents_next'] > 50
    assert stack.summary['memories_stored'] is None  # nobody was there to tell
    assert len(stored(tmp_path / 'memory.db')[0]) > 50


@pytest.mark.parametrize(('moment', 'whole_group'), [
    ('[run] memory ', False), ('[memory_writer] ', True), ('[run] the nodes are ready', False)],
    ids=['before-the-nodes', 'nodes-starting', 'robot-starting'])
def test_ctrl_c_while_starting_ends_everything_without_a_traceback(
        start_stack: Callable[..., Any], tmp_path: Path, moment: str, whole_group: bool) -> None:
    stack = start_stack('--memory', tmp_path / 'memory.db')
    stack.process.wait_for_output(moment, 60.0)
    (os.killpg if whole_group else os.kill)(stack.process.pid, signal.SIGINT)
    assert stack.end() == 0


def test_an_impatient_ctrl_c_while_running_still_ends_with_the_summary(
        start_stack: Callable[..., Any], tmp_path: Path) -> None:
    stack = start_stack('--memory', tmp_path / 'memory.db')
    stack.wait_running()
    for _ in range(3):
        os.killpg(stack.process.pid, signal.SIGINT)
    assert stack.end() == 0
    summary = stack.summary
    remembered_or_not = summary['memories_stored'] + summary['memories_not_admitted']
    assert remembered_or_not == summary['latents'] > 0
    assert (summary['frames_dropped'], summary['errors']) == (0, 0)


def test_a_killed_runner_takes_its_nodes_with_it(
        probe: Any, start_stack: Callable[..., Any], tmp_path: Path) -> None:
    stack = start_stack('--memory', tmp_path / 'memory.db', '--composition', 'true')
    stack.wait_running()
    assert 'composed' in stack.processes().values()
    stack.process.signal(signal.SIGKILL)
    assert stack.process.wait() == -signal.SIGKILL
    probe.until(lambda: not stack.processes(), 15.0, lambda: str(stack.processes()))
    stack.check_clean()


def _truncated(bundle: Path, folder: Path) -> Path:
    path = folder / 'truncated.pt'
    path.write_bytes(bundle.read_bytes()[:5000])
    return path


def test_a_truncated_model_ends_the_run_with_1_and_its_reason(
        start_stack: Callable[..., Any], bundle_path: Path, tmp_path: Path) -> None:
    model = _truncated(bundle_path, tmp_path)
    stack = start_stack('--memory', tmp_path / 'memory.db', '--model', model)
    assert stack.end() == 1
    assert f'run_stack: {model}' in stack.output
    assert 'RUN SUMMARY' not in stack.output


def test_a_memory_folder_that_cannot_be_written_ends_the_run_with_1_and_its_reason(
        start_stack: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    memory_path = tmp_path / 'file' / 'memory.db'
    stack = start_stack('--memory', memory_path)
    assert stack.end() == 1
    assert f'[memory_writer] [FATAL] cannot start: memory file {memory_path}' in stack.output
    assert '[run] memory_writer did not start (exit code 1)' in stack.output
    assert 'RUN SUMMARY' not in stack.output
