from __future__ import annotations

from collections.abc import Callable
import json
import math
from pathlib import Path
import shutil
from types import SimpleNamespace
from typing import Any

from spatial_rag_core import cli
from spatial_rag_core.errors import ConfigurationError, InputError
from spatial_rag_core.evaluation.block_bootstrap import block_mean, block_ratio
from spatial_rag_core.evaluation.image_folders import PictureSet
from spatial_rag_core.evaluation.place_trial import PlaceTrial
from spatial_rag_core.evaluation.places import (
    Answers,
    first_right,
    order_by_grey,
    order_by_latent,
    PlaceTolerance,
)
from spatial_rag_core.evaluation.time_split import TimeSplit
from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.untrained import create_untrained_bundle, untrained_model
from spatial_rag_core.settings import Settings

import cv2
import numpy as np
from numpy.typing import NDArray
import pytest

REAL = Path(__file__).parents[5] / 'shared/data/redkitchen_a'
Poses = NDArray[np.float64]


def poses(x: list[float], yaw_deg: list[float] | None = None) -> Poses:
    """Poses along the x axis [m]."""
    half = np.radians(yaw_deg or [0.0] * len(x)) / 2
    zero = np.zeros(len(x))
    return np.stack([np.array(x), zero, zero, zero, zero, np.sin(half), np.cos(half)], axis=1)


def scene(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """Pictures of coarse random patches."""
    coarse = np.random.default_rng(seed).integers(0, 255, (count, 6, 8, 3)).astype(np.uint8)
    return np.stack([cv2.resize(one, (64, 64)) for one in coarse])


class Bundle:
    """Takes for a latent whatever a function makes of a picture."""

    def __init__(self, latent: Callable[[Any], Any]) -> None:
        self._latent = latent
        self.metadata: Any = SimpleNamespace(trained=False, training={})

    def encode_images(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.array([self._latent(one) for one in rgb], np.float32)


MEAN_COLOUR: Any = Bundle(lambda rgb: rgb.reshape(-1, 3).mean(axis=0))
BLIND: Any = Bundle(lambda rgb: [0.0])


def test_an_answer_is_right_within_both_radius_and_angle() -> None:
    near = PlaceTolerance(0.25, 20.0)
    right = near.right(poses([0.0]), poses([0.2, 0.3, 0.2, 0.2, -0.2], [0, 0, 19, 21, -19]))
    assert right.tolist() == [[True, False, True, False, True]]


def test_a_quaternion_and_its_negative_are_the_same_rotation() -> None:
    here = poses([0.0], [170.0])
    there = poses([0.0], [-180.0])
    there[:, 3:] *= -1
    assert PlaceTolerance(0.25, 11.0).right(here, there).all()
    assert not PlaceTolerance(0.25, 9.0).right(here, there).any()


@pytest.mark.parametrize(('radius', 'angle', 'words'), [
    (0.0, 20.0, 'radius_m must be > 0 m, got 0.0'), (math.nan, 20.0, 'radius_m'),
    (0.25, 0.0, r'angle_deg must lie in \(0, 180\] deg, got 0.0'), (0.25, 181.0, 'angle_deg')])
def test_a_tolerance_out_of_range_is_refused(radius: float, angle: float, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        PlaceTolerance(radius, angle)


def test_the_first_right_answer_counts_and_ten_stands_for_none() -> None:
    right = np.array([[True, False, True], [False, False, False], [False, False, True]])
    order = np.array([[1, 2, 0], [0, 1, 2], [2, 0, 1]])
    assert first_right(order, right).tolist() == [1, 10, 0]


@pytest.mark.parametrize('metric', ['l2', 'cosine'])
def test_the_index_ranks_as_brute_force_does(metric: Any) -> None:
    chance = np.random.default_rng(1)
    map_z = chance.normal(size=(200, 8)).astype(np.float32)
    query_z = chance.normal(size=(30, 8)).astype(np.float32)
    if metric == 'l2':
        distance = ((query_z[:, None] - map_z[None]) ** 2).sum(axis=2)
    else:
        unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (query_z, map_z)]
        distance = -unit[0] @ unit[1].T
    expected = np.argsort(distance, axis=1)[:, :10]
    assert np.array_equal(order_by_latent(map_z, query_z, metric), expected)


def test_a_map_of_fewer_frames_than_ten_is_ranked_in_full() -> None:
    z = np.eye(3, dtype=np.float32)
    assert order_by_latent(z, z)[:, 0].tolist() == [0, 1, 2]
    assert order_by_latent(z, z).shape == order_by_grey(scene(3), scene(3)).shape == (3, 3)


def test_grey_pictures_find_themselves_whatever_the_exposure_where_centred() -> None:
    rgb = scene(40)
    dim = (rgb * 0.4 + 90).astype(np.uint8)
    assert order_by_grey(rgb, rgb)[:, 0].tolist() == list(range(40))
    assert order_by_grey(rgb, dim, centred=True)[:, 0].tolist() == list(range(40))


def test_queries_without_a_right_answer_are_counted_apart() -> None:
    right = np.array([[True, False], [False, False], [True, True]])
    answers = Answers.of({'latent': np.array([[0, 1], [0, 1], [1, 0]])}, right, np.arange(3))
    assert answers.without_answer == 1
    assert answers.ranks['latent'].tolist() == [0, 0]
    assert answers.chance.tolist() == [0.5, 1.0]
    assert answers.blocks.tolist() == [0, 2]


def test_intervals_of_equal_neighbours_are_as_wide_as_those_of_one_of_each() -> None:
    chance = np.random.default_rng(2)
    values = (chance.random(40) < 0.5).astype(float)
    once = block_mean(values, np.arange(40))
    often = block_mean(np.repeat(values, 25), np.repeat(np.arange(40), 25))
    assert (often.low, often.high) == pytest.approx((once.low, once.high))
    alone = block_mean(np.repeat(values, 25), np.arange(1000))
    assert alone.high - alone.low < 0.4 * (often.high - often.low)
    assert once.low < values.mean() < once.high


def test_two_blocks_tell_a_mean_but_no_interval() -> None:
    found = block_mean(np.array([0.0, 1.0, 1.0]), np.array([0, 0, 1]))
    assert found.estimate == pytest.approx(2 / 3)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_ratio_weighs_windows_by_their_scale() -> None:
    found = block_ratio(np.array([1.0, 9.0]), np.array([2.0, 18.0]), np.arange(2))
    assert found.estimate == 0.5
    assert math.isnan(block_ratio(np.zeros(2), np.zeros(2), np.arange(2)).estimate)


def walk(path: str, rgb: NDArray[np.uint8], x: list[float]) -> PictureSet:
    return PictureSet(Path(path), rgb, np.arange(len(x)) / 10.0, poses(x))


def trial_of(places: PictureSet, queries: PictureSet,
             folds: tuple[TimeSplit | None, ...] = (None,)) -> PlaceTrial:
    assert places.poses is not None
    assert queries.poses is not None
    return PlaceTrial(places, queries, PlaceTolerance().right(queries.poses, places.poses), folds)


def test_a_latent_that_knows_the_place_finds_it_and_a_blind_one_does_not() -> None:
    rgb, x = scene(30), [0.5 * n for n in range(30)]
    places, queries = walk('a', rgb, x), walk('b', rgb[::-1].copy(), x[::-1])
    seeing = trial_of(places, queries).run([MEAN_COLOUR])
    assert not seeing.ranks['latent'].any()
    assert not seeing.ranks['grey'].any()
    blind = trial_of(places, queries).run([BLIND])
    assert (blind.ranks['latent'] == 0).mean() < 0.1


def test_a_stretch_left_out_is_not_in_its_own_map() -> None:
    """Every picture is its own only likeness; so none is found once it is left out."""
    rgb = scene(170)
    tour = walk('a', rgb, [0.0] * 170)
    split = TimeSplit()
    trial = trial_of(tour, tour, split.folds())
    asked = np.concatenate([trial._parts(fold)[1] for fold in split.folds()])
    assert sorted(asked.tolist()) == list(range(170))
    exactly = PlaceTrial(tour, tour, np.eye(170, dtype=bool), split.folds())
    with pytest.raises(InputError, match='no query has a right answer'):
        exactly.run([MEAN_COLOUR])


def test_each_fold_may_have_a_bundle_of_its_own() -> None:
    tour = walk('a', scene(80), [0.0] * 80)
    folds = TimeSplit().folds()
    answers = trial_of(tour, tour, folds).run([MEAN_COLOUR, BLIND, BLIND, BLIND])
    assert len(answers.chance) == 80
    with pytest.raises(ConfigurationError, match='names 2 files, expected 1, or 4'):
        trial_of(tour, tour, folds).run([BLIND, BLIND])


def test_a_recording_is_not_asked_about_itself_and_two_are_not_divided() -> None:
    tour, other = walk('a', scene(9), [0.0] * 9), walk('b', scene(9), [0.0] * 9)
    with pytest.raises(ConfigurationError, match='each picture would find itself'):
        trial_of(tour, tour)
    with pytest.raises(ConfigurationError, match='divides one recording'):
        trial_of(tour, other, TimeSplit().folds())


@pytest.fixture(scope='module')
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('bundle') / 'untrained.pt'
    create_untrained_bundle(path, Settings())
    return path


@pytest.fixture
def tour(tmp_path: Path) -> Path:
    """A folder of 60 pictures with a pose list, there and back along 3 m in 6 s."""
    folder = tmp_path / 'tour'
    folder.mkdir()
    lines = ['image,stamp,x,y,z,qx,qy,qz,qw']
    for number, rgb in enumerate([*scene(30), *scene(30)[::-1]]):
        cv2.imwrite(str(folder / f'{number:02}.png'), rgb)
        x = 0.1 * (number if number < 30 else 59 - number)
        lines.append(f'{number:02}.png,{100 + number / 10},{x},0,0,0,0,0,1')
    (folder / 'poses.csv').write_text('\n'.join(lines))
    return folder


def evaluated(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(['evaluate', 'places', *map(str, words), '--json']) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def test_the_command_tells_figures_of_all_methods(
        tour: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = evaluated(capsys, '--map', tour, '--query', tour, '--bundle', bundle_path,
                       '--leave-out-sec', 1, '--guard-sec', 0.2, '--radius-m', 0.05)
    assert values['with_answer'] + values['without_answer'] == 60
    assert values['split']['fold'] == [0, 1, 2, 3]
    assert values['unseen_in_training'] is True
    assert set(values['recall']) == {'latent', 'grey', 'grey_centred'}
    for recalls in values['recall'].values():
        shares = [recalls[k]['estimate'] for k in ('1', '5', '10')]
        assert shares == sorted(shares)
    assert values['recall']['grey']['1']['estimate'] == 1.0  # the way back shows the same


def test_the_table_says_the_same_for_people(
        tour: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ('evaluate', 'places', '--map', tour, '--query', tour, '--bundle', bundle_path,
             '--leave-out-sec', 1, '--fold', 2)
    assert cli.main([str(word) for word in words]) == 0
    text = capsys.readouterr().out
    assert 'recall@1 [%]' in text
    assert 'within 0.25 m and 20 deg' in text
    assert '32x24 grey (cosine)' in text
    assert 'the model is not trained' in text
    assert 'no intervals: 1 block of neighbouring frames, it takes 5' in text
    assert 'in brackets' not in text


@pytest.mark.parametrize(('learned', 'note'), [
    ('tour', 'the model was trained on this recording'),
    ('map', 'the model does not say whether it saw these pictures in training; '
            'it was trained on the map\n')])
def test_a_model_that_learned_from_the_query_or_from_the_map_is_told(
        learned: str, note: str, tour: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(tour, tmp_path / 'map')
    save_bundle(untrained_model(Settings()), tmp_path / 'model.pt', trained=True,
                training={'data': {'recordings': [learned], 'recorded_sec': [[100.0, 105.9]]}})
    assert cli.main(['evaluate', 'places', '--map', str(tmp_path / 'map'), '--query', str(tour),
                     '--bundle', str(tmp_path / 'model.pt')]) == 0
    assert note in capsys.readouterr().out


def test_two_folders_are_judged_by_a_list_of_matches(
        tour: Path, bundle_path: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    query = tmp_path / 'query'
    query.mkdir()
    for number in (3, 7):
        (query / f'q{number}.png').write_bytes((tour / f'{number:02}.png').read_bytes())
    (tmp_path / 'matches.csv').write_text('q3.png,03.png\nq7.png,08.png\n')
    values = evaluated(capsys, '--map', tour, '--query', query, '--bundle', bundle_path,
                       '--matches', tmp_path / 'matches.csv')
    assert (values['with_answer'], values['without_answer']) == (2, 0)
    assert values['recall']['latent']['1']['estimate'] == 0.5
    assert values['radius_m'] is None


def test_pictures_without_poses_ask_for_a_list(
        tour: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tour / 'poses.csv').unlink()
    words = ('evaluate', 'places', '--map', tour, '--query', tour, '--bundle', bundle_path)
    assert cli.main([str(word) for word in words]) == 1
    assert '--matches CSV, or a poses.csv' in capsys.readouterr().err


@pytest.mark.skipif(not REAL.exists(), reason=f'the real recording {REAL} is not here')
def test_the_real_recording_has_right_answers_a_second_away(
        bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = evaluated(capsys, '--map', REAL, '--query', REAL, '--bundle', bundle_path,
                       '--leave-out-sec', 1, '--axes', 'optical')
    assert values['with_answer'] > 300
    assert 0.5 < values['recall']['grey']['1']['estimate'] < 0.75
    assert values['chance_at_1'] < 0.1
