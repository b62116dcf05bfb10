from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.episode_file import EpisodeWriter
from spatial_rag_core.errors import EpisodeError, TrainingError
from spatial_rag_core.training.training_data import TrainingData

import h5py
import numpy as np
import pytest


def episode(number: int = 0, length: int = 20) -> Episode:
    """Its stamps are 1000 s times its number and on, one a second."""
    poses = np.zeros((length, 7))
    poses[:, 6] = 1.0
    return Episode(f'drive-{number}', np.full((length, 8, 8, 3), number, np.uint8),
                   np.zeros((length, 2), np.float32), poses,
                   1000.0 * number + np.arange(length), 1.0, f'map-{number}',
                   depth_m=np.ones((length, 8, 8), np.float32),
                   proprio=np.zeros((length, 3), np.float32))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / 'rooms.h5'
    with EpisodeWriter(path) as writer:
        for number, split in enumerate(('train', 'train', 'valid', 'test')):
            writer.append(episode(number), split)  # type: ignore[arg-type]
    return path


def stamps(episodes: tuple[Episode, ...]) -> set[float]:
    return {float(stamp) for one in episodes for stamp in one.stamps}


def no_damage(told: str) -> None:
    raise AssertionError(told)


def test_a_file_gives_its_splits_without_depth(file: Path) -> None:
    data = TrainingData.from_file(file, no_damage)
    assert [len(part) for part in (data.train, data.valid, data.test)] == [2, 1, 1]
    assert data.train[1].map_id == 'map-1'
    assert all(one.depth_m is None for one in data.train)
    assert data.remembered == ()
    assert data.facts == {'file': 'rooms.h5', 'actions_from': 'commands', 'train_maps': 2,
                          'valid_maps': 1, 'test_maps': 1, 'train_frames': 40,
                          'valid_frames': 20, 'test_frames': 20}


def damaged(file: Path, *names: str) -> Path:
    with h5py.File(file, 'r+') as content:
        for name in names:
            del content[f'data/{name}/actions']
    return file


def test_a_damaged_episode_is_named_and_passed_over(file: Path) -> None:
    told: list[str] = []
    data = TrainingData.from_file(damaged(file, 'demo_0'), told.append)
    assert len(data.train) == 1
    assert len(told) == 1
    assert 'demo_0 is passed over: ' in told[0]


@pytest.mark.parametrize(('names', 'split'), [
    (('demo_0', 'demo_1'), 'train'), (('demo_2',), 'valid'), (('demo_3',), 'test')])
def test_a_split_with_nothing_whole_is_not_taken_for_an_empty_one(
        names: tuple[str, ...], split: str, file: Path) -> None:
    with pytest.raises(EpisodeError, match=f'{split} has no whole episode'):
        TrainingData.from_file(damaged(file, *names), lambda told: None)


def test_without_validation_the_remedy_is_told(tmp_path: Path) -> None:
    with EpisodeWriter(tmp_path / 'rooms.h5') as writer:
        writer.append(episode(), 'train')
    with pytest.raises(TrainingError, match='no episodes for validation; generate with --valid-'):
        TrainingData.from_file(tmp_path / 'rooms.h5', no_damage)


def test_without_tests_there_are_none(tmp_path: Path) -> None:
    with EpisodeWriter(tmp_path / 'rooms.h5') as writer:
        writer.append(episode(0), 'train')
        writer.append(episode(1), 'valid')
    assert TrainingData.from_file(tmp_path / 'rooms.h5', no_damage).test == ()


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(EpisodeError):
        TrainingData.from_file(tmp_path / 'rooms.h5', no_damage)


@pytest.mark.parametrize('count', [1, 2, 3, 4, 7])
def test_validation_is_the_last_quarter_and_never_what_is_learned_from(count: int) -> None:
    drives = [episode(number) for number in range(count)]
    data = TrainingData.from_recordings(drives)
    train, valid = stamps(data.train), stamps(data.valid)
    assert not train & valid
    assert train | valid == stamps(tuple(drives))
    assert len(valid) / len(train | valid) == pytest.approx(0.25, abs=0.06)
    if count < 4:
        assert {one.map_id for one in data.valid} == {one.map_id for one in data.train}
    assert data.remembered == data.train
    assert data.shown == tuple(drives)
    assert data.facts == {'actions_from': 'commands', 'train_frames': len(train),
                          'valid_frames': len(valid)}


def test_the_facts_say_which_kind_of_actions_was_learned_from() -> None:
    past = replace(episode(), actions_from='past motion')
    assert TrainingData.from_recordings([past]).facts['actions_from'] == 'past motion'


def test_a_last_piece_of_a_moment_or_two_is_not_all_of_the_validation() -> None:
    drives = [*(episode(number) for number in range(4)), episode(4, length=2)]
    data = TrainingData.from_recordings(drives)
    assert [len(one) for one in data.valid] == [20, 2]


@pytest.mark.parametrize('lengths', [
    (10, 10, 10, 1000), (1000, 10, 10, 10), (5, 500, 5, 500), (100, 100, 100, 200)])
def test_of_pieces_that_differ_much_validation_is_a_quarter_or_nearly(
        lengths: tuple[int, ...]) -> None:
    drives = [episode(number, length) for number, length in enumerate(lengths)]
    data = TrainingData.from_recordings(drives)
    train, valid = stamps(data.train), stamps(data.valid)
    assert not train & valid
    assert train | valid == stamps(tuple(drives))
    assert max(train) < min(valid)
    assert len(valid) / len(train | valid) == pytest.approx(0.25, abs=0.1)


def test_validation_is_the_last_in_time_in_whatever_order_recordings_are_named() -> None:
    drives = [episode(number) for number in (3, 0, 2, 1)]
    data = TrainingData.from_recordings(drives)
    assert [one.name for one in data.valid] == ['drive-3']


def test_drives_with_commands_and_without_are_no_one_training() -> None:
    with pytest.raises(TrainingError, match='of some drives are commands, of others past motion; '
                                            r'collect all of them anew, .* --actions motion, and '
                                            'train with --data'):
        TrainingData((episode(0),), (replace(episode(1), actions_from='past motion'),))


def test_a_slice_is_the_rows_of_its_recording() -> None:
    one = episode(3)
    (valid,) = TrainingData.from_recordings([one]).valid
    assert valid.name == 'drive-3[15:20]'
    for name in ('rgb', 'actions', 'poses', 'stamps', 'depth_m', 'proprio'):
        np.testing.assert_array_equal(getattr(valid, name), getattr(one, name)[15:])
    assert (valid.map_id, valid.rate_hz) == (one.map_id, one.rate_hz)


def test_what_is_left_out_is_in_no_part_and_no_piece_leaps_over_it() -> None:
    drives = [episode(0), episode(1)]
    data = TrainingData.from_recordings(
        drives, [(one.stamps % 1000 < 8) | (one.stamps % 1000 >= 12) for one in drives],
        bags=['a'])
    pieces = (*data.train, *data.valid)
    assert stamps(pieces) == {1000.0 * drive + second for drive in (0, 1)
                              for second in (*range(8), *range(12, 20))}
    assert stamps(data.shown) == stamps(pieces)
    assert all((np.diff(one.stamps) == 1.0).all() for one in pieces)
    assert data.facts['bags'] == ['a']


def test_a_single_moment_is_no_piece() -> None:
    at = episode().stamps
    data = TrainingData.from_recordings([episode()], [(at != 1.0) & (at != 5.0)])
    assert 0.0 not in stamps((*data.train, *data.valid))


@pytest.mark.parametrize('drives', [[], [episode(length=1)], [episode(length=2)]])
def test_too_little_to_learn_from_is_told(drives: list[Episode]) -> None:
    with pytest.raises(TrainingError, match='nothing to learn from; record longer, or leave out'):
        TrainingData.from_recordings(drives)


def test_recordings_of_which_all_is_left_out_are_told() -> None:
    with pytest.raises(TrainingError, match='nothing to learn from'):
        TrainingData.from_recordings([episode()], [np.zeros(20, bool)])
