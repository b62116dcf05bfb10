from __future__ import annotations

import os
from pathlib import Path

from spatial_rag_core.data.episodes.episode import Damage
from spatial_rag_core.data.episodes.episode_check import check
from spatial_rag_core.data.episodes.episode_file import EpisodeReader, EpisodeWriter
from spatial_rag_core.data.episodes.episode_loading import load_episodes
from spatial_rag_core.errors import EpisodeError

import h5py
import numpy as np
import pytest

from ..episode_samples import make, whole


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / 'episodes.h5', 4)


def test_a_file_that_cannot_be_is_told(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError, match=r'cannot be written: .*; free space'):
        EpisodeWriter('/dev/null/episodes.h5')
    with pytest.raises(EpisodeError, match='no such file of episodes; make one: spatial-rag data'):
        EpisodeReader(tmp_path / 'none.h5')
    with pytest.raises(EpisodeError, match=r'is damaged|cannot be read|is no HDF5'):
        EpisodeReader(tmp_path)


@pytest.mark.parametrize('share', [0.0, 0.01, 0.3, 0.7, 0.99])
def test_a_file_cut_short_is_told(path: Path, share: float) -> None:
    os.truncate(path, int(share * path.stat().st_size))
    for opens in (EpisodeReader, EpisodeWriter):
        with pytest.raises(EpisodeError, match=r'is cut short|is no HDF5 file|is damaged'):
            opens(path)
    assert not check(path).is_clean


def test_a_file_of_something_else_is_told(tmp_path: Path) -> None:
    text, other = tmp_path / 'text.h5', tmp_path / 'other.h5'
    text.write_text('no HDF5 at all' * 100)
    with pytest.raises(EpisodeError, match=r'text\.h5 is no HDF5 file'):
        EpisodeReader(text)
    h5py.File(other, 'w').close()
    with pytest.raises(EpisodeError, match=r'other\.h5 is no file of episodes'):
        EpisodeReader(other)


def test_another_format_version_is_not_guessed_at(path: Path) -> None:
    with h5py.File(path, 'r+') as file:
        file['data'].attrs['format_version'] = 2
    for opens in (EpisodeReader, EpisodeWriter):
        with pytest.raises(EpisodeError, match='has format_version 2, this software reads 1'):
            opens(path)


def spoil(path: Path, how: str) -> None:
    with h5py.File(path, 'r+') as file:
        demo = file['data/demo_1']
        if how == 'NaN':
            demo['poses'][7, 2] = np.nan
        elif how == 'lengths':
            demo.attrs['num_samples'] = 19
        elif how == 'missing':
            del demo['obs/rgb']
        elif how == 'type':
            del demo['poses']
            demo['poses'] = np.zeros((20, 7), np.int8)
        elif how == 'no attribute':
            del demo.attrs['rate_hz']
        elif how == 'no group':
            del file['data/demo_1']
            file['data/demo_1'] = np.zeros(3)


@pytest.mark.parametrize(('how', 'message'), [
    ('NaN', 'poses is not finite at moment 7'), ('lengths', r'shape \[20, 8, 8, 3\], num_samp'),
    ('missing', 'obs/rgb is missing'), ('type', 'poses is int8, expected float64'),
    ('no attribute', 'is damaged .*rate_hz'), ('no group', 'is damaged')])
def test_a_damaged_episode_is_named_and_passed_over(path: Path, how: str, message: str) -> None:
    spoil(path, how)
    told: list[Damage] = []
    with EpisodeReader(path) as reader:
        with pytest.raises(EpisodeError, match=f'demo_1.*{message}'):
            reader.read('demo_1')
        found = list(reader.read_all(on_damage=told.append))
    assert [one.name for one in found] == ['demo_0', 'demo_2', 'demo_3']
    assert [damage.name for damage in told] == ['demo_1']
    assert 'demo_1' in told[0].reason
    assert [damage.name for damage in load_episodes(path).damaged] == ['demo_1']
    assert any('demo_1' in problem for problem in check(path).problems)


def test_damage_that_nobody_asked_for_goes_to_the_log(
        path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spoil(path, 'NaN')
    with EpisodeReader(path) as reader:
        assert len(list(reader.read_all())) == 3
    assert 'demo_1' in caplog.text


def test_a_changed_byte_is_told_or_changes_nothing(path: Path) -> None:
    content = path.read_bytes()
    chance = np.random.default_rng(0)
    told = 0
    for at in chance.integers(0, len(content), 150).tolist():
        spoilt = bytearray(content)
        spoilt[at] ^= 1 << int(chance.integers(8))
        path.write_bytes(spoilt)
        if check(path).is_clean:
            assert whole(path, 4), f'byte {at}'
        else:
            told += 1
    assert told > 100


def test_check_finds_what_is_wrong_with_the_splits(path: Path) -> None:
    with h5py.File(path, 'r+') as file:
        names = file['mask/test']
        names.resize(3, axis=0)
        names[1:] = [b'demo_3', b'demo_9']
        file['mask/valid'].resize(0, axis=0)
        file['data'].attrs['total'] = 81
    assert set(check(path).problems) == {
        'demo_1 is in no split; nothing will be trained or judged with it',
        'demo_3 is in train and test; take it out of one',
        'map map-3 is in train and test; a test on it is none',
        'demo_9 is in a split, but not in the file',
        'the episodes have 80 moments, /data says 81'}
