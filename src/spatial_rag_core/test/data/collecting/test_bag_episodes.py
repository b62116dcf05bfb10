"""Recordings of every kind become episodes; what cannot be used is counted, and ends nothing."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from spatial_rag_core.data.bags.bag_source import BagSource
from spatial_rag_core.data.collecting.bag_episodes import BagEpisodes, episode_from_bag
from spatial_rag_core.data.collecting.collect_config import CollectConfig
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.errors import BagError, ConfigurationError

import numpy as np
import pytest

from ..drives import damaged, Drive, Stored, T0_NS

FULL = Drive(depth=True, actions=True, proprio=True)
PLUGINS = ('mcap', 'sqlite3', 'ros1')


def read(path: Path, **config: Any) -> tuple[BagEpisodes, list[Episode]]:
    bag = BagEpisodes(path, CollectConfig(image_size=8, **config))
    return bag, list(bag)


def shown(episode: Episode) -> list[int]:
    """The numbers of the frames that it shows."""
    return [int(value) for value in episode.rgb[:, 4, 4, 0]]


@pytest.mark.parametrize('plugin', PLUGINS)
def test_every_kind_of_recording_gives_the_same_episode(plugin: str, tmp_path: Path) -> None:
    path = FULL.write(tmp_path / 'drive', plugin)
    (episode,) = episode_from_bag(path, image_size=8, map_id='hall', robot='r2')
    assert shown(episode) == list(range(60))
    np.testing.assert_allclose(episode.stamps, T0_NS / 1e9 + np.arange(60) / 20, atol=1e-6)
    np.testing.assert_allclose(episode.poses[:, 0], np.arange(60) / 20, atol=0.021)
    np.testing.assert_allclose(episode.poses[:58, 0], np.arange(58) / 20, atol=1e-6)
    assert episode.actions.tolist() == [[number, -number] for number in range(60)]
    assert episode.actions_from == 'commands'
    assert episode.proprio is not None
    assert episode.proprio[:, 0].tolist() == [0.5 * number for number in range(60)]
    assert episode.depth_m is not None
    assert episode.depth_m.shape == (60, 8, 8)
    np.testing.assert_allclose(episode.depth_m, 1.5)
    assert (episode.rate_hz, episode.map_id, episode.robot, episode.source) == (
        20.0, 'hall', 'r2', 'drive')


def test_a_ros_1_message_reads_as_its_ros_2_twin(tmp_path: Path) -> None:
    found = []
    for plugin in ('mcap', 'ros1'):
        with BagSource(FULL.write(tmp_path / plugin, plugin)) as bag:
            found.append([(one.topic, one.type, one.stamp_ns, one.data)
                          for one in bag.messages()])
    assert found[0] == found[1]


def test_a_damaged_ros_1_recording_is_told_with_its_remedy(tmp_path: Path) -> None:
    path = FULL.write(tmp_path / 'drive', 'ros1')
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(BagError, match=r'rosbag reindex .*drive\.bag'):
        episode_from_bag(path)


@pytest.mark.parametrize('action_dim', [2, 3, 6])
def test_actions_are_derived_from_the_motion_where_none_were_recorded(
        action_dim: int, tmp_path: Path) -> None:
    path = Drive().write(tmp_path / 'drive')
    (episode,) = episode_from_bag(path, image_size=8, action_dim=action_dim)
    expected = [1.0] + [0.0] * (action_dim - 1)
    np.testing.assert_allclose(episode.actions[1:-2], [expected] * 57, atol=1e-4)
    assert not episode.actions[0].any()
    assert episode.actions.shape == (60, action_dim)
    assert episode.actions_from == 'past motion'


def test_an_action_that_was_not_recorded_knows_the_motion_so_far_and_nothing_to_come(
        tmp_path: Path) -> None:
    """The robot stands, and begins to move at frame 30."""
    def wait(stored: Stored) -> Stored:
        if stored.topic == '/pose':
            position = stored.message.pose.position
            object.__setattr__(position, 'x', max(0.0, position.x - 1.5))
        return stored
    (episode,) = episode_from_bag(Drive(spoil=wait).write(tmp_path / 'drive'), image_size=8)
    moved = np.flatnonzero(np.diff(episode.poses[:, 0]) > 1e-6)
    acted = np.flatnonzero(episode.actions[:, 0] > 1e-4)
    assert acted.tolist() == (moved + 1).tolist()
    assert moved[0] == 30


def test_compressed_pictures_of_a_faster_camera_are_thinned_none_shown_twice(
        tmp_path: Path) -> None:
    path = Drive(camera_hz=30.0, compressed=True).write(tmp_path / 'drive')
    bag, (episode,) = read(path)
    assert len(episode) == 60
    assert all(after > before for before, after in pairwise(shown(episode)))
    assert not bag.findings.counts
    numbers = np.array(shown(episode)[:-3])  # each pose is that of the picture's own moment
    np.testing.assert_allclose(episode.poses[:-3, 0], numbers / 30, atol=1e-6)


def test_a_slow_camera_lowers_the_rate_and_that_is_said(tmp_path: Path) -> None:
    bag, (episode,) = read(Drive(camera_hz=10.0).write(tmp_path / 'drive'))
    assert (episode.rate_hz, bag.rate_hz) == (10.0, 10.0)
    assert shown(episode) == list(range(30))
    assert 'the camera gives 10.0 Hz' in bag.findings.reasons['rate_lowered']


def test_a_short_gap_is_filled_and_counted_and_a_long_one_begins_an_episode(
        tmp_path: Path) -> None:
    missing = {20, *range(40, 50)}
    drive = Drive(duration_sec=5.0, has_frame=lambda number: number not in missing)
    bag, episodes = read(drive.write(tmp_path / 'drive'))
    assert [shown(episode) for episode in episodes] == [
        [*range(20), 19, *range(21, 40)], list(range(50, 100))]
    assert bag.findings.counts == {'frames_repeated': 1, 'gaps': 1}
    assert episodes[0].poses[20, 0] == pytest.approx(1.0)  # where the robot was, not the picture
    assert len({episode.session for episode in episodes}) == 2


def test_frames_without_a_pose_are_left_out(tmp_path: Path) -> None:
    drive = Drive(duration_sec=5.0, has_pose=lambda number: not 100 <= number < 150)
    bag, episodes = read(drive.write(tmp_path / 'drive'))
    assert [(shown(one)[0], shown(one)[-1]) for one in episodes] == [(0, 41), (58, 99)]
    assert bag.findings.counts['frames_without_pose'] == 16


def test_bad_pictures_and_poses_are_counted_by_name(tmp_path: Path) -> None:
    def spoil(stored: Stored) -> Stored:
        number = round((stored.stamp_ns - T0_NS) / 1e7)
        if stored.topic == '/pose' and number == 100:
            object.__setattr__(stored.message.pose.position, 'x', float('nan'))
        if stored.topic == '/camera/image_raw/compressed' and number in (50, 75):
            return stored._replace(message=replace(stored.message, data=np.zeros(9, np.uint8)))
        return stored
    path = Drive(compressed=True, spoil=spoil).write(tmp_path / 'drive')
    bag, (episode,) = read(path)
    assert len(episode) == 60
    assert bag.findings.counts == {'unusable_messages': 1, 'undecodable_frames': 2,
                                   'frames_repeated': 2}
    assert 'pose is not finite' in bag.findings.reasons['unusable_messages']
    assert 'does not decode' in bag.findings.reasons['undecodable_frames']


def test_an_episode_begins_where_proprioception_does(tmp_path: Path) -> None:
    drive = replace(FULL, spoil=lambda stored: stored._replace(
        stamp_ns=stored.stamp_ns + 500_000_000) if stored.topic == '/proprio' else stored)
    bag, (episode,) = read(drive.write(tmp_path / 'drive'))
    assert episode.proprio is not None
    assert shown(episode)[0] == 10
    assert episode.proprio[:3, 0].tolist() == [0.0, 0.5, 1.0]
    assert bag.findings.counts == {'frames_before_proprio': 10}


def test_time_that_jumps_back_begins_an_episode(tmp_path: Path) -> None:
    """A looped replay was recorded: receipt goes on, the stamps begin again."""
    def loop(stored: Stored) -> Stored:
        if stored.stamp_ns >= T0_NS + 3_000_000_000:
            header = stored.message.header
            stamp = type(header.stamp)(header.stamp.sec - 3, header.stamp.nanosec)
            object.__setattr__(header, 'stamp', stamp)
        return stored
    bag, episodes = read(Drive(duration_sec=6.0, spoil=loop).write(tmp_path / 'drive'))
    assert [shown(episode) for episode in episodes] == [list(range(60)), list(range(60, 120))]
    assert episodes[1].stamps[0] == pytest.approx(episodes[0].stamps[0])
    assert bag.findings.counts == {'time_jumps': 1}
    for episode, offset in zip(episodes, (0, 60), strict=True):
        np.testing.assert_allclose(episode.poses[:58, 0], (offset + np.arange(58)) / 20,
                                   atol=1e-6)


def test_a_long_recording_is_cut_and_nothing_is_lost(tmp_path: Path) -> None:
    _, episodes = read(Drive(duration_sec=5.0).write(tmp_path / 'drive'), max_episode_sec=2.0)
    assert [len(episode) for episode in episodes] == [40, 40, 20]
    assert [number for one in episodes for number in shown(one)] == list(range(100))


def test_what_lies_before_damage_comes_first(tmp_path: Path) -> None:
    folder = damaged(Drive(duration_sec=10.0).write(tmp_path / 'drive', 'sqlite3'))
    episodes: list[Episode] = []
    with pytest.raises(BagError, match='reading stopped after 350 messages'):
        episodes.extend(BagEpisodes(folder, CollectConfig(image_size=8)))
    assert [shown(episode) for episode in episodes] == [list(range(100))]


def test_topics_of_other_names_are_found_by_remap(tmp_path: Path) -> None:
    path = replace(FULL, topics={'/actions': '/motors', '/proprio': '/state'}).write(
        tmp_path / 'drive')
    with pytest.raises(BagError, match='several topics could be /actions'):
        episode_from_bag(path)
    (episode,) = episode_from_bag(path, remap={'/motors': '/actions', '/state': '/proprio'},
                                  image_size=8)
    assert episode.actions[7].tolist() == [7.0, -7.0]
    assert episode.proprio is not None


def test_missing_roles_and_wrong_words_are_told_with_a_remedy(tmp_path: Path) -> None:
    path = Drive(has_pose=lambda number: False).write(tmp_path / 'blind')
    with pytest.raises(BagError, match=r'has no poses.*record them'):
        episode_from_bag(path)
    path = Drive().write(tmp_path / 'drive')
    with pytest.raises(BagError, match=r'has no actions.*derive them'):
        episode_from_bag(path, action_source='topic')
    with pytest.raises(BagError, match=r'gives no episode.*min_episode_sec 60'):
        episode_from_bag(path, min_episode_sec=60.0)
    for wrong, told in (({'rate_hz': 0.0}, 'rate_hz must be > 0, got 0.0'),
                        ({'action_source': 'guess'}, "got 'guess'"),
                        ({'action_dim': 4, 'action_source': 'motion'}, 'action_dim')):
        with pytest.raises(ConfigurationError, match=told):
            episode_from_bag(path, **wrong)


def test_the_real_recording_gives_one_episode_that_moves_forward(recording: Path) -> None:
    bag, (episode,) = read(recording, pose_axes='optical')
    assert len(episode) == 333
    assert episode.depth_m is not None
    assert 0.8 < np.median(episode.depth_m) < 3.0
    assert np.abs(episode.actions[:, 0]).max() < 1.5
    assert not bag.findings.counts


@pytest.mark.parametrize('plugin', PLUGINS)
def test_poses_come_out_of_the_transforms_where_no_topic_has_them(
        plugin: str, tmp_path: Path) -> None:
    path = Drive(tf=True).write(tmp_path / 'drive', plugin)
    (episode,) = episode_from_bag(path, image_size=8)
    last = round(episode.stamps[-1] * 20) - T0_NS // 50_000_000
    assert last >= 48, 'the localisation is silent from 2.8 s on'
    np.testing.assert_allclose(episode.poses[:48, 0], np.arange(48) / 20, atol=1e-6)
    (ahead,) = episode_from_bag(path, image_size=8, base_frame='camera')
    np.testing.assert_allclose(ahead.poses[:48, 0], np.arange(48) / 20 + 0.2, atol=1e-6)
    (drift,) = episode_from_bag(path, image_size=8, map_frame='odom')
    np.testing.assert_allclose(drift.poses[:48, 0], np.arange(48) / 20 - 3.0, atol=1e-6)


def test_a_pose_topic_is_taken_before_the_transforms_unless_these_are_asked_for(
        tmp_path: Path) -> None:
    def both(number: int) -> bool:
        return True
    pose, tf = (Drive(tf=tf, has_pose=both)._messages for tf in (False, True))

    class Both(Drive):
        def _messages(self, make: Any) -> Any:
            yield from pose(make)
            yield from (one for one in tf(make) if one.topic.startswith('/tf'))
    path = Both().write(tmp_path / 'drive')
    assert read(path)[0].roles.pose is not None
    (by_topic,), (by_tf,) = (read(path, pose_source=source, base_frame='camera')[1]
                             for source in ('auto', 'tf'))
    np.testing.assert_allclose(by_tf.poses[:40, 0] - by_topic.poses[:40, 0], 0.2, atol=1e-6)


@pytest.mark.parametrize(('frames', 'told'), [
    ({'map_frame': 'world'}, r'lead up from it to odom, map; name one of these with --map-frame'),
    ({'base_frame': 'base'}, r'they tell of base_link, camera, odom; name .* --base-frame'),
    ({'map_frame': 'base_link', 'base_frame': 'camera'}, 'those between them are static')])
def test_frames_that_the_transforms_do_not_join_are_told_with_those_that_there_are(
        frames: dict[str, str], told: str, tmp_path: Path) -> None:
    path = Drive(tf=True).write(tmp_path / 'drive')
    with pytest.raises(BagError, match=told):
        episode_from_bag(path, image_size=8, **frames)


def test_a_transform_that_is_none_is_counted_and_the_others_are_followed(tmp_path: Path) -> None:
    def spoil(stored: Stored) -> Stored:
        if stored.topic == '/tf' and stored.stamp_ns == T0_NS + 500_000_000:
            stored.message.transforms[0].transform.rotation.w = 0.0
        return stored
    bag, (episode,) = read(Drive(tf=True, spoil=spoil).write(tmp_path / 'drive'))
    assert bag.findings.counts['unusable_messages'] == 1
    assert 'base_link' in bag.findings.reasons['unusable_messages']
    np.testing.assert_allclose(episode.poses[:48, 0], np.arange(48) / 20, atol=1e-6)


@pytest.mark.parametrize(('source', 'missing'), [
    ('auto', 'PoseStamped, Odometry or /tf'), ('topic', 'PoseStamped or Odometry'),
    ('tf', '/tf')])
def test_a_recording_without_poses_is_refused(source: str, missing: str, tmp_path: Path) -> None:
    path = Drive(has_pose=lambda number: False).write(tmp_path / 'drive')
    with pytest.raises(BagError, match=rf'no poses \({missing}\)'):
        BagEpisodes(path, CollectConfig(pose_source=source))
