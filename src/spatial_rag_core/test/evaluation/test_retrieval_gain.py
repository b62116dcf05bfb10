from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
import signal
import subprocess
import sys
import time

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.evaluation.gain_config import CONTROLS, GainConfig, TURNED, UNTRAINED
from spatial_rag_core.evaluation.gain_data import (
    changed_tours,
    make_episodes,
    read_chosen,
    read_split,
)
from spatial_rag_core.evaluation.gain_models import GainTrial
from spatial_rag_core.evaluation.gain_pictures import draw_examples
from spatial_rag_core.evaluation.gain_plan import joined_plan
from spatial_rag_core.evaluation.report import Report
from spatial_rag_core.evaluation.results import ExperimentPlan, ExperimentResults
from spatial_rag_core.evaluation.retrieval_gain import Job, run_job
from spatial_rag_core.models.imagination import Imagination
from spatial_rag_core.training.training_config import changed, TrainingConfig

import numpy as np
import pytest
import torch

TRAINING = changed(TrainingConfig(), {
    'transition': {'hidden_dim': 16, 'attention_heads': 2, 'topk': 4},
    'dynamics': {'batch_size': 8, 'horizon': 4, 'fence': {'most': 32}},
    'perception': {'batch_size': 16}}, 'test')
CONFIG = GainConfig(
    sizes=(1, 2), seeds=(0,), horizons=(1, 15), valid_maps=1, test_maps=2, test_every=25,
    steps_per_drive=80, tour_steps=60, perception_steps=2, dynamics_steps=2, adaptation_maps=1,
    finetune_steps=(1, 2), finetune_rates=(1e-3,), training=TRAINING)
PLAN = ExperimentPlan(
    'test', CONFIG.sizes, CONFIG.seeds, tuple(CONFIG.sizes_of), CONFIG.horizons,
    sizes_of=CONFIG.sizes_of, notes=CONFIG.facts)


@pytest.fixture(scope='module')
def results(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp('gain')
    threads = torch.get_num_threads()
    PLAN.save(folder)
    make_episodes(folder, CONFIG, workers=1)
    for maps in CONFIG.sizes:
        run_job(Job(CONFIG, folder, maps, 0))
    yield folder
    torch.set_num_threads(threads)


def test_every_planned_cell_is_there_and_makes_a_report(results: Path, tmp_path: Path) -> None:
    found = ExperimentResults.load(results)
    assert found.missing() == ()
    assert len(found.cells) == len(PLAN.cells())
    assert {cell.variant for cell in found.cells} == {*CONFIG.trained, *CONTROLS, *UNTRAINED}
    assert len(found.adaptation) == 1
    Report.of(results).write_page(tmp_path / 'report.html')
    assert (tmp_path / 'report.html').stat().st_size > 10_000


def test_what_is_there_is_not_made_again(results: Path) -> None:
    removed = results / 'cells' / 'plain-2-0.json'
    before = {path: path.stat().st_mtime_ns for path in (results / 'cells').iterdir()}
    text = removed.read_text()
    removed.unlink()
    run_job(Job(CONFIG, results, 2, 0))
    after = {path: path.stat().st_mtime_ns for path in (results / 'cells').iterdir()}
    assert [path for path in before if before[path] != after[path]] == [removed]
    assert removed.read_text() == text


def test_a_seeds_smaller_choice_of_maps_lies_in_its_larger_ones(results: Path) -> None:
    one, two = ({e.map_id for e in read_chosen(results / 'episodes.h5', n, 0)} for n in (1, 2))
    assert len(one) == 1
    assert len(two) == 2
    assert one < two


def test_encoder_and_dynamics_see_only_the_chosen_maps(results: Path) -> None:
    trial = GainTrial(CONFIG, results, 1, 0)
    chosen = {e.map_id for e in trial.train_episodes}
    assert {track.map_id for track in trial.train_tracks} == chosen
    assert not chosen & {e.map_id for e in (*trial.valid_episodes, *trial.test_episodes)}


def test_a_trained_model_that_was_cut_short_is_named_with_a_remedy(
        results: Path, tmp_path: Path) -> None:
    (tmp_path / 'models').mkdir()
    trial = GainTrial(CONFIG, tmp_path, 1, 0)
    for name in ('perception', 'memory'):
        whole = (results / f'models/{name}-1-0.pt').read_bytes()
        (tmp_path / f'models/{name}-1-0.pt').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(TrainingError, match=r'perception-1-0\.pt: .*damaged .*delete it and run'):
        assert trial.perception
    with pytest.raises(TrainingError, match=r'memory-1-0\.pt: .*damaged .*delete it and run'):
        trial.trained('memory')


def test_a_map_without_a_seed_is_told_and_no_other_map_is_drawn_for_it(
        results: Path, tmp_path: Path) -> None:
    trial = GainTrial(CONFIG, results, 1, 0)
    vars(trial)['test_episodes'] = [replace(one, map_seed=None) for one in trial.test_episodes]
    with pytest.raises(TrainingError, match='does not say its map_seed; generate it again'):
        draw_examples(trial, tmp_path)
    assert not (tmp_path / 'maps').exists()


def test_a_changed_map_is_toured_after_it_was_known_and_before_it_is_asked(
        results: Path) -> None:
    known = read_split(results / 'episodes.h5', 'test')[0]
    tour, asked = changed_tours(CONFIG, known)
    assert known.stamps[-1] < tour.stamps[0]
    assert tour.stamps[-1] + 300.0 < asked.stamps[0]
    assert tour.map_id == asked.map_id == known.map_id
    assert not np.array_equal(tour.rgb[0], asked.rgb[0])


def test_with_and_without_memory_have_as_many_parameters() -> None:
    config = GainConfig()

    def count(variant: str) -> int:
        return sum(part.numel() for part in Imagination(config.transition(variant)).parameters())
    assert count('none') == pytest.approx(count('memory'), rel=0.01)


def test_each_variant_has_what_it_is_named_after() -> None:
    config = GainConfig()
    assert not config.transition('none').memory
    assert config.dynamics('none_long').history > config.dynamics('none').history
    assert config.dynamics('none_twice').training_steps == 2 * config.dynamics_steps
    for variant in ('none_four', 'memory_four'):
        assert config.dynamics(variant).training_steps == 4 * config.dynamics_steps
    assert config.transition('plain') == config.transition('memory').plain()
    assert not config.transition('no_pointer').pointer
    for variant, turned in TURNED.items():
        [(name, value)] = turned.items()
        assert getattr(config.transition('memory'), name) is not value, variant
    assert config.transition('pose_only').lookup == 'pose'
    assert config.transition('latent_only').lookup == 'latent'


def test_results_of_another_configuration_are_not_mixed_in(results: Path) -> None:
    other = replace(PLAN, notes={**PLAN.notes, 'dynamics_steps': 3})
    with pytest.raises(TrainingError, match=r'holds results with notes\.dynamics_steps 2, this '
                                            'is 3; choose another folder'):
        joined_plan(results, other)
    with pytest.raises(TrainingError, match='largest size 2, this is 1'):
        joined_plan(results, replace(PLAN, sizes=(1,)))


def test_a_plan_for_more_seeds_keeps_those_that_were_planned_before(results: Path) -> None:
    more = joined_plan(results, replace(PLAN, seeds=(1,), sizes=(2,), date='later'))
    assert more.seeds == (0, 1)
    assert more.sizes == (1, 2)


def test_a_control_that_was_deleted_is_made_again(results: Path) -> None:
    path = results / 'cells' / 'memory_empty-1-0.json'
    text = path.read_text()
    path.unlink()
    run_job(Job(CONFIG, results, 1, 0))
    assert path.read_text() == text


def test_all_histories_are_tested_at_the_same_moments(results: Path) -> None:
    trial = GainTrial(CONFIG, results, 1, 0)
    short, long = trial.test_windows(2), trial.test_windows(12)
    assert np.array_equal(short.starts, long.starts)
    assert short.batch(np.arange(1)).history_z.shape[1] == 2
    assert long.batch(np.arange(1)).history_z.shape[1] == 12


def test_sizes_must_ascend() -> None:
    with pytest.raises(ConfigurationError, match=r'sizes must ascend .* got \(4, 2\)'):
        GainConfig(sizes=(4, 2))


_LONG_RUN = """
from pathlib import Path
import sys
from spatial_rag_core.evaluation.gain_config import GainConfig
from spatial_rag_core.evaluation.retrieval_gain import run_experiment
from spatial_rag_core.training.training_config import changed, TrainingConfig
if __name__ == '__main__':
    training = changed(TrainingConfig(), {'perception': {'batch_size': 16},
                                          'dynamics': {'validate_every': 1000}}, 'test')
    run_experiment(Path(sys.argv[1]), GainConfig(
        sizes=(1, 2), seeds=(0,), horizons=(1, 15), valid_maps=1, test_maps=2,
        steps_per_drive=80, perception_steps=2, dynamics_steps=1_000_000, training=training),
        2, print)
"""


@pytest.mark.parametrize('sign', [signal.SIGINT, signal.SIGKILL])
def test_nothing_trains_on_when_the_experiment_is_told_to_end(
        tmp_path: Path, sign: signal.Signals) -> None:
    make_episodes(tmp_path, CONFIG, workers=1)
    script = tmp_path / 'long_run.py'
    script.write_text(_LONG_RUN)
    with subprocess.Popen([sys.executable, str(script), str(tmp_path)],
                          stderr=subprocess.PIPE) as run:
        try:
            _wait_until(lambda: len(list(tmp_path.glob('models/perception-*.pt'))) == 2)
            time.sleep(1.0)  # both have begun with the dynamics, or are about to
            workers = _children_of(run.pid)
            assert len(workers) >= 2
            run.send_signal(sign)
            run.wait(timeout=60)
            _wait_until(lambda: not any(Path(f'/proc/{pid}').exists() for pid in workers))
        finally:
            run.kill()


def _children_of(pid: int) -> list[int]:
    return [int(child) for task in Path(f'/proc/{pid}/task').iterdir()
            for child in (task / 'children').read_text().split()]


def _wait_until(condition: Callable[[], bool], timeout_sec: float = 120.0) -> None:
    end = time.monotonic() + timeout_sec
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
