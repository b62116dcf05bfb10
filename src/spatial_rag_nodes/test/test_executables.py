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
from rclpy.node import Node
from spatial_rag_nodes.node_process import run_process

class Writer(Node):
    def __init__(self):
        super().__init__('writer')

    def destroy_node(self):
        print('all was stored', flush=True)
        super().destroy_node()

class Reader(Node):
    def __init__(self):
        super().__init__('reader')
        self.create_timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT))

    def destroy_node(self):
        raise OSError('no space')

run_process([Writer, Reader])
"""


def test_a_node_that_fails_to_end_keeps_no_other_from_ending(lab: Any) -> None:
    process = lab.start(sys.executable, '-c', _TWO_NODES)
    assert process.wait(20.0) == 1
    assert 'all was stored' in process.output
    assert 'no space' in process.output
