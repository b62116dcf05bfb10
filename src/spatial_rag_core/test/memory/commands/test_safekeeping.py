from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from spatial_rag_core.memory.journal import Journal

import pytest


def test_a_backup_made_while_a_robot_writes_is_a_whole_memory(
        path: Path, run: Callable[..., Any], ids: Callable[[Path], list[str]]) -> None:
    target = path.with_name('backup.db')
    with Journal.open_existing_writer(path):
        values = run('backup', path, target, '--json').values
    assert values == {'path': str(target), 'count': 12, 'size_bytes': target.stat().st_size}
    assert ids(target) == ids(path)
    assert target.stat().st_mode & 0o777 == 0o600
    again = run('backup', path, target)
    assert (again.status, again.out) == (1, '')
    assert 'exists already' in again.err


def test_a_backup_comes_back(
        path: Path, run: Callable[..., Any], ids: Callable[[Path], list[str]]) -> None:
    backup, new = path.with_name('backup.db'), path.with_name('new.db')
    assert run('backup', path, backup).out.startswith(f'{backup}: 12 memories, ')
    values = run('restore', backup, new, '--json').values
    assert values == {'path': str(new), 'written': 12, 'lost': 0, 'pictures_lost': 0,
                      'is_lost_exact': True}
    assert ids(new) == ids(path)
    assert run('restore', backup, new).status == 1
    assert run('forget', new, '--everything', '--yes').status == 0
    assert run('restore', backup, new, '--overwrite').out == (
        f'{new}: 12 memories restored, 0 lost\n')
    assert ids(new) == ids(path)


def test_check_finds_damage_and_says_so_by_its_exit_status(
        path: Path, run: Callable[..., Any], request: pytest.FixtureRequest) -> None:
    assert run('check', path, '--json').values == {
        'path': str(path), 'is_clean': True, 'count': 12, 'problems': []}
    assert run('check', path).out == f'{path}: 12 memories, no problem found\n'
    request.getfixturevalue('damaged')
    told = run('check', path)
    assert (told.status, told.err) == (1, '')
    first, *problems = told.out.splitlines()
    assert first.startswith(f'{path}: ')
    assert first.endswith(' not as it was written:')
    assert problems
    assert all(problem.startswith('  ') for problem in problems)
    assert run('check', path, '--json').status == 1


def test_what_is_not_damaged_can_be_saved(
        damaged: Path, run: Callable[..., Any], ids: Callable[[Path], list[str]]) -> None:
    saved = damaged.with_name('saved.db')
    refused = run('restore', damaged, saved)
    assert (refused.status, refused.err.count('\n')) == (1, 1)
    assert not saved.exists()
    assert run('restore', damaged, saved, '--salvage').out == (
        f'{saved}: 11 memories restored, 1 lost\n')
    assert ids(saved) == [f'id-{n:02}' for n in range(12) if n != 4]


def test_compact_makes_a_file_small_and_keeps_what_it_holds(
        path: Path, run: Callable[..., Any], ids: Callable[[Path], list[str]]) -> None:
    before = ids(path)
    values = run('compact', path, '--json').values
    assert values['bytes_after'] <= values['bytes_before']
    assert values['bytes_after'] == path.stat().st_size
    assert ids(path) == before
    assert run('compact', path).out.startswith(f'{path}: ')


def test_compact_waits_for_no_robot(path: Path, run: Callable[..., Any]) -> None:
    with Journal.open_existing_writer(path, holder='memory_writer'):
        told = run('compact', path)
    assert told.status == 1
    assert 'is being written by memory_writer' in told.err
