"""From the arguments of replay.launch.py to a player, and to the arguments of the robot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_bringup.launch_arguments import REPLAY
from spatial_rag_core.errors import BagError, ConfigurationError

import pytest

from .bag_samples import ACTIONS, COMPRESSED, IMAGE, ODOMETRY, POSE, TWIST, write_bag
from .launch_values import values_of

replay_plan = pytest.importorskip('spatial_rag_bringup.replay_plan',
                                  reason='ament_index_python is absent')


@pytest.fixture(autouse=True)
def rosbag2(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether it is there: what the list's end says."""
    answers = [True]
    monkeypatch.setattr(replay_plan, 'has_rosbag2', lambda: answers[-1])
    return answers


def plan(bag: Path, **given: str) -> Any:
    return replay_plan.plan_replay(values_of(REPLAY, bag=str(bag), **given))


def test_the_nodes_listen_to_the_recorded_names(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'hall', [('/front/image/compressed', COMPRESSED),
                                        ('/odometry', ODOMETRY), ('/drive', TWIST)])
    assert plan(bag).robot == {
        'image_topic': '/front/image', 'image_transport': 'compressed',
        'odom_topic': '/odometry', 'pose_source': 'odometry', 'map_frame': 'world',
        'cmd_vel_topic': '/drive', 'action_source': 'twist',
        'image_reliability': 'best_effort', 'place': 'hall'}


def test_without_actions_they_are_derived_from_the_motion(tmp_path: Path) -> None:
    assert plan(write_bag(tmp_path / 'hall')).robot['action_source'] == 'motion'


def test_what_the_user_names_stands(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'hall', [
        ('/left/image_raw', IMAGE), ('/right/image_raw', IMAGE), ('/pose', POSE),
        ('/actions', ACTIONS)])
    with pytest.raises(BagError, match='several topics'):
        plan(bag)
    found = plan(bag, image_topic='/right/image_raw', map_frame='hall', place='mine')
    assert found.remark.startswith(f'{bag}: camera /right/image_raw')
    assert not found.robot.keys() & {'image_topic', 'map_frame', 'place'}
    assert found.robot['actions_topic'] == '/actions'


def test_a_recording_without_poses_needs_transforms(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'hall', [('/camera/image_raw', IMAGE)])
    with pytest.raises(BagError, match=r'no pose.*pose_source:=tf'):
        plan(bag)
    assert 'pose_source' not in plan(bag, pose_source='tf').robot


def test_rosbag2_is_told_rate_clock_and_loop(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'hall')
    assert plan(bag, rate='0.5', loop='true').player == (
        'ros2', 'bag', 'play', str(bag), '--rate', '0.5', '--clock', '100.0',
        '--disable-keyboard-controls', '--loop')


def test_bag_replay_plays_where_rosbag2_is_not_installed(
        tmp_path: Path, rosbag2: list[bool]) -> None:
    rosbag2.append(False)
    found = plan(write_bag(tmp_path / 'hall'), rate='2', loop='true')
    assert found.player.executable == 'bag_replay_node'
    assert found.player.parameters == {
        'path': str(tmp_path / 'hall'), 'loop': True, 'rate': 2.0, 'clock_hz': 100.0,
        'subscriptions_expected': 5, 'subscriber_wait_sec': 60.0}
    assert found.player.namespace == ''
    assert found.robot['image_reliability'] == 'reliable'


@pytest.mark.parametrize(('given', 'listeners'), [
    ({}, 6), ({'visualizer': 'false'}, 5), ({'action_source': 'motion'}, 5)])
def test_bag_replay_waits_for_all_who_listen(
        tmp_path: Path, given: dict[str, str], listeners: int) -> None:
    bag = write_bag(tmp_path / 'hall', [('/camera/image_raw', IMAGE), ('/pose', POSE),
                                        ('/actions', ACTIONS)])
    found = plan(bag, player='bag_replay', **given)
    assert found.player.parameters['subscriptions_expected'] == listeners


def test_rosbag2_is_refused_where_it_is_not_installed(
        tmp_path: Path, rosbag2: list[bool]) -> None:
    rosbag2.append(False)
    with pytest.raises(ConfigurationError, match=r'rosbag2 is not installed: .*bag_replay'):
        plan(write_bag(tmp_path / 'hall'), player='rosbag2')


def test_a_rate_that_is_no_number_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="rate must be a number, got 'fast'"):
        plan(write_bag(tmp_path / 'hall'), player='bag_replay', rate='fast')
