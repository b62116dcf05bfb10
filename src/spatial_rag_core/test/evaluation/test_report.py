from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
import json
import math
from pathlib import Path
import re
import shutil
import subprocess
import sys
from typing import Any

from spatial_rag_core import cli
from spatial_rag_core.evaluation.report import Report
from spatial_rag_core.evaluation.report_verdict import (
    BORNE_OUT,
    Goal,
    NOT_BORNE_OUT,
    NOT_MEASURED,
)
from spatial_rag_core.evaluation.results import CellResult, MapResult, OtherGoal

import pytest

from .synthetic_results import (
    adaptation,
    cell,
    FLOOR,
    law,
    pictures,
    plan,
    SEEDS,
    SIZES,
    whole_experiment,
)

VOID = {'meta', 'img', 'br', 'link'}
QUIET = 0.001


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whole_experiment(tmp_path_factory.mktemp('results'))


def goal(folder: Path, key: str) -> Goal:
    return next(goal for goal in Report.of(folder).goals if goal.key == key)


def page_of(folder: Path) -> str:
    Report.of(folder).write_page(folder / 'report.html')
    return (folder / 'report.html').read_text()


def save(folder: Path, variant: str, sizes: tuple[int, ...] = (SIZES[-1],),
         wanted: Callable[[float, int, int], float] = law, noise: float = QUIET) -> None:
    plan().save(folder)
    for size in sizes:
        for seed in SEEDS:
            cell(variant, size, seed, noise, wanted).save(folder)


def shifted(by: float) -> Callable[[float, int, int], float]:
    return lambda shift, maps, step: law(shift, maps, step) + by


class Tags(HTMLParser):
    """Every tag is closed where it should be; addresses are collected."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.names: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self._keep(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._keep(attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def _keep(self, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or '' for name, value in attrs
                           if name in {'src', 'href', 'xlink:href', 'srcset', 'data'}]


def test_the_whole_experiment_bears_every_goal_out(whole: Path) -> None:
    verdicts = {goal.key: goal.verdict for goal in Report.of(whole).goals}
    assert set(verdicts.values()) == {BORNE_OUT}
    assert list(verdicts) == ['examples_saved', 'revisited', 'novel', 'empty', 'wrong_map',
                              'empty_four', 'wrong_map_four', 'shuffled', 'random',
                              'adaptation', 'one_step', 'main_step']


@pytest.fixture(scope='module')
def whole_page(whole: Path) -> str:
    return page_of(whole)


def test_a_page_is_whole_html_and_needs_no_network(whole_page: str) -> None:
    tags = Tags(whole_page)
    assert tags.names.count('svg') == 6
    assert tags.names.count('img') == 3
    assert tags.addresses
    assert all(address.startswith(('data:image/png;base64,', '#')) for address in tags.addresses)
    for word in ('@import', 'url(http', '<script'):
        assert word not in whole_page


def test_a_page_has_no_id_twice(whole_page: str) -> None:
    ids = re.findall(r'\bid="([^"]*)"', whole_page)
    assert ids
    assert len(ids) == len(set(ids))


def test_a_page_is_the_same_from_the_same_results(
        whole: Path, whole_page: str) -> None:
    assert page_of(whole) == whole_page


def test_examples_saved_are_those_of_the_law(whole: Path) -> None:
    found = goal(whole, 'examples_saved')
    assert found.measured is not None
    assert found.measured.estimate == pytest.approx(1 - 2 ** -2.5, abs=0.05)
    assert '3 seeds, 6 test maps' in found.note


@pytest.mark.parametrize(('lead', 'verdict'), [(0.10, BORNE_OUT), (0.07, NOT_BORNE_OUT),
                                               (-0.04, NOT_BORNE_OUT)])
def test_a_quarter_of_the_examples_is_what_counts(
        tmp_path: Path, lead: float, verdict: str) -> None:
    save(tmp_path, 'none')
    save(tmp_path, 'memory', SIZES, shifted(0.10 - lead))
    found = goal(tmp_path, 'examples_saved')
    assert (found.verdict, found.firm) == (verdict, True)
    assert ('not reached' in found.text) == (lead < 0)


def test_the_longest_training_without_memory_that_helped_is_the_target(tmp_path: Path) -> None:
    save(tmp_path, 'memory', SIZES)
    save(tmp_path, 'none')
    once = Report.of(tmp_path).measures.saved()
    for seed in SEEDS:
        longer = cell('none', SIZES[-1], seed, QUIET, shifted(-0.05))
        replace(longer, variant='none_four').save(tmp_path)
    four_times = Report.of(tmp_path).measures.saved()
    assert once is not None
    assert four_times is not None
    assert four_times.target == pytest.approx(once.target - 0.05, abs=0.01)
    assert four_times.share.estimate > once.share.estimate


def test_a_target_that_was_still_falling_is_called_too_easy(tmp_path: Path) -> None:
    save(tmp_path, 'memory', SIZES)
    save(tmp_path, 'none')
    replace(cell('none', SIZES[-1], 0, QUIET), saturated=False).save(tmp_path)
    assert 'too easy' in goal(tmp_path, 'examples_saved').note


@pytest.mark.parametrize(('key', 'variant', 'bad'), [
    ('empty', 'memory_empty', 0.02), ('wrong_map', 'memory_wrong_map', 0.02),
    ('empty_four', 'memory_four_empty', 0.02),
    ('wrong_map_four', 'memory_four_wrong_map', 0.02),
    ('shuffled', 'memory_shuffled', -0.05), ('random', 'memory_random', -0.05)])
def test_a_control_that_fails_its_goal_is_not_borne_out(
        tmp_path: Path, key: str, variant: str, bad: float) -> None:
    save(tmp_path, 'none')
    save(tmp_path, 'none_four')
    save(tmp_path, variant)
    assert (goal(tmp_path, key).verdict, goal(tmp_path, key).firm) == (BORNE_OUT, True)
    save(tmp_path, variant, wanted=shifted(bad))
    assert (goal(tmp_path, key).verdict, goal(tmp_path, key).firm) == (NOT_BORNE_OUT, True)


def test_an_interval_past_the_goal_is_told(tmp_path: Path) -> None:
    save(tmp_path, 'none', noise=0.1)
    save(tmp_path, 'memory_empty', noise=0.1)
    assert goal(tmp_path, 'empty').firm is False
    assert 'reaches past the goal' in page_of(tmp_path)


def test_memory_that_costs_at_novel_places_is_told(tmp_path: Path) -> None:
    save(tmp_path, 'none')
    save(tmp_path, 'memory', wanted=shifted(0.05))
    assert goal(tmp_path, 'novel').verdict == NOT_BORNE_OUT
    assert goal(tmp_path, 'revisited').verdict == BORNE_OUT


@pytest.mark.parametrize(('finetuned', 'verdict'), [(0.465, BORNE_OUT), (0.48, BORNE_OUT),
                                                    (0.43, NOT_BORNE_OUT)])
def test_fine_tuning_is_beaten_five_times_or_not(
        tmp_path: Path, finetuned: float, verdict: str) -> None:
    plan().save(tmp_path)
    for seed in SEEDS:
        adaptation(seed, finetuned).save(tmp_path)
    found = goal(tmp_path, 'adaptation')
    assert found.verdict == verdict
    assert found.measured is not None
    assert found.measured.estimate == pytest.approx(0.09, abs=0.005)
    assert 'fine-tuned on the tour' in page_of(tmp_path)


def test_memory_that_gains_nothing_does_not_beat_fine_tuning_that_harms(tmp_path: Path) -> None:
    plan().save(tmp_path)
    adaptation(0, 0.60, memory_after=0.48).save(tmp_path)
    assert goal(tmp_path, 'adaptation').verdict == NOT_BORNE_OUT


def test_a_plan_alone_makes_a_page_that_says_that_nothing_is_measured(tmp_path: Path) -> None:
    plan().save(tmp_path)
    assert {goal.verdict for goal in Report.of(tmp_path).goals} == {NOT_MEASURED}
    text = page_of(tmp_path)
    Tags(text)
    assert f'{len(plan().cells())} of {len(plan().cells())} planned cells are missing' in text
    assert text.count('Not measured yet') == 8


def test_any_part_of_the_experiment_makes_a_page(tmp_path: Path) -> None:
    plan().save(tmp_path)
    for variant, size, seed in (('memory', 4, 0), ('none', 4, 1), ('oracle', 128, 2),
                                ('memory', 8, 0), ('memory_empty', 8, 0)):
        cell(variant, size, seed).save(tmp_path)
        Tags(page_of(tmp_path))
    assert goal(tmp_path, 'revisited').verdict == NOT_MEASURED  # no seed in common
    assert '8 training maps, not all of 128' in goal(tmp_path, 'main_step').note


def test_a_group_that_is_absent_is_not_measured(tmp_path: Path) -> None:
    plan().save(tmp_path)
    for variant in ('memory', 'none'):
        one = cell(variant, SIZES[-1], 0)
        maps = tuple(MapResult(found.map_id, {'all': found.groups['all']}) for found in one.maps)
        replace(one, maps=maps).save(tmp_path)
    assert goal(tmp_path, 'novel').verdict == NOT_MEASURED
    Tags(page_of(tmp_path))


def test_damaged_files_are_named_on_the_page(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / 'copy')
    path = CellResult.path(tmp_path / 'copy', 'oracle', 128, 0)
    path.write_text('{')
    next((tmp_path / 'copy' / 'strips').iterdir()).write_bytes(b'PK')
    text = page_of(tmp_path / 'copy')
    assert f'{path}: damaged' in text
    assert '1 of 132 planned cells are missing: oracle 128 maps seed 0' in text
    assert text.count('Not read:') == 2


def test_names_from_files_cannot_become_markup(tmp_path: Path) -> None:
    nasty = '<script>alert(1)</script>'
    replace(plan(), machine=nasty, command=nasty, notes={nasty: nasty}).save(tmp_path)
    OtherGoal(nasty, nasty, nasty, met=None, command=nasty).save(tmp_path, 'nasty')
    replace(cell('none', 8, 0), variant='<b>').save(tmp_path)
    pictures(tmp_path)
    strips = tmp_path / 'strips'
    next(strips.iterdir()).rename(strips / '"><script>.npz')
    assert '<script>' not in page_of(tmp_path)
    assert '<b>;' not in page_of(tmp_path)
    Tags(page_of(tmp_path))


def test_a_quick_run_and_a_single_seed_are_told(tmp_path: Path) -> None:
    replace(plan(seeds=(0,)), quick=True).save(tmp_path)
    assert 'A quick run' in page_of(tmp_path)
    assert 'One seed' in page_of(tmp_path)


def test_goals_of_other_commands_stand_beside_the_rest(tmp_path: Path) -> None:
    plan().save(tmp_path)
    OtherGoal('Fast', 'under 3 ms', '2.1 ms', met=True, command='make bench').save(
        tmp_path, 'latency')
    assert goal(tmp_path, 'latency').verdict == BORNE_OUT
    assert 'make bench' in page_of(tmp_path)


def told(capsys: pytest.CaptureFixture[str], *words: object) -> Any:
    capsys.readouterr()
    assert cli.main(['report', *map(str, words), '--json']) == 0
    return json.loads(capsys.readouterr().out)


def test_machines_get_the_verdicts_of_the_page(
        whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = told(capsys, whole, '--out', tmp_path / 'new' / 'page.html')
    assert values['page'] == str(tmp_path / 'new' / 'page.html')
    assert Path(values['page']).is_file()
    assert values['counts'] == {BORNE_OUT: 12, NOT_BORNE_OUT: 0, NOT_MEASURED: 0}
    assert values['cells_missing'] == 0
    first = values['goals'][0]
    assert first['key'] == 'examples_saved'
    assert first['measured']['low'] < first['measured']['estimate'] < first['measured']['high']
    assert all(math.isfinite(end) for end in first['measured'].values())


def test_what_is_not_reached_is_null_for_machines(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save(tmp_path, 'none')
    save(tmp_path, 'memory', SIZES, shifted(0.2))
    first = told(capsys, tmp_path)['goals'][0]
    assert first['verdict'] == NOT_BORNE_OUT
    assert first['measured'] == {'estimate': None, 'low': None, 'high': None}


def test_people_get_one_line_a_goal(whole: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(['report', str(whole)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 13
    assert lines[0].startswith(BORNE_OUT)
    assert lines[-1] == str(whole / 'report.html')


def test_a_folder_that_is_not_there_is_one_line(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(['report', str(tmp_path / 'nowhere')]) == 1
    assert 'spatial-rag experiment retrieval-gain' in capsys.readouterr().err
    assert not (tmp_path / 'nowhere').exists()


def test_a_page_that_cannot_be_written_is_one_line(
        whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'file').write_text('')
    assert cli.main(['report', str(whole), '--out', str(tmp_path / 'file' / 'page.html')]) == 1
    assert 'cannot be written' in capsys.readouterr().err


def test_the_commands_start_without_matplotlib_and_torch() -> None:
    program = ('import sys; from spatial_rag_core import cli; cli._parser(); '
               'print({"matplotlib", "torch", "h5py", "cv2"} & set(sys.modules))')
    done = subprocess.run([sys.executable, '-c', program], text=True, capture_output=True,
                          check=True, timeout=60)
    assert done.stdout.strip() == 'set()'


def test_the_law_is_what_the_tests_think() -> None:
    assert law(0.0, SIZES[-1]) == FLOOR
