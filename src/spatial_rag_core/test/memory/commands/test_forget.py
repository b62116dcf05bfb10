from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import subprocess
import sys
from typing import Any

from spatial_rag_core.memory.journal import Journal

import pytest

EVERY = [f'id-{n:02}' for n in range(12)]


@pytest.mark.parametrize(('words', 'gone'), [
    (['--id', 'id-03', '--id', 'id-05'], [3, 5]),
    (['--session', 'second'], [6, 7, 8, 9, 10, 11]),
    (['--robot', 'r1', '--label', 'door'], [0, 4]),
    (['--label', 'door', '--label', 'wet'], [0, 4, 8]),
    (['--map-id', 'kitchen', '--before', '1010'], [0, 1]),
    (['--after', '1970-01-02T00:18:20+00:00'], [10, 11]),
    (['--after', '1970-01-02T00:18:20', '--before', '1970-01-02T00:18:20Z'], [10]),
    (['--before', '1970-01-02'], [0, 1, 2, 3, 4, 5]),
    (['--near', '4', '0', '0.5', '--radius', '1'], [3, 4, 5]),
    (['--near', '4', '0', '--radius', '1'], [4]),
    (['--box', '7.5', '1', '5.5', '-1e-3'], [6, 7]),
    (['--before', '0'], []),
    (['--everything'], range(12)),
])
def test_what_is_selected_is_forgotten(
        words: list[str], gone: list[int], path: Path, run: Callable[..., Any],
        ids: Callable[[Path], list[str]]) -> None:
    dry = run('forget', path, *words, '--dry-run', '--json').values
    assert dry == {'path': str(path), 'dry_run': True, 'matched': len(gone), 'forgotten': 0,
                   'left': 12}
    assert ids(path) == EVERY
    done = run('forget', path, *words, '--yes', '--json').values
    assert done == {'path': str(path), 'dry_run': False, 'matched': len(gone),
                    'forgotten': len(gone), 'left': 12 - len(gone)}
    assert ids(path) == [f'id-{n:02}' for n in range(12) if n not in gone]


def test_the_lines_for_people(path: Path, run: Callable[..., Any]) -> None:
    assert run('forget', path, '--session', 'first', '--dry-run').out == (
        f'{path}: 6 of 12 memories would be forgotten\n')
    assert run('forget', path, '--session', 'first', '--yes').out == (
        f'{path}: 6 memories were forgotten, 6 are left\n')
    assert run('forget', path, '--session', 'first', '--yes').out == (
        f'{path}: 0 memories were forgotten, 6 are left\n')


def test_an_empty_selection_is_a_wrong_command(path: Path, run: Callable[..., Any]) -> None:
    told = run('forget', path, '--yes')
    assert told.status == 2
    assert 'nothing is selected; give --id, --near with --radius' in told.err


@pytest.mark.parametrize(('words', 'status', 'message'), [
    (['--near', '1', '2'], 2, '--near and --radius must be given together'),
    (['--radius', '1'], 2, '--near and --radius must be given together'),
    (['--near', '1', '--radius', '1'], 2, '--near: expected X Y or X Y Z'),
    (['--near', '1', '2', 'here', '--radius', '1'], 2, "invalid float value: 'here'"),
    (['--after', 'noon'], 2, "'noon' is no time; write 2026-11-22"),
    (['--after', 'nan'], 2, 'nan is no time'),
    (['--before', 'inf'], 2, 'inf is no time'),
    (['--everyth'], 2, 'unrecognized arguments: --everyth'),
    (['--near', '1', '2', '--radius', '-3'], 1, 'radius_m must lie in (0, 1e+07] m, got -3.0'),
    (['--after', '2', '--before', '1'], 1, 'after 2.0 s must not exceed before 1.0 s'),
    (['--label', ''], 1, 'none empty'),
])
def test_a_wrong_selection_forgets_nothing(
        words: list[str], status: int, message: str, path: Path, run: Callable[..., Any],
        ids: Callable[[Path], list[str]]) -> None:
    told = run('forget', path, *words, '--yes')
    assert (told.status, told.out) == (status, '')
    assert message in told.err
    assert ids(path) == EVERY


def test_where_nobody_can_be_asked_consent_must_be_given(
        path: Path, run: Callable[..., Any], ids: Callable[[Path], list[str]]) -> None:
    told = run('forget', path, '--everything')
    assert told.status == 2
    assert 'nobody can be asked here; give --yes, or --dry-run to count' in told.err
    assert ids(path) == EVERY


@pytest.mark.parametrize(('answer', 'status', 'left'), [
    (b'y\n', 0, 6), (b'Yes\n', 0, 6), (b'n\n', 1, 12), (b'\n', 1, 12), (b'\x04', 1, 12)])
def test_on_a_terminal_it_asks(
        answer: bytes, status: int, left: int, path: Path,
        ids: Callable[[Path], list[str]]) -> None:
    ours, theirs = os.openpty()
    with subprocess.Popen(
            [sys.executable, '-m', 'spatial_rag_core.cli', 'memory', 'forget', str(path),
             '--session', 'second'], stdin=theirs, stderr=theirs, stdout=subprocess.PIPE) as done:
        os.close(theirs)
        said = b''
        while b'[y/N] ' not in said:
            said += os.read(ours, 1000)
        os.write(ours, answer)
        assert done.wait(60) == status
    os.close(ours)
    assert b'Forget 6 of 12 memories of ' in said
    assert len(ids(path)) == left


def test_a_file_that_a_robot_writes_to_is_left_alone(
        path: Path, run: Callable[..., Any], ids: Callable[[Path], list[str]]) -> None:
    with Journal.open_existing_writer(path, holder='memory_writer'):
        told = run('forget', path, '--everything', '--yes')
    assert told.status == 1
    assert 'is being written by memory_writer' in told.err
    assert told.err.count('\n') == 1
    assert ids(path) == EVERY
