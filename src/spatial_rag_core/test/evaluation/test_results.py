from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
import json
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.evaluation.results import (
    AdaptationResult,
    calibration_pairs,
    CellResult,
    ErrorMap,
    ExperimentPlan,
    ExperimentResults,
    GroupSums,
    OtherGoal,
    Strip,
)

import numpy as np
import pytest

from .synthetic_results import adaptation, cell, pictures, plan, SEEDS, whole_experiment


def test_what_is_saved_is_what_is_loaded(tmp_path: Path) -> None:
    one, changed, wanted = cell('memory', 8, 1), adaptation(2), plan()
    assert CellResult.load(one.save(tmp_path)) == one
    assert AdaptationResult.load(changed.save(tmp_path)) == changed
    wanted.save(tmp_path)
    assert ExperimentPlan.load(tmp_path) == wanted


def test_pictures_come_back_as_they_were(tmp_path: Path) -> None:
    pictures(tmp_path)
    pictures(tmp_path / 'again')
    for kind, load in (('strips', Strip.load), ('maps', ErrorMap.load)):
        paths = [next((folder / kind).iterdir()) for folder in (tmp_path, tmp_path / 'again')]
        first, second = (vars(load(path)) for path in paths)  # type: ignore[operator]
        for name, value in first.items():
            assert np.array_equal(value, second[name]), name


def test_a_cell_lies_where_its_path_says(tmp_path: Path) -> None:
    path = CellResult.path(tmp_path, 'memory', 8, 1)
    assert not path.exists()
    assert cell('memory', 8, 1).save(tmp_path) == path
    assert path.is_file()
    assert path.name == 'memory-8-1.json'


def test_a_whole_experiment_lacks_nothing(tmp_path: Path) -> None:
    results = ExperimentResults.load(whole_experiment(tmp_path))
    assert results.missing() == ()
    assert len(results.cells) == len(results.plan.cells())
    assert len(results.adaptation) == len(SEEDS)
    assert results.cell('oracle', 128, 2) == cell('oracle', 128, 2)
    assert results.cell('oracle', 64, 2) is None


def test_missing_cells_are_named(tmp_path: Path) -> None:
    plan().save(tmp_path)
    cell('memory', 8, 1).save(tmp_path)
    missing = ExperimentResults.load(tmp_path).missing()
    assert ('memory', 8, 1) not in missing
    assert ('memory', 8, 2) in missing
    assert ('oracle', 64, 0) not in missing  # it is planned at full data only


def test_a_folder_without_a_plan_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r'plan\.json: no such result.*experiment'):
        ExperimentResults.load(tmp_path)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def empty(path: Path) -> None:
    path.write_bytes(b'')


def other(path: Path) -> None:
    path.write_text('[1, 2]')


@pytest.mark.parametrize('damage', [cut, empty, other])
@pytest.mark.parametrize('name', ['cells/none-8-0.json', 'adaptation/0.json',
                                  'strips/rooms2d-0-a.npz', 'maps/rooms2d-0.npz'])
def test_a_damaged_file_is_named_with_a_remedy(
        tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    plan().save(tmp_path)
    for one in (cell('none', 8, 0), adaptation(0)):
        one.save(tmp_path)
    pictures(tmp_path)
    damage(tmp_path / name)
    with pytest.raises(TrainingError, match=rf'{name}: damaged .*delete it') as caught:
        ExperimentResults.load(tmp_path)
    assert ExperimentResults.load(tmp_path, skip_damaged=True).not_read == (str(caught.value),)



@pytest.mark.parametrize(('changes', 'words'), [
    ({'maps': None}, 'damaged'), ({'training_maps': 0}, 'training_maps must be > 0'),
    ({'variant': 'a-b'}, 'without - and /'), ({'sigma': [1, 2]}, 'damaged'),
    ({'maps': [{'map_id': 'a'}]}, "lacks 'groups'"),
    ({'maps': [{'map_id': 'a', 'groups': {'all': {
        'windows': 1, 'error': {'1': -1.0}, 'copy_last': {'1': 1.0}}}}]}, 'sums >= 0')])
def test_fields_that_cannot_be_are_refused(
        tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = cell('none', 8, 0).save(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(TrainingError, match=rf'none-8-0\.json: .*{words}'):
        CellResult.load(path)


def test_a_field_of_a_later_version_is_left_out(tmp_path: Path) -> None:
    path = cell('none', 8, 0).save(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), 'colour': 'red'}))
    assert CellResult.load(path) == cell('none', 8, 0)


def test_more_facts_of_a_plan_become_notes() -> None:
    values = {'command': 'x', 'sizes': [1], 'seeds': [0], 'variants': ['none'], 'gpu': 'none'}
    assert ExperimentPlan.from_values(values).notes == {'gpu': 'none'}


def test_errors_of_windows_are_summed() -> None:
    sums = GroupSums.of((1, 15), [[1.0, 2.0], [3.0, 4.0]], np.ones((2, 2)))
    assert (sums.windows, sums.error, sums.copy_last) == (2, {1: 4.0, 15: 6.0}, {1: 2.0, 15: 2.0})


def test_a_diverged_model_is_refused_at_birth() -> None:
    with pytest.raises(ConfigurationError, match=r'error must be finite .* nan at step 1'):
        GroupSums(1, {1: float('nan')}, {1: 1.0})
    with pytest.raises(ConfigurationError, match='same steps ahead'):
        GroupSums(1, {1: 1.0}, {5: 1.0})


def test_a_note_that_json_cannot_say_leaves_the_old_file(tmp_path: Path) -> None:
    one = cell('none', 8, 0)
    path = one.save(tmp_path)
    with pytest.raises(TrainingError, match='cannot be written as JSON'):
        replace(one, notes={'loss': float('inf')}).save(tmp_path)
    assert CellResult.load(path) == one
    assert [found.name for found in path.parent.iterdir()] == [path.name]


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / 'cells').write_text('a file')
    with pytest.raises(TrainingError, match=r'none-8-0\.json cannot be written'):
        cell('none', 8, 0).save(tmp_path)


def test_a_goal_that_another_command_measured_comes_back(tmp_path: Path) -> None:
    goal = OtherGoal('fast', 'under 3 ms', '2.1 ms', met=True, command='make bench')
    assert OtherGoal.load(goal.save(tmp_path, 'latency')) == replace(goal, key='latency')


def test_calibration_of_honest_predictions_lies_on_the_diagonal() -> None:
    dice = np.random.default_rng(0)
    sigma = dice.uniform(0.1, 2.0, (20000, 2))
    pairs = np.array(calibration_pairs(sigma, sigma * dice.normal(size=sigma.shape)))
    assert pairs.shape == (10, 2)
    assert (np.diff(pairs[:, 0]) > 0).all()
    assert np.abs(pairs[:, 1] / pairs[:, 0] - 1).max() < 0.05
    with pytest.raises(ConfigurationError, match='as many'):
        calibration_pairs([1.0], [1.0, 2.0])
