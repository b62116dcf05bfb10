"""`spatial-rag data info, check`: what a file of episodes holds, and whether it is whole."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.text import clean, size_of, span_of, table, time_of

if TYPE_CHECKING:
    from spatial_rag_core.data.episodes.episode_survey import EpisodeSurvey

_MAX_DAMAGES_SHOWN = 20


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the two."""
    info = add_command(
        commands, 'info', _print_info, operands='FILE', group='data',
        does='print what a file of episodes holds',
        more='Print how many episodes, moments and maps a file holds, split by split, and what '
             'they are made of. Pictures are not read: `check` does.',
        examples=('rooms.h5', 'rooms.h5 --json'))
    add_file(info, what='the file of episodes')
    check = add_command(
        commands, 'check', _check, operands='FILE', group='data',
        does='verify every byte; exit status 1 if damaged',
        more='Read a file of episodes through, and verify every episode, the splits, and that no '
             'map is in two of them. Prints what is wrong; exit status 1 where there is anything.',
        examples=('rooms.h5', 'rooms.h5 --json'))
    add_file(check, what='the file of episodes')


def _print_info(arguments: argparse.Namespace) -> None:
    from spatial_rag_core.data.episodes.episode_survey import survey  # h5py
    with progress(arguments, 'reading', 'episodes') as on_progress:
        found = survey(arguments.path, on_progress)
    report(arguments, asdict(found), _text(found))


def _check(arguments: argparse.Namespace) -> int:
    from spatial_rag_core.data.episodes.episode_check import check  # h5py
    with progress(arguments, 'checking', 'episodes') as on_progress:
        found = check(arguments.path, on_progress)
    verdict = 'no problem found' if found.is_clean else 'not as it should be:'
    lines = [f'{arguments.path}: {found.count} episodes, {verdict}',
             *(f'  {problem}' for problem in found.problems)]
    report(arguments, {'path': arguments.path, 'is_clean': found.is_clean, 'count': found.count,
                       'problems': found.problems}, '\n'.join(lines))
    return 0 if found.is_clean else 1


def _text(found: EpisodeSurvey) -> str:
    splits = table(('split', 'episodes', 'moments', 'hours', 'maps'), [
        (one.split, str(one.episodes), str(one.moments), f'{one.hours:.2f}', str(one.maps))
        for one in found.splits], right=(1, 2, 3, 4), indent=2)
    depth = {True: 'with', False: 'without', None: 'some with'}[found.has_depth]
    facts = [
        f'{found.path}: {found.episodes} episodes, {found.moments} moments, '
        f'{span_of(found.hours * 3600)}, {size_of(found.size_bytes)}', splits,
        f'  pictures: {_list(found.image_sizes_px, " px")}, {depth} depth; '
        f'{_list(found.rates_hz, " Hz")}',
        f'  action_dim: {_list(found.action_dims)}; proprio_dim: {_list(found.proprio_dims)}',
        f'  from {time_of(found.start_sec)} to {time_of(found.end_sec)} UTC',
        *(f'  {name}: {", ".join(clean(word, 40) for word in words)}'
          for name, words in (('robots', found.robots), ('sources', found.sources)) if words)]
    damaged = [f'  damaged: {clean(damage.reason)}'
               for damage in found.damaged[:_MAX_DAMAGES_SHOWN]]
    if more := len(found.damaged) - len(damaged):
        damaged.append(f'  … and {more} more that are damaged')
    return '\n'.join([*facts, *damaged])


def _list(values: tuple[float, ...], unit: str = '') -> str:
    return ', '.join(f'{value:g}{unit}' for value in values) or '-'
