"""What fails while a managed node ends keeps nothing else from ending."""

from __future__ import annotations

import signal
import sys
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
import pytest

pytestmark = pytest.mark.ros

_NODE = """
from spatial_rag_nodes import shared_parameters
from spatial_rag_nodes.managed_node import ManagedNode
from spatial_rag_nodes.node_process import run_process

def fail():
    raise OSError('no space')

class Subject(ManagedNode):
    def __init__(self):
        super().__init__('subject', shared_parameters.START)

    def configure(self):
        self.at_end(lambda: print('the file is closed', flush=True))

    def activate(self):
        self.at_end(lambda: print('what waited is stored', flush=True))
        self.at_end(fail)
        print('it works', flush=True)

run_process([Subject])
"""


def test_at_the_end_of_the_process_everything_is_closed(lab: Any) -> None:
    process = lab.start(sys.executable, '-c', _NODE)
    process.wait_for_output('it works')
    process.signal(signal.SIGINT)
    assert process.wait() == 1
    assert process.output.index('what waited is stored') < process.output.index(
        'the file is closed')
    assert 'no space' in process.output


@pytest.mark.parametrize(('transition', 'state'), [
    ('deactivate', 'unconfigured'), ('shutdown', 'finalized')])
def test_a_step_back_that_fails_lets_all_go_and_says_why(
        lab: Any, transition: str, state: str) -> None:
    process = lab.start(sys.executable, '-c', _NODE)
    process.wait_for_output('it works')
    lab.probe.call(ChangeState, '/subject/change_state', ChangeState.Request(
        transition=Transition(label=transition)))
    answer = lab.probe.call(GetState, '/subject/get_state', GetState.Request())
    assert answer.current_state.label == state
    assert 'the file is closed' in process.output
    lab.diagnostics.wait('subject', lambda status, _: (
        status.level == b'\x02' and 'the way from active failed' in status.message
        and 'no space' in status.message))
