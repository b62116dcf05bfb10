from __future__ import annotations

from dataclasses import replace
import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from spatial_rag_core import cli
from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.episode_file import EpisodeWriter
from spatial_rag_core.errors import InputError
from spatial_rag_core.evaluation.block_bootstrap import block_mean
from spatial_rag_core.evaluation.earlier_memories import EarlierMemories, pose_of, Seen
from spatial_rag_core.evaluation.image_folders import PictureSet
from spatial_rag_core.evaluation.predict_recording import block_sec_of, foresee, Foresight
from spatial_rag_core.evaluation.recordings import episode_of, grouped
from spatial_rag_core.evaluation.time_split import TimeSplit
from spatial_rag_core.evaluation.tracks import Track
from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.untrained import create_untrained_bundle, untrained_model
from spatial_rag_core.settings import Settings
from spatial_rag_core.training.map_memory import FenceConfig

import cv2
from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

REAL = Path(__file__).parents[5] / 'shared/data/redkitchen_a'
RATE_HZ = 10.0
FENCE = FenceConfig(5.0)


def poses_at(x: NDArray[np.float64]) -> NDArray[np.float64]:
    poses = np.zeros((len(x), 7))
    poses[:, 0], poses[:, 6] = x, 1.0
    return poses


def episode(count: int, first_sec: float = 1000.0, name: str = 'demo_0', source: str = 'tour',
            side: int = 8) -> Episode:
    """A robot that drives to and fro at 0.5 m/s; frame n is of brightness n."""
    moved = 0.5 * np.where(np.arange(count) % 80 < 40, 1.0, -1.0)
    x = np.concatenate([[0.0], np.cumsum(moved[:-1]) / RATE_HZ])
    rgb = np.broadcast_to(np.arange(count)[:, None, None, None] % 256, (count, side, side, 3))
    return Episode(name, rgb.astype(np.uint8), np.stack([moved, 0 * moved], axis=1), poses_at(x),
                   first_sec + np.arange(count) / RATE_HZ, RATE_HZ, source=source)


class Bundle:
    """A model that is told what it should imagine, and notes what it was given."""

    model_id = 'told'

    def __init__(self, imagine: Any) -> None:
        self._imagine = imagine
        self.metadata: Any = SimpleNamespace(step_sec=0.2, history=3, trained=False, training={})
        self.given: list[SimpleNamespace] = []

    def encode_images(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The number of the frame."""
        return np.asarray(rgb[:, 0, 0, :1], np.float32)

    def decode_image(self, z: NDArray[np.float32]) -> NDArray[np.uint8]:
        return np.full((8, 8, 3), np.clip(np.round(z[0]), 0, 255), np.uint8)

    def rollout(self, z: Any, actions: Any, bank: Any, history: Any) -> Any:
        self.given.append(SimpleNamespace(z=z, actions=actions, bank=bank, history=history))
        return SimpleNamespace(z=self._imagine(z, actions, bank)[None])


def copies(z: Any, actions: Any, bank: Any) -> Any:
    return np.repeat(z[None], actions.shape[1], axis=0)


def counts_on(z: Any, actions: Any, bank: Any) -> Any:
    """Two frames a step: the truth."""
    return z[None] + 2.0 * np.arange(1, actions.shape[1] + 1)[:, None]


def foreseen(bundle: Bundle, *recordings: list[Episode], **options: Any) -> Foresight:
    return foresee(bundle, recordings, options.pop('fence', FENCE), **options)  # type: ignore[arg-type]


def test_copying_the_last_frame_is_worth_one_and_the_truth_nothing() -> None:
    copied = foreseen(Bundle(copies), [episode(120)])
    assert np.array_equal(copied.latent['without_memory'], copied.latent['copy_last'])
    assert np.array_equal(copied.picture['without_memory'], copied.picture['copy_last'])
    true = foreseen(Bundle(counts_on), [episode(120)])
    assert not true.latent['without_memory'].any()
    assert not true.picture['without_memory'].any()
    assert true.latent['copy_last'][0].tolist() == [4.0, 100.0, 900.0]


def test_no_prediction_is_given_its_own_moment_its_future_or_the_last_seconds() -> None:
    bundle = Bundle(copies)
    found = foreseen(bundle, [episode(200)])
    banks = [(float(one.z[0]), one.bank) for one in bundle.given if one.bank is not None]
    assert len(banks) == (found.memories > 0).sum() > 100
    newest = [bank.z.max() for _, bank in banks]
    for (frame, _), seen in zip(banks, newest, strict=True):
        assert seen <= frame - 5.0 * RATE_HZ
    assert max(frame - 5.0 * RATE_HZ - seen for (frame, _), seen in
               zip(banks, newest, strict=True)) < 2.0  # and all that is old enough


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 20.0), st.floats(0.0, 40.0))
def test_what_is_remembered_is_what_brute_force_says(seed: int, age: float,
                                                     asked: float) -> None:
    chance = np.random.default_rng(seed)
    count = 60
    seen = Seen(np.arange(count, dtype=np.float32)[:, None],
                poses_at(chance.uniform(-9, 9, count)), np.zeros((count, 2), np.float32),
                chance.permutation(count) * 0.7)
    fence = FenceConfig(age, 4.0)
    with EarlierMemories(seen, 'some-model', fence) as memories:
        found = {float(one.vector[0]) for one in memories.at(asked, pose_of(poses_at(
            np.zeros(1))[0]))}
    expected = (seen.stamps <= asked - age) & (np.abs(seen.poses[:, 0]) <= 4.0)
    assert found == set(np.flatnonzero(expected).tolist())


def test_memories_are_of_the_same_recording_and_of_no_other() -> None:
    bundle = Bundle(copies)
    first, later = episode(100), episode(100, 2000.0, 'demo_1')
    assert (foreseen(bundle, [first], [later]).memories > 0).sum() == 40
    assert (foreseen(bundle, [first, later]).memories > 0).sum() == 20 + 70


def test_a_memory_carries_the_action_that_led_to_it() -> None:
    seen = Track.of(episode(60), Bundle(copies)).seen()  # type: ignore[arg-type]
    assert np.isnan(seen.actions[0]).all()
    assert seen.actions[1:20, 0].tolist() == [0.5] * 19
    assert seen.actions[-1, 0] == -0.5
    assert seen.stamps.tolist() == (1000.0 + np.arange(30) * 0.2).tolist()


def test_where_no_commands_were_recorded_no_first_step_is_told_where_the_robot_will_go() -> None:
    moved = np.where(np.arange(60) < 30, 0.5, -0.5)
    tour = replace(episode(60), actions=np.stack([moved, 0 * moved], axis=1),
                   actions_from='past motion')
    bundle = Bundle(copies)
    foreseen(bundle, [tour])
    given = {float(one.z[0]): one for one in bundle.given}
    assert given[29.0].actions[0, :2, 0].tolist() == [0.5, -0.5]
    seen = Track.of(tour, bundle).seen()  # type: ignore[arg-type]
    assert seen.actions[14:17, 0].tolist() == [0.5, 0.0, -0.5]


def test_a_model_is_given_its_past_and_the_actions_of_its_steps() -> None:
    bundle = Bundle(copies)
    foreseen(bundle, [episode(60)])
    given = {float(one.z[0]): one for one in bundle.given}
    assert given[20.0].history.z[:, 0].tolist() == [14.0, 16.0, 18.0]
    assert given[3.0].history.z[:, 0].tolist() == [1.0]
    assert given[20.0].actions.shape == (1, 15, 2)
    assert given[20.0].actions[0, :, 0].tolist() == [0.5] * 10 + [-0.5] * 5


@pytest.mark.parametrize(('step_sec', 'block_sec'), [(0.05, 10.0), (0.2, 10.0), (1.0, 45.0)])
def test_a_block_is_ten_seconds_and_at_least_three_predictions(step_sec: float,
                                                               block_sec: float) -> None:
    assert block_sec_of(step_sec) == block_sec


def test_windows_of_one_block_began_within_it_in_one_recording() -> None:
    found = foreseen(Bundle(copies), [episode(280)], [episode(120)])
    assert np.bincount(found.blocks).tolist() == [100, 100, 50, 90]


def alike(rng: np.random.Generator, seconds: int) -> NDArray[np.float64]:
    """Errors of windows at 5 Hz, each a mean over 3 s of what stays alike for 3 s; mean 1."""
    keep = math.exp(-1 / 15)
    noise = rng.normal(size=5 * seconds + 15) * math.sqrt(1 - keep ** 2)
    for number in range(1, len(noise)):
        noise[number] += keep * noise[number - 1]
    return 1.0 + 0.2 * np.convolve(noise, np.full(15, 1 / 15), 'valid')[:5 * seconds]


def test_intervals_hold_the_truth_more_often_than_those_of_blocks_as_long_as_a_prediction(
        ) -> None:
    rng, held = np.random.default_rng(0), {3.0: 0, block_sec_of(0.2): 0}
    for errors in (alike(rng, 300) for _ in range(100)):
        for block_sec in held:
            blocks = (np.arange(1500) / 5 // block_sec).astype(np.int64)
            found = block_mean(errors, blocks)
            held[block_sec] += found.low <= 1.0 <= found.high
    assert held[10.0] >= 80 > held[3.0]


def test_with_a_split_every_frame_of_a_window_is_asked_about() -> None:
    bundle = Bundle(copies)
    split = TimeSplit(4.0, 0.5, 8.0, 1)
    foreseen(bundle, [episode(200)], split=split)
    starts = sorted({float(one.z[0]) for one in bundle.given})
    assert starts == [*range(40, 50), *range(120, 130)]


def test_a_gap_in_a_recording_does_not_move_what_is_asked_about() -> None:
    split, whole, pieces = TimeSplit(4.0, 0.5, 8.0, 1), Bundle(copies), Bundle(copies)
    drive = episode(200)
    foreseen(whole, [drive], split=split)
    foreseen(pieces, [drive.part(0, 25), drive.part(27, 200)], split=split)
    whole_z, pieces_z = ([one.z[0] for one in each.given] for each in (whole, pieces))
    assert sorted(map(float, pieces_z)) == sorted(map(float, whole_z))


def test_a_recording_that_is_too_short_is_refused() -> None:
    with pytest.raises(InputError, match='no stretch of 3 s to predict'):
        foreseen(Bundle(copies), [episode(30)])
    assert len(foreseen(Bundle(copies), [episode(31)]).blocks) == 1


def test_windows_are_thinned_evenly() -> None:
    bundle = Bundle(copies)
    found = foreseen(bundle, [episode(130)], max_windows=30)
    assert len(found.blocks) == 25
    assert sorted({float(one.z[0]) for one in bundle.given}) == list(range(0, 100, 4))


def test_only_episodes_that_follow_each_other_share_a_memory() -> None:
    one, later = episode(40, 1000.0, 'a'), episode(40, 1010.0, 'b')
    other = episode(40, 1000.0, 'c', source='other')
    nameless = [episode(40, t, f'n{t}', source='') for t in (0.0, 90.0)]
    groups = [[part.name for part in group] for group in grouped(
        [later, other, *nameless, one])]
    assert sorted(groups) == [['a', 'b'], ['c'], ['n0.0'], ['n90.0']]
    overlapping = grouped([one, episode(40, 1001.0, 'd')])
    assert [len(group) for group in overlapping] == [1, 1]


def test_the_actions_of_a_folder_are_its_past_motion() -> None:
    tour = episode(50)
    made = episode_of(PictureSet(Path('a'), tour.rgb, tour.stamps, tour.poses), 2)
    assert made.rate_hz == pytest.approx(RATE_HZ)
    assert made.actions_from == 'past motion'
    assert made.actions[1:49] == pytest.approx(tour.actions[:48], abs=1e-4)
    assert not made.actions[0].any()


def test_a_folder_that_does_not_say_when_and_where_is_refused() -> None:
    with pytest.raises(InputError, match=r'put a poses.csv beside them'):
        episode_of(PictureSet(Path('a'), episode(9).rgb), 2)


@pytest.fixture(scope='module')
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('bundle') / 'untrained.pt'
    create_untrained_bundle(path, Settings())
    return path


def predicted(capsys: pytest.CaptureFixture[str], *words: object) -> dict[str, Any]:
    capsys.readouterr()
    assert cli.main(['evaluate', 'predict', *map(str, words), '--json']) == 0
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return values


def test_the_command_reads_files_of_episodes(
        tmp_path: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EpisodeWriter(tmp_path / 'e.h5') as writer:
        writer.append(episode(100, side=64), 'test')
    values = predicted(capsys, tmp_path / 'e.h5', '--bundle', bundle_path)
    assert values['windows'] == {'all': 70, 'with_memories': 20}
    assert list(values['latent']['all']) == ['1', '5', '15']
    assert set(values['picture']['all']['15']) == {
        'copy_last_rms', 'without_memory', 'with_memory', 'memory_gain', 'mean',
        'reconstruction'}


def test_the_command_reads_folders_with_a_pose_list(
        tmp_path: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tour = episode(60)
    lines = ['image,stamp,x,y,z,qx,qy,qz,qw']
    for number, (rgb, stamp, pose) in enumerate(
            zip(tour.rgb, tour.stamps, tour.poses, strict=True)):
        cv2.imwrite(str(tmp_path / f'{number}.png'), rgb)
        lines.append(','.join(map(str, (f'{number}.png', stamp, *pose))))
    (tmp_path / 'poses.csv').write_text('\n'.join(lines))
    assert predicted(capsys, tmp_path, '--bundle', bundle_path)['windows']['all'] == 30
    (tmp_path / 'poses.csv').unlink()
    assert cli.main(['evaluate', 'predict', str(tmp_path), '--bundle', str(bundle_path)]) == 1
    assert 'put a poses.csv beside them' in capsys.readouterr().err


def test_a_model_that_learned_from_the_recording_is_not_judged_without_a_word(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EpisodeWriter(tmp_path / 'tour.h5') as writer:
        writer.append(episode(60, side=64), 'test')
    save_bundle(untrained_model(Settings()), tmp_path / 'model.pt', trained=True,
                training={'data': {'file': 'tour.h5'}})
    words = [str(tmp_path / 'tour.h5'), '--bundle', str(tmp_path / 'model.pt')]
    assert predicted(capsys, *words)['unseen_in_training'] is False
    assert cli.main(['evaluate', 'predict', *words]) == 0
    assert 'the model was trained on this recording' in capsys.readouterr().out


def test_windows_that_lose_their_intervals_are_told_beside_those_that_keep_them(
        tmp_path: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with EpisodeWriter(tmp_path / 'e.h5') as writer:
        writer.append(episode(540, side=64), 'test')
    assert cli.main(['evaluate', 'predict', str(tmp_path / 'e.h5'), '--bundle', str(bundle_path),
                     '--min-age-sec', '25', '--max-windows', '40']) == 0
    every, with_memories = capsys.readouterr().out.split('windows with memories:')
    assert 'in brackets: 95 % intervals, bootstrap over 6 blocks of 10 s' in every
    assert 'no intervals: 4 blocks of 10 s, it takes 5; give a longer recording' in with_memories
    assert 'in brackets' not in with_memories


def test_memories_of_the_last_second_are_refused(
        bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(['evaluate', 'predict', 'a', '--bundle', str(bundle_path), '--min-age-sec', '0'])
    assert '--min-age-sec must be >= 1 s' in capsys.readouterr().err


@pytest.mark.skipif(not REAL.exists(), reason=f'the real recording {REAL} is not here')
def test_the_real_recording_is_predicted_from_every_frame(
        bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(['evaluate', 'predict', str(REAL), '--bundle', str(bundle_path),
                     '--axes', 'optical', '--max-windows', '60']) == 0
    text = capsys.readouterr().out
    assert 'windows    55, 35 of them with memories' in text
    assert 'no intervals: 2 blocks of 10 s, it takes 5; give a longer recording' in text
    assert '15 ahead' in text
