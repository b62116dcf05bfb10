"""From the arguments of collect.launch.py to what records."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_bringup.launch_arguments import COLLECT
from spatial_rag_core.errors import ConfigurationError

import pytest

from .launch_values import values_of

collect_plan = pytest.importorskip('spatial_rag_bringup.collect_plan',
                                   reason='ament_index_python is absent')


@pytest.fixture(autouse=True)
def rosbag2(monkeypatch: pytest.MonkeyPatch, shipped: Path) -> list[bool]:
    """Whether it is there: what the list's end says."""
    answers = [True]
    monkeypatch.setattr(collect_plan, 'has_rosbag2', lambda: answers[-1])
    return answers


def plan(**given: str) -> Any:
    return collect_plan.plan_collect(values_of(COLLECT, **given))


def topics(**given: str) -> set[str]:
    command = plan(**given).recorder
    return set(command[command.index('--topics') + 1:])


def test_a_bag_holds_what_a_training_needs_and_nothing_else() -> None:
    assert topics(depth='false') == {'/camera/image_raw', '/pose', '/actions', '/proprio'}
    assert topics(namespace='robot1', pose_source='odometry', action_source='motion',
                  image_transport='compressed', image_topic='/front', odom_topic='odometry') == {
        '/front/compressed', '/robot1/odometry', '/robot1/proprio',
        '/robot1/camera/depth/image_raw', '/robot1/camera/depth/image_raw/compressed',
        '/robot1/camera/depth/image_raw/compressedDepth'}


def test_what_no_argument_names_the_parameter_file_says(tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/episode_recorder:\n'
                    '  ros__parameters: {pose_source: odometry, action_source: twist}')
    assert topics(params_file=str(file), depth='false') == {
        '/camera/image_raw', '/odom', '/cmd_vel', '/proprio'}


def test_a_bag_is_written_to_a_new_folder(tmp_path: Path) -> None:
    found = plan(output=str(tmp_path / 'new'), storage='sqlite3', use_sim_time='true')
    assert found.recorder[:7] == ('ros2', 'bag', 'record', '--output', str(tmp_path / 'new'),
                                  '--storage', 'sqlite3')
    assert '--use-sim-time' in found.recorder
    with pytest.raises(ConfigurationError, match='exists; a bag is never recorded over another'):
        plan(output=str(tmp_path))


def test_for_poses_of_transforms_both_their_topics_are_recorded() -> None:
    recorded = topics(pose_source='tf', namespace='robot1')
    assert {'/robot1/tf', '/robot1/tf_static'} <= recorded
    assert '/robot1/pose' not in recorded


def test_a_source_of_poses_that_there_is_not_is_refused(tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('/**/episode_recorder:\n  ros__parameters: {pose_source: gps}')
    with pytest.raises(ConfigurationError, match="one of pose, odometry, tf, got 'gps'"):
        plan(params_file=str(file))


def test_without_rosbag2_episodes_are_the_remedy(rosbag2: list[bool]) -> None:
    rosbag2.append(False)
    with pytest.raises(ConfigurationError, match='format:=episodes'):
        plan()


def test_episodes_of_each_robot_go_to_a_file_of_its_own(tmp_path: Path) -> None:
    home = tmp_path / 'ros_home' / 'spatial_rag'
    assert plan(format='episodes', namespace='robot1').output == str(
        home / 'robot1' / 'episodes.h5')
    recorder = plan(format='episodes', output='mine.h5', split='test', pose_source='tf',
                    depth='false', pose_topic='/slam/pose').recorder
    assert recorder.parameters == {
        'use_sim_time': False, 'output_path': 'mine.h5', 'split': 'test', 'pose_source': 'tf',
        'depth_transport': 'none'}
    assert recorder.renamings == (('pose', '/slam/pose'),)
