"""Programs end quietly whenever they are told to, also while they are still starting."""

from __future__ import annotations

import signal
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
