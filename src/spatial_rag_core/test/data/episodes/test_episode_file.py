from __future__ import annotations

import errno
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

from spatial_rag_core.data.episodes import transaction_file
from spatial_rag_core.data.episodes.episode_check import check
from spatial_rag_core.data.episodes.episode_file import EpisodeReader, EpisodeWriter
from spatial_rag_core.data.episodes.episode_loading import load_episodes
from spatial_rag_core.errors import ConfigurationError, EpisodeError, InputError

import h5py
import numpy as np
import pytest

from ..episode_samples import episode, is_same, make, split_of, whole

WRITER = """
import sys
sys.path.insert(0, sys.argv[2])
from episode_samples import episode, split_of
from spatial_rag_core.data.episodes.episode_file import EpisodeWriter

with EpisodeWriter(sys.argv[1]) as writer:
    for n in range(writer.count, 100_000):
        print(writer.append(episode(n), split_of(n)), flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / 'episodes.h5', 4)


def test_what_was_appended_is_read_back_to_the_bit(path: Path) -> None:
    assert whole(path, 4)
    with EpisodeReader(path) as reader:
        assert reader.names() == ['demo_0', 'demo_1', 'demo_2', 'demo_3']
        assert reader.names('train') == ['demo_0', 'demo_3']
        assert [one.name for one in reader.read_all('valid')] == ['demo_1']
        facts = reader.facts('demo_2')
    assert (facts.length, facts.rate_hz, facts.image_size_px, facts.action_dim, facts.proprio_dim,
            facts.has_depth, facts.map_id, facts.map_seed, facts.robot) == (
                20, 5.0, 8, 2, 3, True, 'map-2', 2, 'robot-0')
    assert (facts.start_sec, facts.end_sec) == tuple(episode(2).stamps[[0, -1]])


def test_appending_goes_on_where_another_writer_ended(path: Path) -> None:
    make_more = EpisodeWriter(path)
    assert make_more.count == 4
    make_more.append(episode(4), split_of(4))
    make_more.close()
    assert whole(path, 5)
    with pytest.raises(EpisodeError, match='was closed'):
        make_more.append(episode(5), 'train')


def test_an_episode_may_lack_what_is_optional(tmp_path: Path) -> None:
    bare = episode(depth_m=None, proprio=None, map_seed=None, map_id='', robot='Käthe')
    with EpisodeWriter(tmp_path / 'bare.h5') as writer:
        writer.append(bare, 'train')
    with EpisodeReader(tmp_path / 'bare.h5') as reader:
        assert is_same(reader.read('demo_0'), bare)


def test_actions_of_a_file_that_does_not_say_where_they_are_from_are_commands(
        path: Path) -> None:
    with h5py.File(path, 'r+') as file:
        del file['data/demo_1'].attrs['actions_from']
    with EpisodeReader(path) as reader:
        assert [one.actions_from for one in reader.read_all()] == [
            'commands', 'commands', 'commands', 'past motion']


def test_depth_is_left_out_where_it_is_not_wanted(path: Path) -> None:
    with EpisodeReader(path) as reader:
        assert reader.read('demo_0', with_depth=False).depth_m is None


def test_the_layout_is_robomimics(path: Path) -> None:
    with h5py.File(path) as file:
        assert file['data'].attrs['total'] == 80
        demo = file['data/demo_1']
        assert demo.attrs['num_samples'] == 20
        assert [name.decode() for name in np.array(file['mask/train'][:])] == ['demo_0', 'demo_3']
        assert demo['obs/rgb'].shape == (20, 8, 8, 3)
        assert demo['obs/depth'].dtype == np.uint16
        paths: list[str] = []
        demo.visititems(lambda name, item: paths.append(name)
                        if isinstance(item, h5py.Dataset) else None)
        assert set(paths) == {'obs/rgb', 'obs/depth', 'obs/proprio', 'actions', 'poses', 'stamps'}
        assert all(demo[name].attrs['unit'] for name in paths)


def test_a_map_is_never_put_into_a_second_split(path: Path) -> None:
    for _ in range(2):  # the second time the file tells it
        with EpisodeWriter(path) as writer, pytest.raises(EpisodeError, match='map map-1 is in '):
            writer.append(episode(7, map_id='map-1'), 'test')
    assert whole(path, 4)
    with EpisodeWriter(path) as writer:
        writer.append(episode(7, map_id='map-1'), 'valid')
        with pytest.raises(ConfigurationError, match="one of train, valid, test, got 'tset'"):
            writer.append(episode(8), 'tset')  # type: ignore[arg-type]


def test_ctrl_c_during_an_append_comes_after_it(path: Path) -> None:
    with EpisodeWriter(path) as writer:
        real = transaction_file.write_durably

        def interrupt(*words: Any) -> None:
            signal.raise_signal(signal.SIGINT)
            real(*words)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(transaction_file, 'write_durably', interrupt)
            with pytest.raises(KeyboardInterrupt):
                writer.append(episode(4), split_of(4))
        assert writer.append(episode(5), split_of(5)) == 'demo_5'
    assert whole(path, 6)


def test_depth_that_16_bits_cannot_say_is_refused_and_nothing_is_written(path: Path) -> None:
    with EpisodeWriter(path) as writer, pytest.raises(InputError, match='depth_m holds 70 m'):
        writer.append(episode(9, depth_m=np.full((20, 8, 8), 70.0)), 'train')
    assert whole(path, 4)


def test_a_file_that_was_made_otherwise_is_not_continued(tmp_path: Path) -> None:
    path = tmp_path / 'episodes.h5'
    EpisodeWriter(path, {'maps': 3}).close()
    EpisodeWriter(path, {'maps': 3}).close()
    with pytest.raises(EpisodeError, match='made otherwise: maps 3 there, 4 asked for'):
        EpisodeWriter(path, {'maps': 4})


def test_one_writes_or_several_read(path: Path) -> None:
    with EpisodeWriter(path):
        for opens in (EpisodeWriter, EpisodeReader):
            with pytest.raises(EpisodeError, match=r'episodes\.h5 is in use'):
                opens(path)
    with EpisodeReader(path), EpisodeReader(path), pytest.raises(EpisodeError, match='in use'):
        EpisodeWriter(path)
    assert whole(path, 4)


def test_a_writer_killed_at_any_moment_leaves_what_it_acknowledged(tmp_path: Path) -> None:
    path, here = tmp_path / 'episodes.h5', Path(__file__).parents[1]
    chance = np.random.default_rng(0)
    acknowledged = 0
    for _ in range(4):
        with subprocess.Popen([sys.executable, '-c', WRITER, str(path), str(here)], text=True,
                              stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            first = writer.stdout.readline()
            assert first.startswith('demo_')
            time.sleep(chance.uniform(0.0, 0.1))  # the moment of the kill is what is tried
            writer.send_signal(signal.SIGKILL)
            acknowledged = int((first + writer.stdout.read()).split()[-1][5:]) + 1
        with EpisodeReader(path) as reader:
            found = len(reader.names())
        assert acknowledged <= found <= acknowledged + 1
        assert whole(path, found)
        assert check(path).is_clean


def test_each_state_of_the_disk_during_an_append_is_before_or_after_it(
        path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    states: list[Path] = []

    def noting(name: str) -> None:
        does = getattr(os, name)

        def note_and_do(*words: object) -> object:
            folder = tmp_path / f'state-{len(states)}'
            folder.mkdir()
            for file in (path, Path(f'{path}.commit')):
                if file.exists():
                    shutil.copy(file, folder)
            states.append(folder / path.name)
            return does(*words)

        monkeypatch.setattr(transaction_file.os, name, note_and_do)

    with EpisodeWriter(path) as writer, monkeypatch.context():
        for name in ('pwrite', 'ftruncate', 'fsync'):
            noting(name)
        writer.append(episode(4), split_of(4))
        monkeypatch.undo()
    counts = []
    for state in states:
        counts.append(len(EpisodeReader(state).names()))
        assert whole(state, counts[-1])
        assert not Path(f'{state}.commit').exists()
    assert counts == sorted(counts)
    assert (counts[0], counts[-1], len(counts) > 10) == (4, 5, True)


@pytest.mark.parametrize('refused_at', [0, 2, 6, 9, 12, 14, 16])
def test_a_full_disk_is_told_and_the_file_stays_whole(
        path: Path, refused_at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    size = path.stat().st_size
    calls = iter(range(1000))
    real = os.pwrite

    def pwrite(descriptor: int, data: bytes, offset: int) -> int:
        if next(calls) >= refused_at:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data, offset)

    with EpisodeWriter(path) as writer:
        monkeypatch.setattr(transaction_file.os, 'pwrite', pwrite)
        with pytest.raises(EpisodeError, match=r'cannot be written: No space left.*; free space'):
            writer.append(episode(4), split_of(4))
        monkeypatch.undo()
        if not Path(f'{path}.commit').exists():
            assert path.stat().st_size == size
        next_one = writer.count
        assert writer.append(episode(next_one), split_of(next_one)) == f'demo_{next_one}'
    assert whole(path, next_one + 1)
    assert check(path).is_clean


def test_what_is_in_the_file_is_not_taken_out_again_where_the_last_step_fails(
        path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = transaction_file._drop_log

    def drop_and_fail(*words: Any) -> None:
        real(*words)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    with EpisodeWriter(path) as writer:
        monkeypatch.setattr(transaction_file, '_drop_log', drop_and_fail)
        with pytest.raises(EpisodeError, match='cannot be written: Input/output error'):
            writer.append(episode(4), split_of(4))
        monkeypatch.undo()
        assert writer.count == 5
    assert whole(path, 5)
    assert check(path).is_clean


@pytest.mark.parametrize('umask', [0o000, 0o022])
def test_nobody_but_its_owner_may_read_a_file_or_enter_the_folder_that_is_made_for_it(
        tmp_path: Path, umask: int) -> None:
    modes: dict[str, int] = {}
    real = transaction_file._apply

    def noting(*words: Any) -> None:  # in the midst of a commit, its log is there, too
        modes.update((each.name, each.stat().st_mode & 0o777) for each in tmp_path.rglob('*'))
        real(*words)

    before = os.umask(umask)
    try:
        with (pytest.MonkeyPatch.context() as patch,
              EpisodeWriter(tmp_path / 'robot' / 'episodes.h5') as writer):
            patch.setattr(transaction_file, '_apply', noting)
            writer.append(episode(0), 'train')
    finally:
        os.umask(before)
    assert modes == {'robot': 0o700, 'episodes.h5': 0o600, 'episodes.h5.commit': 0o600}


def test_a_split_is_loaded_whole_and_its_size_is_told(path: Path) -> None:
    told: list[tuple[int, int]] = []
    loaded = load_episodes(path, 'train', lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)]
    assert [one.name for one in loaded.episodes] == ['demo_0', 'demo_3']
    assert loaded.memory_bytes == sum(one.memory_bytes for one in loaded.episodes) > 0
    assert (loaded.moments, loaded.damaged) == (40, ())
    assert len(load_episodes(path, limit=3).episodes) == 3
    with pytest.raises(ConfigurationError, match='limit must be > 0, got 0'):
        load_episodes(path, limit=0)


def test_a_split_without_episodes_cannot_be_loaded(tmp_path: Path) -> None:
    path = make(tmp_path / 'one.h5', 1)
    with pytest.raises(EpisodeError, match='valid has no whole episode'):
        load_episodes(path, 'valid')
