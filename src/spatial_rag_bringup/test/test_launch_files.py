"""Launch files: visited where launch is not installed, run for real where it is."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
import sys
from typing import Any
from xml.etree import ElementTree

from spatial_rag_bringup import launch_arguments
from spatial_rag_bringup.nodes_to_start import STACK

import pytest

from . import launch_shim
from .bag_samples import write_bag

FOLDER = Path(__file__).parents[1] / 'launch'
FILES = ('robot', 'sim', 'replay', 'collect', 'rviz')

each_file = pytest.mark.parametrize('file', FILES)


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, shipped: Path, bundle_path: Path,
            ) -> Callable[..., list[Any]]:
    """started('robot', name=value…) → what the launch file would start, and its log lines."""
    launch_shim.install(monkeypatch)
    monkeypatch.setenv('WM_CHECKPOINT_PATH', str(bundle_path))

    def start(file: str, **given: str) -> list[Any]:
        context = launch_shim.Context(dict(given))
        launch_shim.visit_all(launch_shim.description_of(FOLDER / f'{file}.launch.py'), context)
        sys.modules.pop('spatial_rag_bringup.launch_actions', None)
        return context.started
    return start


def nodes(started: list[Any]) -> dict[str | None, Any]:
    return {one.name: one for one in started if isinstance(one, launch_shim.Node)}


@each_file
def test_every_argument_has_a_description_and_a_default_among_its_choices(
        started: Callable[..., list[Any]], file: str) -> None:
    declared = [one for one in launch_shim.description_of(FOLDER / f'{file}.launch.py')
                if isinstance(one, launch_shim.DeclareLaunchArgument)]
    assert len({argument.name for argument in declared}) == len(declared) > 3
    for argument in declared:
        assert len(argument.description) > 10, argument.name


def test_the_policies_of_the_launch_file_are_those_of_the_simulated_robot() -> None:
    policies = import_module('spatial_rag_core.data.exploring.policies').POLICIES
    argument = next(one for one in launch_arguments.SIM if one.name == 'policy')
    assert argument.choices == ('', *policies)


def test_there_is_no_launch_file_that_is_not_tested() -> None:
    assert {file.name.removesuffix('.launch.py')
            for file in FOLDER.glob('*.launch.py')} == set(FILES)


@pytest.mark.parametrize('composition', ['false', 'true'])
def test_the_robot_gets_the_four_nodes_and_the_visualizer(
        started: Callable[..., list[Any]], composition: str) -> None:
    found = nodes(started('robot', composition=composition, namespace='robot1'))
    stack = {None: 'composed'} if composition == 'true' else STACK
    assert {name: node.executable for name, node in found.items()} == {
        **stack, 'visualizer': 'visualizer_node'}
    assert {node.namespace for node in found.values()} == {'robot1'}
    assert {node.package for node in found.values()} == {'spatial_rag_nodes'}
    assert {node.values()['autostart'] for node in found.values()} == {True}
    assert 'visualizer' not in nodes(started('robot', visualizer='false'))


def test_rviz_opens_with_the_robots_namespace_and_topics(
        started: Callable[..., list[Any]]) -> None:
    assert 'rviz' not in nodes(started('robot'))
    rviz = nodes(started('robot', rviz='true', namespace='robot1', map_frame='world',
                         pose_topic='/slam/pose'))['rviz']
    assert (rviz.package, rviz.namespace) == ('rviz2', 'robot1')
    assert Path(rviz.arguments[1]).is_file()
    assert rviz.arguments[2:] == ['-f', 'world']
    assert rviz.remappings == [('pose', '/slam/pose'), ('/tf', 'tf'),
                               ('/tf_static', 'tf_static')]


def test_rviz_shows_the_frame_that_the_parameter_file_names(
        started: Callable[..., list[Any]], tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/memory_writer:\n  ros__parameters: {map_frame: hall}')

    def frame(**given: str) -> str:
        return str(nodes(started('robot', rviz='true', **given))['rviz'].arguments[-1])
    assert frame() == 'map'
    assert frame(params_file=str(file)) == 'hall'
    assert frame(params_file=str(file), map_frame='world') == 'world'


def test_log_level_and_respawn_reach_every_node(started: Callable[..., list[Any]]) -> None:
    for node in nodes(started('robot', log_level='debug', respawn='true')).values():
        assert node.ros_arguments == ['--log-level', 'debug']
        assert node.respawn


def test_a_node_is_given_as_long_to_end_as_it_gives_itself(
        started: Callable[..., list[Any]]) -> None:
    node_process = pytest.importorskip('spatial_rag_nodes.node_process')
    needed_sec = node_process._CLOSE_TIMEOUT_SEC + node_process._LEAVE_TIMEOUT_SEC
    for node in nodes(started('robot')).values():
        assert float(node.sigterm_timeout) >= needed_sec


@pytest.mark.parametrize('composition', ['false', 'true'])
def test_each_process_gets_the_enclave_of_the_policy(
        started: Callable[..., list[Any]], composition: str) -> None:
    policy = ElementTree.parse(FOLDER.parent / 'security/policy.xml')
    paths = {enclave.get('path') for enclave in policy.iter('enclave')}
    for file in ('sim', 'collect'):
        arguments = [node.ros_arguments for node in nodes(started(
            file, enclaves='/spatial_rag', composition=composition, format='episodes')).values()]
        named = [words[words.index('--enclave') + 1] for words in arguments]
        assert named
        assert len(set(named)) == len(named)
        assert set(named) <= paths


def test_the_model_and_the_memory_are_told(started: Callable[..., list[Any]]) -> None:
    lines = [one.msg for one in started('robot') if isinstance(one, launch_shim.LogInfo)]
    assert any(line.startswith('model ') for line in lines)
    assert any(line.startswith('memory ') for line in lines)


def test_the_simulation_adds_its_robot_and_has_parameters_and_a_memory_of_its_own(
        started: Callable[..., list[Any]], tmp_path: Path) -> None:
    found = nodes(started('sim', namespace='robot1', policy_seed='3'))
    assert found.keys() == {*STACK, 'visualizer', 'simulated_robot'}
    assert {Path(node.parameters[0]).name for node in found.values()} == {'sim.yaml'}
    assert {node.namespace for node in found.values()} == {'robot1'}
    assert found['simulated_robot'].values() == {'policy_seed': 3}
    assert found['memory_writer'].values()['memory_path'] == str(
        tmp_path / 'ros_home' / 'spatial_rag' / 'robot1' / 'memory-sim.db')


@pytest.mark.parametrize('player', ['bag_replay', 'rosbag2'])
def test_a_replay_runs_on_the_recordings_time_and_ends_with_it(
        started: Callable[..., list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
        player: str) -> None:
    monkeypatch.setattr('spatial_rag_bringup.replay_plan.has_rosbag2', lambda: True)
    bag = write_bag(tmp_path / 'hall')
    processes = started('replay', bag=str(bag), player=player)
    found = nodes(processes)
    for name in STACK:
        assert found[name].values()['use_sim_time'] is True
        assert {('tf', '/tf'), ('tf_static', '/tf_static')} <= set(found[name].remappings)
    last = next(one for one in processes if getattr(one, 'on_exit', None))
    assert isinstance(last.on_exit, launch_shim.Shutdown)
    if player == 'rosbag2':
        assert last.cmd[:4] == ['ros2', 'bag', 'play', str(bag)]
    else:
        assert last.executable == 'bag_replay_node'
    assert found['memory_writer'].values()['memory_path'].endswith('/memory-hall.db')


def test_a_replay_without_a_recording_is_refused(started: Callable[..., list[Any]]) -> None:
    with pytest.raises(RuntimeError, match='"bag" was not provided'):
        started('replay')


def test_a_collection_of_episodes_is_one_recorder(started: Callable[..., list[Any]]) -> None:
    found = nodes(started('collect', format='episodes'))
    assert [node.executable for node in found.values()] == ['episode_recorder_node']


def test_every_executable_of_a_launch_file_is_installed(
        started: Callable[..., list[Any]]) -> None:
    packages = pytest.importorskip('ament_index_python.packages')
    folder = Path(packages.get_package_prefix('spatial_rag_nodes')) / 'lib' / 'spatial_rag_nodes'
    found = [*started('sim'), *started('robot', composition='true'),
             *started('collect', format='episodes')]
    for executable in {node.executable for node in nodes(found).values()} | {'bag_replay_node'}:
        assert (folder / executable).is_file(), executable
        assert executable in entry_points(group='console_scripts').names


@each_file
def test_every_launch_file_is_installed(file: str) -> None:
    packages = pytest.importorskip('ament_index_python.packages')
    share = Path(packages.get_package_share_directory('spatial_rag_bringup'))
    installed = share / 'launch' / f'{file}.launch.py'
    assert installed.read_text() == (FOLDER / f'{file}.launch.py').read_text()
