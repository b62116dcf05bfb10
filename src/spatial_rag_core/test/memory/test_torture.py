"""The memory keeps its word under torture; `make torture` does the same at length."""

from __future__ import annotations

import json
import os
from pathlib import Path
import shutil
import signal
import subprocess
import sys
from typing import Any

import pytest

TORTURE = Path(__file__).parent / 'torture'
PATIENCE_SEC = 100
needs_a_compiler = pytest.mark.skipif(
    not any(map(shutil.which, ('cc', 'gcc', 'clang'))),
    reason='no C compiler here, which the failing disk is made with')

Figures = dict[str, Any]


def torture(part: str, *words: object) -> Figures:
    """The figures of one part, which runs in processes of its own; its seed is in them."""
    command = [sys.executable, str(TORTURE), part, *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          start_new_session=True) as process:
        try:
            output, errors = process.communicate(timeout=PATIENCE_SEC)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    assert process.returncode == 0, f'{" ".join(command)}:\n{output}\n{errors}'
    return dict(json.loads(output.splitlines()[-1]))


@pytest.fixture(scope='module')
def killed() -> Figures:
    return torture('kills', '--kills', 27)


def test_no_acknowledged_memory_is_missing_or_doubled_after_25_kills(killed: Figures) -> None:
    assert killed['kills'] >= 25
    assert killed['memories'] > 25
    assert {'append', 'forget', 'compact', 'reanchor'} & set(killed['during'])
    assert len(killed['during']) >= 5


def test_a_reader_that_follows_killed_writers_knows_just_what_is_stored(killed: Figures) -> None:
    assert killed['reader']['memories'] == killed['memories']


def test_a_second_writer_is_refused_while_the_first_lives(killed: Figures) -> None:
    assert killed['refused_second_writers'] >= 1


def test_a_kill_during_migration_loses_nothing_of_the_old_store(killed: Figures) -> None:
    assert killed['of_version_1']['during'].get('open', 0) >= 2


@pytest.fixture(scope='module')
def faulty() -> Figures:
    return torture('faults')


@needs_a_compiler
def test_a_disk_that_fails_at_any_write_is_told_and_nothing_is_lost(faulty: Figures) -> None:
    journal = faulty['journal']
    assert journal['calls'] == journal['faults'] > 300
    assert journal['told'] > journal['calls'] / 2


@needs_a_compiler
def test_the_committer_goes_on_by_itself_when_the_disk_does(faulty: Figures) -> None:
    committer = faulty['committer']
    assert committer['calls'] == committer['faults'] > 50
    assert committer['told'] > committer['calls'] / 2


def test_a_full_disk_refuses_what_it_cannot_hold_and_loses_nothing_it_holds() -> None:
    figures = torture('full', '--disks', 12)
    assert figures['disks'] == 12
    assert 'memory-' in figures['message']


@pytest.fixture(scope='module')
def cut_off() -> Figures:
    return torture('power', '--cuts', 400)


@needs_a_compiler
def test_with_durability_power_a_power_cut_loses_nothing(cut_off: Figures) -> None:
    assert cut_off['power'] == {'cuts': 400, 'most_steps_lost': 0}


@needs_a_compiler
def test_with_durability_process_a_power_cut_leaves_the_store_of_some_moment(
        cut_off: Figures) -> None:
    assert cut_off['process']['cuts'] == 400


@pytest.fixture(scope='module')
def damaged() -> Figures:
    return torture('damage', '--places', 120)


def test_damage_at_120_places_is_told_or_harmless(damaged: Figures) -> None:
    assert damaged['broken'] == []
    ends = [end for ends in damaged['classes'].values() for end in ends.items()]
    assert sum(count for _, count in ends) == 120
    assert sum(count for end, count in ends if end == 'told') > 60


def test_what_is_salvaged_is_right_and_what_is_lost_is_counted(damaged: Figures) -> None:
    assert damaged['salvaged'] > 20 * damaged['lost'] > 0
    assert damaged['inexact'] < 5
