from collections.abc import Callable
from contextlib import closing
from pathlib import Path
import sqlite3

from spatial_rag_core.data.bags.bag_source import BagSource
from spatial_rag_core.errors import BagError

import pytest
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import get_typestore, Stores

WriteBag = Callable[..., Path]
PoseBytes = Callable[..., bytes]

TYPES = get_typestore(Stores.ROS2_JAZZY)
POSE = 'geometry_msgs/msg/PoseStamped'
REAL = Path(__file__).parents[6] / 'shared/data/redkitchen_a'
STAMPS = [3_000_000_000, 3_100_000_000, 3_200_000_000, 4_500_000_000]


def test_topics_tell_name_type_count_and_offered_qos(plugin: str, write_bag: WriteBag) -> None:
    with BagSource(write_bag(plugin, STAMPS)) as bag:
        grid, pose = bag.topics
    assert (pose.name, pose.type, pose.count) == ('/pose', POSE, 4)
    assert (pose.reliable, pose.transient_local) == (None, False)
    assert (grid.name, grid.count, grid.reliable, grid.transient_local) == ('/map', 0, True, True)


def test_times_are_those_of_the_first_and_last_message(plugin: str, write_bag: WriteBag) -> None:
    with BagSource(write_bag(plugin, STAMPS)) as bag:
        assert (bag.start_ns, bag.end_ns) == (STAMPS[0], STAMPS[-1])
        assert bag.duration_sec == pytest.approx(1.5)


def test_the_stored_bytes_come_back_in_time_order(
        plugin: str, write_bag: WriteBag, pose_bytes: PoseBytes) -> None:
    with BagSource(write_bag(plugin, [STAMPS[i] for i in (2, 0, 3, 1)])) as bag:
        messages = list(bag.messages())
    assert [message.stamp_ns for message in messages] == STAMPS
    assert [message.data for message in messages] == [pose_bytes(ns / 1e9, ns) for ns in STAMPS]


def test_a_time_window_includes_both_ends(plugin: str, write_bag: WriteBag) -> None:
    with BagSource(write_bag(plugin, STAMPS)) as bag:
        window = bag.messages(['/pose'], start_ns=STAMPS[1], end_ns=STAMPS[2])
        assert [message.stamp_ns for message in window] == STAMPS[1:3]
        assert len(list(bag.messages(start_ns=bag.start_ns, end_ns=bag.end_ns))) == 4


def test_two_readers_of_one_source_do_not_disturb_each_other(
        plugin: str, write_bag: WriteBag) -> None:
    with BagSource(write_bag(plugin, STAMPS)) as bag:
        pairs = list(zip(bag.messages(), bag.messages(), strict=True))
    assert all(one == other for one, other in pairs)


def test_the_first_message_tells_its_frame(plugin: str, write_bag: WriteBag) -> None:
    with BagSource(write_bag(plugin, STAMPS)) as bag:
        first = bag.first('/pose')
    assert first.header.frame_id == 'map'
    assert first.pose.position.x == 3.0


def test_a_bare_file_reads_like_its_folder(plugin: str, recorded_file: Path) -> None:
    with BagSource(recorded_file.parent) as bag, BagSource(recorded_file) as bare:
        assert [message.data for message in bare.messages()] == [
            message.data for message in bag.messages()]
        assert (bare.start_ns, bare.end_ns) == (bag.start_ns, bag.end_ns)


def test_a_folder_without_metadata_stands_for_its_only_file(recorded_file: Path) -> None:
    (recorded_file.parent / 'metadata.yaml').unlink()
    with BagSource(recorded_file.parent) as bag:
        assert sum(1 for _ in bag.messages()) == 400


def test_files_of_a_split_recording_that_overlap_are_merged_by_time(
        plugin: str, write_bag: WriteBag) -> None:
    folder = write_bag(plugin, [10, 20, 40])
    other = write_bag(plugin, [30, 50], 'second')
    second = next(file for file in other.iterdir() if file.suffix != '.yaml')
    second.rename(folder / second.name)
    metadata = folder / 'metadata.yaml'
    text = metadata.read_text()
    first = next(file.name for file in folder.iterdir() if file.name.startswith('bag.'))
    text = text.replace(f'relative_file_paths:\n  - {first}\n',
                        f'relative_file_paths:\n  - {first}\n  - {second.name}\n')
    metadata.write_text(text.replace('message_count: 3', 'message_count: 5'))
    with BagSource(folder) as bag:
        assert [message.stamp_ns for message in bag.messages()] == [10, 20, 30, 40, 50]


@pytest.mark.parametrize('mode', [CompressionMode.FILE, CompressionMode.MESSAGE,
                                  CompressionMode.STORAGE])
def test_a_compressed_recording_reads_like_any_other(
        tmp_path: Path, mode: CompressionMode, pose_bytes: PoseBytes) -> None:
    writer = Writer(tmp_path / 'bag', version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        poses = writer.add_connection('/pose', POSE, typestore=TYPES)
        writer.write(poses, 7, pose_bytes(1.0))
    with BagSource(tmp_path / 'bag') as bag:
        assert [message.data for message in bag.messages()] == [pose_bytes(1.0)]


def _write_strange(folder: Path, plugin: StoragePlugin, definition: str) -> None:
    with Writer(folder, version=9, storage_plugin=plugin) as writer:
        strange = writer.add_connection('/strange', 'our_msgs/msg/Strange', msgdef=definition,
                                        rihs01='RIHS01_00')
        writer.write(strange, 5, b'\x00\x01\x00\x00\x2a\x00\x00\x00')


@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_a_type_defined_only_in_the_recording_is_decoded(
        tmp_path: Path, plugin: StoragePlugin) -> None:
    _write_strange(tmp_path / 'bag', plugin, 'int32 answer\n')
    with BagSource(tmp_path / 'bag') as bag:
        assert bag.first('/strange').answer == 42


@pytest.mark.parametrize('plugin', list(StoragePlugin))
def test_a_type_with_an_unreadable_definition_is_still_listed_and_read(
        tmp_path: Path, plugin: StoragePlugin) -> None:
    _write_strange(tmp_path / 'bag', plugin, '?! not a definition')
    with BagSource(tmp_path / 'bag') as bag:
        assert bag.topics[0].type == 'our_msgs/msg/Strange'
        (message,) = bag.messages()
        assert message.data.endswith(b'\x2a\x00\x00\x00')
        with pytest.raises(BagError, match='our_msgs/msg/Strange'):
            bag.decode(message)


@pytest.mark.parametrize('encoding', ['', 'unknown'])
def test_a_type_that_the_recorder_did_not_know_is_still_listed_and_read(
        tmp_path: Path, encoding: str) -> None:
    _write_strange(tmp_path / 'bag', StoragePlugin.SQLITE3, 'int32 answer\n')
    with closing(sqlite3.connect(tmp_path / 'bag/bag.db3')) as database, database:
        database.execute('UPDATE message_definitions SET encoding = ?, '
                         "encoded_message_definition = ''", [encoding])
    with BagSource(tmp_path / 'bag') as bag:
        assert [message.topic for message in bag.messages()] == ['/strange']
        with pytest.raises(BagError, match='neither in the recording nor in ROS 2 Jazzy'):
            bag.first('/strange')


def test_bytes_that_do_not_fit_their_type_are_a_bag_error(
        plugin: str, write_bag: WriteBag) -> None:
    with BagSource(write_bag(plugin, STAMPS)) as bag:
        message = next(bag.messages())
        with pytest.raises(BagError, match='/pose does not fit'):
            bag.decode(message._replace(data=message.data[:11]))


def test_an_unknown_topic_is_refused_at_once_with_the_topics_there_are(
        plugin: str, write_bag: WriteBag) -> None:
    with BagSource(write_bag(plugin, STAMPS)) as bag:
        with pytest.raises(BagError, match="no topic '/imu'; it has /map, /pose"):
            bag.messages(['/imu'])
        with pytest.raises(BagError, match='no message on topic /map'):
            bag.first('/map')


@pytest.mark.skipif(not REAL.exists(), reason=f'the real recording {REAL} is not here')
def test_the_real_recording_is_read_in_full() -> None:
    with BagSource(REAL) as bag:
        stamps = [message.stamp_ns for message in bag.messages()]
        assert len(stamps) == 1500
        assert stamps == sorted(stamps)
        assert bag.duration_sec == pytest.approx(16.63, abs=0.01)
        assert bag.first('/pose').header.frame_id == 'world'
        assert bag.first('/camera/image_raw/compressed').data[:2].tobytes() == b'\xff\xd8'
