"""`spatial-rag memory forget`: remove memories for good."""

from __future__ import annotations

import argparse
import sys

from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.selection_options import add_selection, selection_of
from spatial_rag_core.memory.file.snapshot import open_memory
from spatial_rag_core.memory.forgetting.forget import forget
from spatial_rag_core.memory.forgetting.selection import matching_seqs
from spatial_rag_core.memory.journal import Journal


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `forget`."""
    command = add_command(
        commands, 'forget', _forget, operands='FILE', does='remove memories for good',
        more='Remove memories and their pictures for good, and give their space back. Asks first '
             'on a terminal; elsewhere --yes is needed. While a robot writes to the file, call '
             'its service /spatial_rag/forget_memories instead. Backups are not touched.',
        examples=('memory.db --session 20261122T170535Z-acca --dry-run',
                  'memory.db --before 2026-10-01 --yes',
                  'memory.db --near 2 -1.5 --radius 3',
                  'memory.db --box 0 0 12.5 8 --label kitchen'))
    add_file(command)
    add_selection(command)
    group = command.add_argument_group('care')
    group.add_argument('--dry-run', action='store_true', help='only count what would go')
    group.add_argument('--yes', action='store_true', help='do not ask')


def _forget(arguments: argparse.Namespace) -> int | None:
    selection = selection_of(arguments)
    is_watched = sys.stdin.isatty() and sys.stderr.isatty()
    if not (arguments.dry_run or arguments.yes or is_watched):
        arguments.usage_error('nobody can be asked here; give --yes, or --dry-run to count')
    with open_memory(arguments.path) as journal:
        count, matched = journal.count, len(matching_seqs(journal, selection))
    if arguments.dry_run or not matched:
        _report(arguments, 0, matched, count)
        return None
    if not (arguments.yes or _agrees(f'Forget {matched} of {count} memories of '
                                     f'{arguments.path} for good? [y/N] ')):
        print('spatial-rag: nothing was forgotten', file=sys.stderr)
        return 1
    with (Journal.open_existing_writer(arguments.path, holder='spatial-rag memory forget') as
          journal, progress(arguments, 'forgetting') as on_progress):
        forgotten = forget(journal, selection, on_progress)
        _report(arguments, forgotten, matched, journal.count)
    return None


def _agrees(question: str) -> bool:
    print(question, end='', file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ('y', 'yes')


def _report(arguments: argparse.Namespace, forgotten: int, matched: int, left: int) -> None:
    values = {'path': arguments.path, 'dry_run': arguments.dry_run, 'matched': matched,
              'forgotten': forgotten, 'left': left}
    report(arguments, values, f'{arguments.path}: ' + (
        f'{matched} of {left} memories would be forgotten' if arguments.dry_run else
        f'{forgotten} memories were forgotten, {left} are left'))
