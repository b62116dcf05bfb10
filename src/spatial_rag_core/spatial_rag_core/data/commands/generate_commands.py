"""`spatial-rag data generate`: episodes of the simulated world."""

from __future__ import annotations

import argparse

from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.text import size_of


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `generate`."""
    command = add_command(
        commands, 'generate', _generate, operands='FILE --maps N', group='data',
        does='simulate drives through Rooms2D',
        more='Simulate drives through maps of Rooms2D and write them to a file of episodes. What '
             'was interrupted goes on where it was when the same command is given again; a file '
             'that holds something else is refused. The episodes are the same for any number of '
             'workers.',
        examples=('rooms.h5 --maps 200 --valid-maps 20 --test-maps 20 --workers 2',
                  'loops.h5 --maps 10 --steps 1000 --policy loops --no-depth'))
    add_file(command, what='the file to write')
    for name, default, what in (
            ('maps', None, 'maps for training'), ('valid-maps', 0, 'maps for validation'),
            ('test-maps', 0, 'maps for the test'),
            ('episodes-per-map', 1, 'drives through each map'),
            ('steps', 400, 'moments of a drive'),
            ('seed', 0, 'another one gives other maps'),
            ('workers', 1, 'processes that simulate'),
            ('image-size', 64, 'side of the pictures [px]')):
        default_text = '' if default is None else f' (default: {default})'
        command.add_argument(f'--{name}', type=int, default=default, metavar='N',
                             required=default is None, help=what + default_text)
    command.add_argument('--rate-hz', type=float, default=5.0, metavar='HZ',
                         help='moments a second (default: 5)')
    command.add_argument('--policy', default='mixed', metavar='NAME',
                         help='loops, frontier, patrol or random_walk, how to explore; mixed '
                              'takes them in turn (default)')
    command.add_argument('--no-depth', action='store_true', help='leave depth pictures out')


def _generate(arguments: argparse.Namespace) -> None:
    from spatial_rag_core.data.generate import generate  # h5py
    from spatial_rag_core.data.generate_plan import GenerateConfig
    config = GenerateConfig(
        maps=arguments.maps, valid_maps=arguments.valid_maps, test_maps=arguments.test_maps,
        episodes_per_map=arguments.episodes_per_map, steps=arguments.steps,
        rate_hz=arguments.rate_hz, policy=arguments.policy, seed=arguments.seed,
        image_size_px=arguments.image_size, with_depth=not arguments.no_depth)
    with progress(arguments, 'simulating', 'episodes') as on_progress:
        added = generate(arguments.path, config, arguments.workers, on_progress)
    count, size_bytes = config.episode_count, arguments.path.stat().st_size
    report(arguments, {'path': arguments.path, 'count': count, 'added': added,
                       'frames': count * config.steps, 'size_bytes': size_bytes},
           f'{arguments.path}: {count} episodes of {config.steps} moments, {added} of them new, '
           f'{size_of(size_bytes)}')
