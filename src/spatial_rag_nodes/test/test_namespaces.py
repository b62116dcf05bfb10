"""Two robots on one machine: nodes of two namespaces that are told of no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ros


def test_writers_of_two_namespaces_write_two_memory_files(lab: Any) -> None:
    home = Path(lab.environment['ROS_HOME'], 'spatial_rag')
    expected = {'/': home / 'memory.db', '/robot1': home / 'robot1' / 'memory.db',
                '/fleet/robot2': home / 'fleet' / 'robot2' / 'memory.db'}
    writers = {namespace: lab.start_node('memory_writer_node', '-r', f'__ns:={namespace}')
               for namespace in expected}
    for namespace, path in expected.items():
        writers[namespace].wait_for_output(f'writing to {path} ')
        assert path.is_file()


def test_recorders_of_two_namespaces_write_two_files_of_episodes(lab: Any) -> None:
    pytest.importorskip('h5py', reason='h5py is absent: requirements/training.txt')
    home = Path(lab.environment['ROS_HOME'], 'spatial_rag')
    for robot in ('robot1', 'robot2'):
        recorder = lab.start_node('episode_recorder_node', '-r', f'__ns:=/{robot}')
        recorder.wait_for_output(f'recording to {home / robot / "episodes.h5"} ')
