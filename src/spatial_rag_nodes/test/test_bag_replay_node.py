"""bag_replay_node as a process, on recordings that the tests write."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
import signal
import time
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg, get_typestore, Stores

pytestmark = pytest.mark.ros

POSE = 'geometry_msgs/msg/PoseStamped'
NUMBERS = 'std_msgs/msg/Float32MultiArray'
STRANGE = 'strange_msgs/msg/Strange'
START_NS = 1_600_000_000_000_000_000
TYPES = get_typestore(Stores.ROS2_JAZZY)
TYPES.register(get_types_from_msg('int32 x', STRANGE))

Sent = list[tuple[str, bytes]]


def pose_bytes(index: int, stamp_ns: int) -> bytes:
    types = TYPES.types
    header = types['std_msgs/msg/Header'](
        types['builtin_interfaces/msg/Time'](stamp_ns // 10**9, stamp_ns % 10**9), 'map')
    pose = types['geometry_msgs/msg/Pose'](
        types['geometry_msgs/msg/Point'](float(index), 0.0, 0.0),
        types['geometry_msgs/msg/Quaternion'](0.0, 0.0, 0.0, 1.0))
    return bytes(TYPES.serialize_cdr(types[POSE](header, pose), POSE))


def numbers_bytes(index: int) -> bytes:
    types = TYPES.types
    layout = types['std_msgs/msg/MultiArrayLayout']([], 0)
    data = np.full(1 + index % 5, index, np.float32)
    return bytes(TYPES.serialize_cdr(types[NUMBERS](layout, data), NUMBERS))


def write_bag(folder: Path, plugin: str = 'mcap', count: int = 50, period_ns: int = 10_000_000,
              strange: bool = False) -> Path:
    """Write /pose and /numbers in turn, `count` messages in all."""
    storage = StoragePlugin.MCAP if plugin == 'mcap' else StoragePlugin.SQLITE3
    with Writer(folder, version=9, storage_plugin=storage) as writer:
        poses = writer.add_connection('/pose', POSE, typestore=TYPES)
        numbers = writer.add_connection('/numbers', NUMBERS, typestore=TYPES)
        other = writer.add_connection('/strange', STRANGE, typestore=TYPES) if strange else None
        for index in range(count):
            stamp_ns = START_NS + index * period_ns
            if index % 2:
                writer.write(numbers, stamp_ns, numbers_bytes(index))
            else:
                writer.write(poses, stamp_ns, pose_bytes(index, stamp_ns))
            if other is not None:
                writer.write(other, stamp_ns, b'\0\1\0\0\1\0\0\0')
    return folder


def contents(count: int, period_ns: int = 10_000_000) -> Sent:
    """What write_bag wrote, in order."""
    return [('/numbers', numbers_bytes(index)) if index % 2
            else ('/pose', pose_bytes(index, START_NS + index * period_ns))
            for index in range(count)]


class Ear:
    """Hears /pose and /numbers, as bytes, with the time of their arrival."""

    def __init__(self, probe: Any, pose: str = '/pose', numbers: str = '/numbers') -> None:
        from geometry_msgs.msg import PoseStamped
        from std_msgs.msg import Float32MultiArray
        self._probe = probe
        self.heard: Sent = []
        self.times: list[float] = []
        for kind, topic in ((PoseStamped, pose), (Float32MultiArray, numbers)):
            probe.node.create_subscription(
                kind, topic, lambda message, topic=topic: self._take(topic, message), 20000,
                raw=True)

    def _take(self, topic: str, message: bytes) -> None:
        self.heard.append((topic, message))
        self.times.append(time.monotonic())

    def wait(self, count: int) -> None:
        self._probe.until(lambda: len(self.heard) >= count,
                          message=lambda: f'{len(self.heard)} of {count} messages came')

    def of(self, topic: str) -> list[bytes]:
        return [data for name, data in self.heard if name == topic]


@pytest.fixture
def replay(start_node: Callable[..., Any]) -> Callable[..., Any]:
    """Start bag_replay_node for somebody who listens to both topics."""
    def start(path: Path, *ros_args: str, **parameters: object) -> Any:
        words = {'subscriptions_expected': 2, **parameters}
        return start_node('bag_replay_node', *ros_args, path=path, **words)
    return start


def of(sent: Sequence[tuple[str, bytes]], topic: str) -> list[bytes]:
    return [data for name, data in sent if name == topic]


@pytest.mark.parametrize('plugin', ['mcap', 'sqlite3'])
def test_every_stored_byte_is_published_in_order_and_the_node_ends_by_itself(
        tmp_path: Path, probe: Any, replay: Callable[..., Any], plugin: str) -> None:
    bag, ear = write_bag(tmp_path / 'bag', plugin, 200), Ear(probe)
    node = replay(bag)
    ear.wait(200)
    assert node.wait() == 0
    probe.spin(0.5)
    for topic in ('/pose', '/numbers'):  # DDS keeps the order of a topic, not between topics
        assert ear.of(topic) == of(contents(200), topic)
    assert 'Traceback' not in node.output
    assert 'played 200 messages' in node.output


def test_a_file_without_its_folder_is_played_too(
        tmp_path: Path, probe: Any, replay: Callable[..., Any]) -> None:
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 20), Ear(probe)
    node = replay(next(bag.glob('*.mcap')))
    ear.wait(20)
    assert node.wait() == 0


def test_a_higher_rate_plays_faster_and_no_rate_hurries_ahead(
        tmp_path: Path, probe: Any, replay: Callable[..., Any]) -> None:
    bag, spans = write_bag(tmp_path / 'bag', 'mcap', 21, 100_000_000), []
    for rate in (1.0, 2.0):
        ear = Ear(probe)
        node = replay(bag, rate=rate, subscriptions_expected=2)
        ear.wait(21)
        node.wait()
        spans.append(ear.times[-1] - ear.times[0])
        assert spans[-1] > 0.9 * 2.0 / rate
    assert spans[1] < spans[0]


def test_a_loop_begins_again_and_counts(tmp_path: Path, probe: Any, diagnostics: Any,
                                        replay: Callable[..., Any]) -> None:
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 10), Ear(probe)
    node = replay(bag, loop=True)
    ear.wait(35)
    figures = diagnostics.wait('bag_replay', lambda _, values: int(values['loops']) >= 3)
    assert int(figures['messages_sent']) >= 30
    stored = of(contents(10), '/pose')
    assert ear.of('/pose')[:15] == stored * 3
    node.signal(signal.SIGINT)
    assert node.wait() == 0
    assert 'Traceback' not in node.output


def test_duration_sec_ends_the_playing_early(tmp_path: Path, probe: Any,
                                             replay: Callable[..., Any]) -> None:
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 100), Ear(probe)
    node = replay(bag, duration_sec=0.295)
    assert node.wait() == 0
    ear.wait(30)
    probe.spin(0.5)
    assert len(ear.heard) == 30


def test_topics_can_be_renamed(tmp_path: Path, probe: Any, replay: Callable[..., Any]) -> None:
    bag = write_bag(tmp_path / 'bag', 'mcap', 20)
    ear = Ear(probe, pose='/base/pose')
    node = replay(bag, '-r', 'pose:=base/pose')
    ear.wait(20)
    assert node.wait() == 0
    assert ear.of('/base/pose') == of(contents(20), '/pose')


def test_a_namespace_moves_all_topics(tmp_path: Path, probe: Any,
                                      replay: Callable[..., Any]) -> None:
    bag = write_bag(tmp_path / 'bag', 'mcap', 20)
    ear = Ear(probe, '/robot1/pose', '/robot1/numbers')
    node = replay(bag, '-r', '__ns:=/robot1')
    ear.wait(20)
    assert node.wait() == 0


def test_the_clock_runs_through_the_recording_when_asked(
        tmp_path: Path, probe: Any, replay: Callable[..., Any]) -> None:
    from rosgraph_msgs.msg import Clock
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 21, 50_000_000), Ear(probe)
    clocks = probe.listen(Clock, '/clock', 1000)
    node = replay(bag, clock_hz=100.0)
    ear.wait(21)
    assert node.wait() == 0
    probe.spin(0.2)
    times = [message.clock.sec * 10**9 + message.clock.nanosec for message in clocks]
    assert len(times) > 20
    assert all(before <= after for before, after in pairwise(times))
    assert times[0] >= START_NS
    assert times[-1] <= START_NS + 20 * 50_000_000


def test_the_clock_is_published_as_often_as_asked(
        tmp_path: Path, probe: Any, replay: Callable[..., Any]) -> None:
    from rosgraph_msgs.msg import Clock
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 101, 20_000_000), Ear(probe)  # 2 s at 50 Hz
    clocks = probe.listen(Clock, '/clock', 1000)
    node = replay(bag, clock_hz=5.0)
    ear.wait(101)
    assert node.wait() == 0
    assert 3 <= len(clocks) <= 12


@pytest.mark.parametrize('own_topics', [False, True])
def test_what_a_running_stack_publishes_itself_is_left_out_unless_asked_for(
        tmp_path: Path, probe: Any, replay: Callable[..., Any], own_topics: bool) -> None:
    bag = tmp_path / 'bag'
    with Writer(bag, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        for topic in ('/pose', '/spatial_rag/pose'):
            connection = writer.add_connection(topic, POSE, typestore=TYPES)
            writer.write(connection, START_NS, pose_bytes(1, START_NS))
        for topic in ('/numbers', '/latent', '/latent_next'):
            connection = writer.add_connection(topic, NUMBERS, typestore=TYPES)
            writer.write(connection, START_NS, numbers_bytes(1))
    ear = Ear(probe)
    node = replay(bag, own_topics=own_topics)
    ear.wait(2)
    assert node.wait() == 0
    assert f'played {5 if own_topics else 2} messages' in node.output


def test_there_is_no_clock_unless_asked(tmp_path: Path, probe: Any,
                                        replay: Callable[..., Any]) -> None:
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 100), Ear(probe)
    replay(bag)
    ear.wait(10)
    assert '/clock' not in dict(probe.node.get_topic_names_and_types())


def test_a_topic_of_unknown_type_is_left_out_with_one_warning(
        tmp_path: Path, probe: Any, replay: Callable[..., Any]) -> None:
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 20, strange=True), Ear(probe)
    node = replay(bag)
    ear.wait(20)
    assert node.wait() == 0
    warnings = [line for line in node.output.splitlines() if STRANGE in line]
    assert len(warnings) == 1
    assert '/strange is left out' in warnings[0]
    assert 'played 20 messages' in node.output


def _missing(bag: Path) -> Path:
    return bag / 'nowhere'


def _truncated(bag: Path) -> Path:
    file = next(bag.glob('*.mcap'))
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    return bag


def _garbage(bag: Path) -> Path:
    file = bag.parent / 'garbage.mcap'
    file.write_bytes(b'no recording' * 100)
    return file


@pytest.mark.parametrize(('spoil', 'reason'), [
    (_missing, 'nowhere does not exist'), (_truncated, 'ends too early'),
    (_garbage, 'is no MCAP file'), (lambda _: '', 'no recording: set path')],
    ids=['missing', 'truncated', 'garbage', 'unset'])
def test_what_cannot_be_played_is_told_in_one_line(
        tmp_path: Path, start_node: Callable[..., Any], spoil: Callable[[Path], object],
        reason: str) -> None:
    path = spoil(write_bag(tmp_path / 'bag'))
    node = start_node('bag_replay_node', path=path) if path else start_node('bag_replay_node')
    assert node.wait() == 1
    lines = node.output.strip().splitlines()
    assert len(lines) == 1, node.output
    assert reason in lines[0]


def test_damage_in_the_midst_ends_the_node_with_one_line_and_exit_code_1(
        tmp_path: Path, probe: Any, replay: Callable[..., Any]) -> None:
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 30_000, 1), Ear(probe)
    file = next(bag.glob('*.mcap'))
    data = bytearray(file.read_bytes())
    data[1_500_000:1_500_100] = b'\xff' * 100  # in the second chunk
    file.write_bytes(data)
    node = replay(bag)
    assert node.wait() == 1
    errors = [line for line in node.output.splitlines() if 'ERROR' in line]
    assert len(errors) == 1, node.output
    assert 'is damaged: reading stopped after' in errors[0]
    assert 'Traceback' not in node.output
    probe.spin(0.2)
    assert ear.heard


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_playing_at_once(tmp_path: Path, probe: Any,
                                           replay: Callable[..., Any], number: int) -> None:
    bag, ear = write_bag(tmp_path / 'bag', 'mcap', 20_000, 1_000_000), Ear(probe)
    node = replay(bag)
    ear.wait(100)
    node.signal(number)
    assert node.wait() == 0
    assert 'Traceback' not in node.output
    assert 'ERROR' not in node.output


def test_without_listeners_it_plays_after_its_waiting_time(
        tmp_path: Path, start_node: Callable[..., Any]) -> None:
    node = start_node('bag_replay_node', path=write_bag(tmp_path / 'bag', 'mcap', 10),
                      subscriber_wait_sec=0.0)
    assert node.wait() == 0
    assert 'played 10 messages' in node.output
