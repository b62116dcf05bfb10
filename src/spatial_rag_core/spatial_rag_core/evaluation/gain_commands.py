"""`spatial-rag experiment retrieval-gain`: whether memory pays, shown by training."""

from __future__ import annotations

import argparse
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
import platform
import shlex
import sys
import textwrap
from typing import TYPE_CHECKING

from spatial_rag_core import __version__
from spatial_rag_core.evaluation.report_commands import DEFAULT_FOLDER

if TYPE_CHECKING:
    from spatial_rag_core.evaluation.gain_config import GainConfig
    from spatial_rag_core.evaluation.results import ExperimentPlan


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `experiment` and its commands; each sets `run(arguments)`."""
    group = groups.add_parser('experiment', help='experiments that can be repeated')
    commands = group.add_subparsers(required=True, metavar='COMMAND')
    command = commands.add_parser(
        'retrieval-gain', help='whether memory makes predictions better, and with how few '
        'examples', allow_abbrev=False, description=textwrap.fill(
            'Train models with and without memory on ever more maps, measure them on maps never '
            'seen, put a tour of a changed map into the memory, and leave results for '
            '`spatial-rag report`. What was interrupted goes on when the same command is given '
            'again. --quick takes minutes; the whole takes hours on two cores.', 78),
        epilog='examples:\n  spatial-rag experiment retrieval-gain --quick\n'
               '  spatial-rag experiment retrieval-gain --workers 2\n  spatial-rag report',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument('folder', type=Path, nargs='?', default=DEFAULT_FOLDER, metavar='FOLDER',
                         help=f'for the results (default: {DEFAULT_FOLDER})')
    command.add_argument('--quick', action='store_true',
                         help='three sizes, one seed, short trainings')
    command.add_argument('--seeds', type=int, metavar='N', help='the first so many seeds')
    command.add_argument('--sizes', type=int, nargs='+', metavar='N', help='training maps')
    command.add_argument('--workers', type=int, metavar='N',
                         help='trainings at once (default: one for each core)')
    command.add_argument('--quiet', action='store_true', help='show no progress')
    command.set_defaults(run=retrieval_gain)


def retrieval_gain(arguments: argparse.Namespace) -> None:
    """Run what is missing of the experiment."""
    from spatial_rag_core.evaluation.gain_config import GainConfig
    from spatial_rag_core.evaluation.gain_data import make_episodes
    from spatial_rag_core.evaluation.retrieval_gain import default_workers, run_experiment
    config = GainConfig.short() if arguments.quick else GainConfig()
    if arguments.sizes:
        config = replace(config, sizes=tuple(sorted(arguments.sizes)))
    if arguments.seeds:
        config = replace(config, seeds=tuple(range(arguments.seeds)))
    folder, workers = arguments.folder, arguments.workers or default_workers()

    def tell(text: str) -> None:
        if not arguments.quiet:
            print(text, flush=True)
    plan = _plan(folder, config)
    tell(f'{config.episodes.episode_count} drives through '
         f'{sum(config.episodes.maps_of.values())} maps')
    make_episodes(folder, config, workers)
    plan.save(folder)
    run_experiment(folder, config, workers, tell)
    tell(f'done: spatial-rag report {folder}')


def _plan(folder: Path, config: GainConfig) -> ExperimentPlan:
    """Say what is to be done; raises TrainingError where the folder holds another experiment."""
    from spatial_rag_core.evaluation.gain_plan import joined_plan
    from spatial_rag_core.evaluation.results import ExperimentPlan

    import torch
    variants = config.sizes_of
    return joined_plan(folder, ExperimentPlan(
        command=shlex.join(['spatial-rag', *sys.argv[1:]]), sizes=config.sizes,
        seeds=config.seeds, variants=tuple(variants), horizons=config.horizons,
        step_sec=config.training.step_sec, sizes_of=variants,
        frames_per_map=config.steps_per_drive,
        quick=config.quick, date=datetime.now(timezone.utc).date().isoformat(),
        machine=f'{platform.machine()}, {platform.processor() or platform.system()}',
        software={'spatial_rag': __version__, 'torch': torch.__version__,
                  'python': platform.python_version()}, notes=config.facts))
