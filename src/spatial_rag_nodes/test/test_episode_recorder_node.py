"""The recorder of episodes as a process: what it writes, and what it survives."""

from __future__ import annotations

from pathlib import Path
import resource
import signal
import sys
from typing import Any

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.records import Pose, Position
from spatial_rag_nodes.conversions import array_from_vector, msg_from_pose, time_from_ns
from spatial_rag_nodes.images import image_from_depth, image_from_rgb

from geometry_msgs.msg import PoseStamped
import numpy as np
import pytest
from sensor_msgs.msg import Image
from std_msgs.msg import Float32MultiArray, Header

pytestmark = pytest.mark.ros

T0_NS = 1_700_000_000_000_000_000
STEP_NS = 50_000_000
RELIABLE = tuple(word for topic in ('/camera/image_raw', '/camera/depth/image_raw', '/proprio')
                 for policy in ('reliability:=reliable', 'depth:=100')
                 for word in ('-p', f'qos_overrides.{topic}.subscription.{policy}'))
"""However late the recorder looks, it gets all that a test sends."""


class Rig:
    """A recorder, and a robot that the test plays: 1 m/s along x, each frame shows its number."""

    def __init__(self, lab: Any, path: Path, **parameters: object) -> None:
        self.lab, self.probe, self.path = lab, lab.probe, path
        self.process = lab.start_node('episode_recorder_node', *RELIABLE, output_path=path,
                                      image_size=16, **parameters)
        self.picture = self.probe.publisher(Image, '/camera/image_raw')
        self.depth = self.probe.publisher(Image, '/camera/depth/image_raw')
        self.pose = self.probe.publisher(PoseStamped, '/pose')
        self.proprio = self.probe.publisher(Float32MultiArray, '/proprio')
        self.action = None
        if parameters.get('action_source') != 'motion':
            self.action = self.probe.publisher(Float32MultiArray, '/actions')
        self.probe.spin(0.3)  # the recorder must have found these publishers, too

    def drive(self, first: int, count: int) -> None:
        for number in range(first, first + count):
            header = Header(stamp=time_from_ns(T0_NS + number * STEP_NS), frame_id='map')
            pose = msg_from_pose(Pose(Position(number * 0.05, 0.0)))
            self.pose.publish(PoseStamped(header=header, pose=pose))
            self.picture.publish(image_from_rgb(np.full((24, 32, 3), number, np.uint8), header))
            self.depth.publish(image_from_depth(np.full((24, 32), 1.5, np.float32), header))
            self.proprio.publish(array_from_vector(np.float32([0.5 * number])))
            self.probe.spin(0.01)  # topics have no common order: all of this before the action
            if self.action is not None:
                self.action.publish(array_from_vector(np.float32([number, -number])))
            self.probe.spin(0.01)

    def wait_for(self, **figures: object) -> dict[str, str]:
        wanted = {name: str(value) for name, value in figures.items()}
        return self.lab.diagnostics.wait('episode_recorder', lambda _, values: (
            wanted.items() <= values.items()))

    def end(self) -> list[Episode]:
        self.process.signal(signal.SIGINT)
        assert self.process.wait() == 0
        return self.episodes()

    def episodes(self) -> list[Episode]:
        with EpisodeReader(self.path) as reader:
            return list(reader.read_all())


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'deep' / 'episodes.h5'


def shown(episode: Episode) -> list[int]:
    return [int(value) for value in episode.rgb[:, 8, 8, 0]]


def test_a_drive_is_one_episode_that_ctrl_c_completes(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, map_id='hall', robot='r2', split='valid')
    rig.drive(0, 40)
    rig.wait_for(frames_in=40)
    (episode,) = rig.end()
    numbers = shown(episode)
    assert len(numbers) >= 38
    assert numbers == list(range(numbers[0], 40))
    np.testing.assert_allclose(episode.poses[:, 0], np.array(numbers) * 0.05, atol=1e-9)
    np.testing.assert_allclose(episode.stamps, T0_NS / 1e9 + np.array(numbers) / 20, atol=1e-6)
    # These have no stamp, so they are the frame's or, on a busy machine, its neighbour's.
    np.testing.assert_allclose(episode.actions[:-1, 0], numbers[:-1], atol=1.0)
    np.testing.assert_array_equal(episode.actions[:, 1], -episode.actions[:, 0])
    assert episode.proprio is not None
    np.testing.assert_allclose(episode.proprio[1:-1, 0], 0.5 * np.array(numbers[1:-1]), atol=0.5)
    assert episode.depth_m is not None
    np.testing.assert_allclose(episode.depth_m[1:-1], 1.5)
    assert (episode.map_id, episode.robot, episode.source) == ('hall', 'r2', 'live')
    with EpisodeReader(path) as reader:
        assert len(reader.names('valid')) == 1


def test_actions_are_the_past_motion_where_asked(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, action_source='motion')
    rig.drive(0, 40)
    rig.wait_for(frames_in=40)
    (episode,) = rig.end()
    np.testing.assert_allclose(episode.actions[1:], [[1.0, 0.0]] * (len(episode) - 1), atol=1e-4)
    assert episode.actions_from == 'past motion'
    with EpisodeReader(path) as reader:
        assert reader.recipe['derived_actions'] == 'past motion'


_WITHOUT_H5PY = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'h5py':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Nothing())
from spatial_rag_nodes.executables import episode_recorder_node
episode_recorder_node()
"""


def test_a_machine_without_h5py_is_told_what_to_install(lab: Any, path: Path) -> None:
    process = lab.start(sys.executable, '-c', _WITHOUT_H5PY, '--ros-args', '-p',
                        f'output_path:={path}')
    assert process.wait(20.0) == 1
    assert "No module named 'h5py'" in process.output
    assert 'pip install -r requirements/training.txt' in process.output
    assert 'Traceback' not in process.output


def test_kill_9_loses_the_running_episode_only(lab: Any, path: Path) -> None:
    rig = Rig(lab, path, max_episode_sec=1.0)
    rig.drive(0, 50)
    rig.wait_for(episodes_stored=2)
    rig.process.signal(signal.SIGKILL)
    rig.process.wait()
    assert [len(episode) for episode in rig.episodes()] == [20, 20]
    again = lab.start_node('episode_recorder_node', output_path=path, image_size=16,
                           max_episode_sec=1.0)
    again.wait_for_output('(2 episodes so far)')


def test_a_camera_that_falls_silent_completes_the_episode(lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    rig.drive(0, 30)
    rig.wait_for(episodes_stored=1, running_frames=0)


def test_a_full_disk_is_told_and_nothing_is_lost_once_there_is_room(lab: Any,
                                                                     path: Path) -> None:
    rig = Rig(lab, path, max_episode_sec=1.0)
    pid, kind = rig.process.pid, resource.RLIMIT_FSIZE  # a limit of the process, for a full disk
    before = resource.prlimit(pid, kind)
    resource.prlimit(pid, kind, (path.stat().st_size, before[1]))
    rig.drive(0, 30)
    lab.diagnostics.wait('episode_recorder', lambda status, values: (
        status.level == b'\x02' and 'cannot be written' in status.message
        and values['backlog'] == '1'))
    resource.prlimit(pid, kind, before)
    rig.wait_for(episodes_stored=1, episodes_lost=0, backlog=0)
    lab.diagnostics.wait('episode_recorder', lambda status, _: status.level == b'\x00')


def test_bad_pictures_are_counted_and_told(lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    rig.drive(0, 20)
    for number in range(20, 23):
        header = Header(stamp=time_from_ns(T0_NS + number * STEP_NS), frame_id='map')
        rig.picture.publish(Image(header=header, height=24, width=32, encoding='rgb8', step=96))
        rig.probe.spin(0.02)
    rig.drive(23, 20)
    values = rig.wait_for(undecodable_frames=3)
    assert values['problem undecodable_frames'] != '0'
    (episode,) = rig.end()
    assert {20, 21, 22}.isdisjoint(shown(episode))
    assert len(episode) >= 41


def test_a_file_that_cannot_be_continued_is_refused_in_one_line(lab: Any, path: Path) -> None:
    rig = Rig(lab, path)
    second = lab.start_node('episode_recorder_node', output_path=path, image_size=16)
    assert second.wait() == 1
    assert 'is in use' in second.output
    assert len(second.output.splitlines()) == 1
    rig.end()
    third = lab.start_node('episode_recorder_node', output_path=path, image_size=16, rate_hz=10.0)
    assert third.wait() == 1
    assert 'rate_hz 20.0 there, 10.0 asked for' in third.output
