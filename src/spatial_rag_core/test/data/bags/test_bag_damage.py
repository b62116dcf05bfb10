from collections.abc import Callable
from contextlib import closing
from pathlib import Path
import random
import sqlite3

from spatial_rag_core.data.bags.bag_source import BagSource
from spatial_rag_core.errors import BagError

import pytest

WriteBag = Callable[..., Path]
REAL = Path(__file__).parents[6] / 'shared/data/redkitchen_a/redkitchen_a.mcap'


def _read(path: Path) -> int:
    with BagSource(path) as bag:
        return sum(1 for _ in bag.messages())


def _empty(file: Path) -> None:
    file.write_bytes(b'')


def _garbage(file: Path) -> None:
    file.write_bytes(random.Random(0).randbytes(5000))


def _half(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])


@pytest.mark.parametrize('spoil', [_empty, _garbage, _half])
def test_a_spoilt_file_is_refused_bare_and_in_its_folder(
        recorded_file: Path, spoil: Callable[[Path], None]) -> None:
    spoil(recorded_file)
    for path in (recorded_file, recorded_file.parent):
        with pytest.raises(BagError, match=str(recorded_file)) as caught:
            _read(path)
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize('path', ['nowhere', 'nowhere/bag.mcap'])
def test_a_missing_path_is_named(tmp_path: Path, path: str) -> None:
    with pytest.raises(BagError, match=r'nowhere.* does not exist'):
        BagSource(tmp_path / path)


def test_a_folder_without_a_recording_says_what_a_recording_is(tmp_path: Path) -> None:
    with pytest.raises(BagError, match=r'neither metadata\.yaml'):
        BagSource(tmp_path)


def test_several_files_without_metadata_need_a_reindex(plugin: str, write_bag: WriteBag) -> None:
    folder = write_bag(plugin, [1])
    file = next(file for file in folder.iterdir() if file.suffix != '.yaml')
    file.with_stem('other').write_bytes(file.read_bytes())
    (folder / 'metadata.yaml').unlink()
    with pytest.raises(BagError, match=f'ros2 bag reindex {folder}'):
        BagSource(folder)


@pytest.mark.parametrize('in_folder', [False, True])
def test_a_damaged_ros1_recording_names_its_remedy(tmp_path: Path, in_folder: bool) -> None:
    file = tmp_path / 'old.bag'
    file.write_bytes(b'#ROSBAG V2.0\n' + bytes(100))
    with pytest.raises(BagError, match=r'old\.bag is damaged.*rosbag reindex'):
        BagSource(tmp_path if in_folder else file)


def test_a_file_that_only_calls_itself_ros1_is_told(tmp_path: Path) -> None:
    file = tmp_path / 'old.bag'
    file.write_bytes(b'#ROSBAG V1.2\n' + bytes(100))
    with pytest.raises(BagError, match=r'no ROS 1 recording of version 2\.0.*rosbag fix'):
        BagSource(file)


def test_a_file_that_metadata_names_and_is_not_there_is_named(recorded_file: Path) -> None:
    recorded_file.unlink()
    with pytest.raises(BagError, match=f'not there.*{recorded_file.name}'):
        BagSource(recorded_file.parent)


@pytest.mark.parametrize('text', ['', '{', '[1, 2]', 'rosbag2_bagfile_information: 7\n',
                                  'rosbag2_bagfile_information: {version: 99}\n'])
def test_metadata_that_makes_no_sense_needs_a_reindex(recorded_file: Path, text: str) -> None:
    (recorded_file.parent / 'metadata.yaml').write_text(text)
    with pytest.raises(BagError, match='ros2 bag reindex'):
        BagSource(recorded_file.parent)


def test_a_recording_without_messages_is_refused(plugin: str, write_bag: WriteBag) -> None:
    with pytest.raises(BagError, match='holds no messages'):
        BagSource(write_bag(plugin, []))


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    (tmp_path / 'notes.txt').write_text('hello')
    with pytest.raises(BagError, match=r'notes\.txt is no recording'):
        BagSource(tmp_path / 'notes.txt')


def test_an_mcap_without_its_end_says_how_to_recover_it(write_bag: WriteBag) -> None:
    file = write_bag('mcap', range(100)) / 'bag.mcap'
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(BagError, match='mcap recover'):
        BagSource(file.parent)


def test_messages_that_only_the_write_ahead_log_holds_are_not_lost_in_silence(
        write_bag: WriteBag) -> None:
    file = write_bag('sqlite3', range(100)) / 'bag.db3'
    file.with_name('bag.db3-wal').write_bytes(bytes(4096))
    with pytest.raises(BagError, match='wal_checkpoint'):
        BagSource(file)


def test_every_cut_of_a_file_is_a_bag_error(recorded_file: Path) -> None:
    whole = recorded_file.read_bytes()
    rng = random.Random(1)
    for size in (1, 8, 100, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(40))):
        recorded_file.write_bytes(whole[:size])
        with pytest.raises(BagError):
            _read(recorded_file)


def test_noise_in_a_file_never_raises_anything_but_a_bag_error(recorded_file: Path) -> None:
    whole = recorded_file.read_bytes()
    rng = random.Random(2)
    refused = 0
    for _ in range(150):
        start = rng.randrange(len(whole) - 200)
        noise = rng.randbytes(rng.choice((1, 8, 200)))
        recorded_file.write_bytes(whole[:start] + noise + whole[start + len(noise):])
        try:
            _read(recorded_file.parent)
        except BagError:
            refused += 1
    assert refused > 20


def test_damage_shows_after_what_could_be_read(write_bag: WriteBag) -> None:
    file = write_bag('mcap', range(20_000)) / 'bag.mcap'  # several chunks of 1 MiB
    data = bytearray(file.read_bytes())
    data[2_000_000:2_000_100] = b'\xff' * 100
    file.write_bytes(data)
    read: list[int] = []
    with (BagSource(file.parent) as bag,
          pytest.raises(BagError, match=r'stopped after \d+ messages .*mcap recover')):
        read.extend(message.stamp_ns for message in bag.messages())
    assert len(read) > 5_000
    assert read == list(range(len(read)))


def test_fewer_messages_than_promised_do_not_pass_in_silence(write_bag: WriteBag) -> None:
    folder = write_bag('sqlite3', range(100))
    with closing(sqlite3.connect(folder / 'bag.db3')) as database, database:
        database.execute('DELETE FROM messages WHERE id > 60')
    with (BagSource(folder) as bag,
          pytest.raises(BagError, match=r'after 60 messages \(100 are listed in it\)')):
        list(bag.messages())


@pytest.mark.skipif(not REAL.exists(), reason=f'the real recording {REAL} is not here')
@pytest.mark.parametrize('share', [0.03, 0.5, 0.9999])
def test_a_cut_of_the_real_recording_is_a_bag_error(tmp_path: Path, share: float) -> None:
    cut = tmp_path / 'cut.mcap'
    with REAL.open('rb') as whole:
        cut.write_bytes(whole.read(int(share * REAL.stat().st_size)))
    with pytest.raises(BagError, match=r'ends too early.*mcap recover'):
        _read(cut)
    cut.unlink()
