"""`spatial-rag train`: a bundle from episodes or from recordings."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import textwrap
from typing import TYPE_CHECKING

from spatial_rag_core.data.commands.recording_options import add_recording_options, reading_of
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.time_split import add_split_options, split_of
from spatial_rag_core.settings import Settings

if TYPE_CHECKING:
    from spatial_rag_core.training.training_config import TrainingConfig
    from spatial_rag_core.training.training_data import TrainingData

BUNDLE = Path('artifacts/encoder_transition.pt')
CHECKPOINTS = Path('checkpoints')
EPISODES = Path('data/rooms2d.h5')


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `train`; it sets `run(arguments)`."""
    command = groups.add_parser(
        'train', help='a bundle from episodes or from recordings', allow_abbrev=False,
        description=textwrap.fill(
            'Train encoder, decoder and transition, and write checkpoints/model.pt, the bundle '
            'that robots load, and a model card beside it. What was interrupted goes on with '
            '--resume. The environment variables Z_DIM, ACTION_DIM, TOPK, IMAGE_SIZE and '
            'USE_TINY_MODELS size the model; --config says everything else.', 78),
        epilog='examples:\n  spatial-rag train --data data/rooms2d.h5\n'
               '  spatial-rag train --bag tour.mcap --out artifacts/home.pt\n'
               '  spatial-rag train --bag monday --bag tuesday --map-id home\n'
               '  spatial-rag train --config my.yaml --resume\n'
               '  USE_TINY_MODELS=false spatial-rag train --encoder-weights resnet18.pth',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    _add_sources(command)
    _add_results(command)
    _add_machine(command)
    add_recording_options(command)
    add_split_options(command)
    command.set_defaults(run=train)


def _add_sources(command: argparse.ArgumentParser) -> None:
    source = command.add_mutually_exclusive_group()
    source.add_argument('--data', type=Path, default=EPISODES, metavar='FILE',
                        help=f'episodes, see `spatial-rag data` (default: {EPISODES})')
    source.add_argument('--bag', type=Path, action='append', metavar='BAG',
                        help='learn from a recording alone; may be repeated')
    command.add_argument('--map-id', metavar='NAME',
                         help='the recordings are of one place, their poses in one map frame; '
                              'without it each is a place of its own')
    command.add_argument('--config', type=Path, metavar='FILE',
                         help='YAML; what it does not say is as printed by --print-config')
    command.add_argument('--print-config', action='store_true',
                         help='print the configuration that would be used, and end')
    command.add_argument('--encoder-weights', type=Path, metavar='FILE',
                         help="begin with torchvision's published weights of ResNet-18")
    command.add_argument('--seed', type=int, metavar='N', help='of all that is drawn by lot')


def _add_results(command: argparse.ArgumentParser) -> None:
    command.add_argument('-o', '--out', type=Path, default=BUNDLE, metavar='FILE',
                         help=f'the bundle (default: {BUNDLE})')
    command.add_argument('--checkpoints', type=Path, default=CHECKPOINTS, metavar='FOLDER',
                         help='for model.pt, what --resume needs, and TensorBoard '
                              f'(default: {CHECKPOINTS})')
    command.add_argument('--resume', action='store_true', help='go on where it was interrupted')
    command.add_argument('--json', action='store_true', help='print one JSON object at the end')
    command.add_argument('--quiet', action='store_true',
                         help='show no progress; without a terminal there is none anyway')


def _add_machine(command: argparse.ArgumentParser) -> None:
    group = command.add_argument_group('where it runs')
    group.add_argument('--accelerator', default='auto', metavar='NAME',
                       help='cpu, cuda, … (default: the best there is)')
    group.add_argument('--devices', default='auto', metavar='N',
                       help='how many of them (default: all; 1 process on a CPU)')
    group.add_argument('--num-nodes', type=int, default=1, metavar='N',
                       help='machines; start the same command on each with MASTER_ADDR, '
                            'MASTER_PORT and NODE_RANK set')
    group.add_argument('--num-threads', type=int, metavar='N',
                       help="torch's threads of each process (default: one for each core)")


def train(arguments: argparse.Namespace) -> None:
    """Train, export, and write the model card."""
    config = _config(arguments)
    if arguments.print_config:
        _print_config(config)
        return
    from spatial_rag_core.training.release import release
    card = release(_data(arguments, config), config, arguments)
    if arguments.json:
        print(json.dumps(card.facts, ensure_ascii=False, allow_nan=False))
    else:
        print(card.summary)


def _config(arguments: argparse.Namespace) -> TrainingConfig:
    from spatial_rag_core.training.training_config import changed, TrainingConfig
    config = TrainingConfig.from_settings(Settings.from_environment())
    if arguments.bag:
        config = changed(config, TrainingConfig.FOR_RECORDINGS, 'recordings')
    if arguments.config is not None:
        config = TrainingConfig.load(arguments.config, config)
    if arguments.seed is not None:
        config = changed(config, {'seed': arguments.seed}, '--seed')
    return config


def _print_config(config: TrainingConfig) -> None:
    from spatial_rag_core.training.training_config import as_values

    import yaml
    print(yaml.safe_dump(as_values(config), sort_keys=False), end='')


def _data(arguments: argparse.Namespace, config: TrainingConfig) -> TrainingData:
    from spatial_rag_core.training.recordings import data_from_bags
    from spatial_rag_core.training.training_data import TrainingData
    split = split_of(arguments)
    if arguments.bag:
        return data_from_bags(arguments.bag, config, split, map_id=arguments.map_id,
                              **reading_of(arguments))
    if arguments.map_id is not None:
        raise ConfigurationError('--map-id is for --bag; a file of episodes names its maps: '
                                 'give it to `spatial-rag data collect`')
    if split is not None:
        raise ConfigurationError('--leave-out-sec is for --bag; a file of episodes has its test '
                                 'maps')
    return TrainingData.from_file(arguments.data, lambda told: print(told, flush=True))
