"""The launch files with `ros2 launch` and real nodes, where ROS's launch is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import shutil
import signal
from typing import Any

from spatial_rag_bringup.nodes_to_start import STACK
from spatial_rag_core.memory.journal import Journal

import pytest

from .bag_samples import write_drive

pytestmark = [pytest.mark.ros, pytest.mark.stack, pytest.mark.skipif(
    shutil.which('ros2') is None,
    reason="`ros2 launch` is absent: it comes with ROS, not with PyPI's wheels")]

FOLDER = Path(__file__).parents[1] / 'launch'
NODES = (*STACK, 'visualizer')


@pytest.fixture
def launch(lab: Any, bundle_path: Path) -> Callable[..., Any]:
    """launch('robot', name='value', …) → Process."""
    def start(file: str, **arguments: object) -> Any:
        return lab.start('ros2', 'launch', FOLDER / f'{file}.launch.py',
                         *(f'{name}:={value}' for name, value in
                           {'model_path': bundle_path, **arguments}.items()))
    return start


def end(process: Any) -> None:
    """As Ctrl-C does; each node must end by itself."""
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    for ugly in ('Traceback', 'process has died', 'failed to terminate'):
        assert ugly not in process.output, process.output


def count(path: Path) -> int:
    reader = Journal.open_reader(path)
    assert reader is not None
    with reader:
        return reader.stats().count


@pytest.mark.parametrize('composition', ['false', 'true'])
def test_a_robot_comes_up_in_its_namespace_on_its_topics_and_ends_cleanly(
        lab: Any, launch: Callable[..., Any], composition: str) -> None:
    process = launch('robot', namespace='robot1', composition=composition,
                     image_topic='/front/image', pose_source='odometry',
                     odom_topic='odometry/filtered')
    lab.diagnostics.wait_ready(*(f'robot1/{node}' for node in NODES))
    node = lab.probe.node
    assert {namespace for name, namespace in node.get_node_names_and_namespaces()
            if name in NODES} == {'/robot1'}
    listeners = {topic: {end.node_name for end in node.get_subscriptions_info_by_topic(topic)}
                 for topic in ('/front/image', '/robot1/odometry/filtered')}
    assert 'encoder' in listeners['/front/image']
    assert listeners['/robot1/odometry/filtered'] >= {
        'memory_writer', 'retriever', 'transition_predictor'}
    end(process)
    assert Path(lab.environment['ROS_HOME'], 'spatial_rag', 'robot1', 'memory.db').is_file()


def test_with_autostart_false_the_nodes_wait(lab: Any, launch: Callable[..., Any]) -> None:
    process = launch('robot', autostart='false')
    for node in NODES:
        lab.diagnostics.wait(node, lambda _, values: values['state'] == 'unconfigured', 60.0)
    end(process)


def test_the_simulated_robot_drives_and_is_remembered(
        lab: Any, launch: Callable[..., Any]) -> None:
    process = launch('sim', visualizer='false')
    lab.diagnostics.wait('memory_writer', lambda _, values: int(
        values.get('memories_stored', 0)) > 5, 60.0)
    end(process)
    assert count(Path(lab.environment['ROS_HOME'], 'spatial_rag', 'memory-sim.db')) > 5


@pytest.mark.parametrize('visualizer', ['false', 'true'])
def test_a_replay_goes_through_the_stack_and_the_launch_ends_with_it(
        lab: Any, launch: Callable[..., Any], tmp_path: Path, visualizer: str) -> None:
    bag = write_drive(tmp_path / 'hall', 1_500_000_000_000_000_000, 3.0)
    process = launch('replay', bag=bag, player='bag_replay', visualizer=visualizer)
    assert process.wait(110.0) == 0
    assert 'process[bag_replay_node-1] was required: shutting down' in process.output
    memory = Path(lab.environment['ROS_HOME'], 'spatial_rag', 'memory-hall.db')
    assert count(memory) > 50, process.output


def test_a_mistake_is_told_in_one_line_and_nothing_is_started(
        launch: Callable[..., Any], tmp_path: Path) -> None:
    process = launch('robot', params_file=tmp_path / 'no.yaml')
    assert process.wait() == 1
    assert 'no.yaml does not exist; name one with params_file:=' in process.output
    assert 'process started' not in process.output
