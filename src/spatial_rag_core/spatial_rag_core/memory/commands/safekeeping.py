"""`spatial-rag memory backup, restore, check, compact`: keep a memory file safe and sound."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.text import size_of
from spatial_rag_core.memory.upkeep.backup import backup, restore
from spatial_rag_core.memory.upkeep.compact import compact
from spatial_rag_core.memory.upkeep.integrity import check


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the four."""
    _add_backup(commands)
    _add_restore(commands)
    _add_check(commands)
    _add_compact(commands)


def _add_backup(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, 'backup', _backup, operands='FILE TARGET',
        does='copy a memory file, also while a robot writes to it',
        more='Copy a memory file as it is at one moment, also while a robot writes to it. The '
             'target is one file, readable by its owner only; it appears once it is whole.',
        examples=('memory.db /backups/memory-2026-11-22.db',))
    add_file(command)
    add_file(command, 'target', 'TARGET', 'the file to write; must not exist')


def _backup(arguments: argparse.Namespace) -> None:
    with progress(arguments, 'copying', 'pages') as on_progress:
        done = backup(arguments.path, arguments.target, on_progress)
    report(arguments, asdict(done),
           f'{done.path}: {done.count} memories, {size_of(done.size_bytes)}')


def _add_restore(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, 'restore', _restore, operands='BACKUP FILE',
        does='make a memory file from a backup or a damaged file',
        more='Make a memory file from a backup, verifying each memory. Nodes that read FILE '
             'build their index anew. With --salvage, BACKUP may be a damaged memory file: what '
             'can be read is kept, and what was lost is counted.',
        examples=('/backups/memory-2026-11-22.db memory.db',
                  'damaged.db saved.db --salvage'))
    add_file(command, 'backup', 'BACKUP', 'the file to read')
    add_file(command, 'path', 'FILE', 'the memory file to make')
    command.add_argument('--overwrite', action='store_true', help='replace FILE if it exists')
    command.add_argument('--salvage', action='store_true',
                         help='take what can be read, leave out what is damaged')


def _restore(arguments: argparse.Namespace) -> None:
    with progress(arguments, 'restoring') as on_progress:
        done = restore(arguments.backup, arguments.path, salvage=arguments.salvage,
                       overwrite=arguments.overwrite, on_progress=on_progress)
    about = '' if done.is_lost_exact else 'about '
    pictures = f', {done.pictures_lost} without their picture' if done.pictures_lost else ''
    report(arguments, {'path': arguments.path, **asdict(done)},
           f'{arguments.path}: {done.written} memories restored{pictures}, {about}{done.lost} '
           'lost')


def _add_check(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, 'check', _check, operands='FILE',
        does='verify every byte that matters; exit status 1 if damaged',
        more='Read a memory file through and verify every memory and picture against its check '
             'sum. Prints what is wrong; exit status 1 where there is anything. The file is not '
             'changed, and may be in use.',
        examples=('memory.db', 'memory.db --json'))
    add_file(command)


def _check(arguments: argparse.Namespace) -> int:
    with progress(arguments, 'checking') as on_progress:
        found = check(arguments.path, on_progress)
    verdict = 'no problem found' if found.is_clean else 'not as it was written:'
    lines = [f'{arguments.path}: {found.count} memories, {verdict}',
             *(f'  {problem}' for problem in found.problems)]
    report(arguments, {'path': arguments.path, 'is_clean': found.is_clean,
                       'count': found.count, 'problems': list(found.problems)}, '\n'.join(lines))
    return 0 if found.is_clean else 1


def _add_compact(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, 'compact', _compact, operands='FILE',
        does='write a memory file anew without gaps',
        more='Write a memory file anew without the gaps that forgetting left, and bring a file '
             'of an older version to the present one. No robot may write to it meanwhile.',
        examples=('memory.db',))
    add_file(command)


def _compact(arguments: argparse.Namespace) -> None:
    with progress(arguments, 'compacting', 'steps') as on_progress:
        done = compact(arguments.path, on_progress)
    report(arguments, {'path': arguments.path, **asdict(done)},
           f'{arguments.path}: {size_of(done.bytes_before)} before, '
           f'{size_of(done.bytes_after)} now')
