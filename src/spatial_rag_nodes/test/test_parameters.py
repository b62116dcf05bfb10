"""Parameters that a node does not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ros


@pytest.fixture
def said(start_node: Callable[..., Any], tmp_path: Path) -> Callable[[str, str], list[str]]:
    """said('name: value, …') → what the encoder says of these, out of a parameter file."""
    def say(parameters: str, level: str = 'info') -> list[str]:
        file = tmp_path / 'mine.yaml'
        file.write_text(f'/**:\n  ros__parameters: {{autostart: false, {parameters}}}\n')
        node = start_node('encoder_node', '--params-file', str(file), '--log-level', level)
        output = node.wait_for_output('waits for a lifecycle manager')
        return [line for line in output.splitlines() if 'is ignored' in line]
    return say


def test_a_misspelt_parameter_is_told_with_the_name_that_was_meant(
        said: Callable[..., list[str]]) -> None:
    [model, rate] = said('model_pth: model.pt, publsh_rate: 5.0, publish_rate: 10.0')
    assert 'WARN' in model
    assert 'parameter model_pth is ignored: no such name in /encoder' in model
    assert model.endswith('did you mean model_path?')
    assert rate.endswith('did you mean publish_rate?')


def test_what_is_meant_for_other_nodes_and_for_ros_itself_is_passed_over(
        said: Callable[..., list[str]]) -> None:
    assert not said('use_sim_time: false, start_type_description_service: true, '
                    'bond_heartbeat_period: 0.0, memory_path: memory.db, '
                    'pose_tolerance_sec: 0.1, qos_overrides: {/x: {subscription: {depth: 3}}}')


def test_whoever_looks_closely_hears_of_those_too(said: Callable[..., list[str]]) -> None:
    [line] = said('memory_path: memory.db', 'debug')
    assert 'parameter memory_path is ignored: no such name in /encoder' in line
