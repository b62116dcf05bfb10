"""Programs end quietly whenever they are told to, also while they are still starting."""

from __future__ import annotations

import signal
import sys
from typing import Any

import pytest

pytestmark = pytest.mark.ros


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize('delay_sec', [0.15, 0.3, 0.4, 0.6, 1.0, 1.5])
def test_a_program_that_is_interrupted_while_it_starts_ends_without_a_traceback(
        lab: Any, bundle_path: Any, number: signal.Signals, delay_sec: float) -> None:
    process = lab.start_node('encoder_node', model_path=bundle_path)
    lab.probe.spin(delay_sec)
    process.signal(number)
    assert process.wait(10.0) in (0, -number)
    assert 'Traceback' not in process.output
    assert 'internal error' not in process.output


_TWO_NODES = """
import os, signal
import ctypes
from spatial_rag_nodes import node_process
from spatial_rag_nodes.closing_node import ClosingNode

class Writer(ClosingNode):
    def __init__(self):
        super().__init__('writer')

    def close(self):
        print('all was stored', flush=True)

class Reader(ClosingNode):
    def __init__(self):
        super().__init__('reader')
        self.create_timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))

    def {spoiled}

node_process._CLOSE_TIMEOUT_SEC = 2.0
node_process.run_process([Writer, Reader])
"""
_NO_SPACE = "close(self): raise OSError('no space')"
_HANGS = '(self): ctypes.PyDLL(None).sleep(60)  # keeps the lock of Python, too'


def test_a_node_that_fails_to_end_keeps_no_other_from_ending(lab: Any) -> None:
    process = lab.start(sys.executable, '-c', _TWO_NODES.format(spoiled=_NO_SPACE))
    assert process.wait(20.0) == 1
    assert 'all was stored' in process.output
    assert 'no space' in process.output


def test_a_middleware_that_does_not_let_go_is_left_when_all_is_stored(lab: Any) -> None:
    process = lab.start(sys.executable, '-c', _TWO_NODES.format(
        spoiled=f'leave{_HANGS}'))
    assert process.wait(30.0) == 1
    assert 'all was stored' in process.output
    assert 'in leave' in process.output  # where it hung


def test_a_node_that_cannot_be_closed_is_left_and_the_process_says_where_it_hung(
        lab: Any) -> None:
    process = lab.start(sys.executable, '-c', _TWO_NODES.format(
        spoiled=f'close{_HANGS}'))
    assert process.wait(30.0) == 1
    assert 'in close' in process.output
