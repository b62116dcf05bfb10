"""`spatial-rag bundle …`: make a model file, look into one."""

from __future__ import annotations

import argparse
from dataclasses import asdict
import json
from pathlib import Path

from spatial_rag_core.errors import BundleError
from spatial_rag_core.models.bundle_metadata import read_metadata
from spatial_rag_core.settings import Settings


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `bundle` and its commands; each sets `run(arguments)`."""
    group = groups.add_parser('bundle', help='model files: make one, look into one')
    commands = group.add_subparsers(required=True, metavar='COMMAND')
    create = commands.add_parser(
        'create-untrained', help='write a model with random weights',
        description='Write a model with random weights, sized by the environment variables Z_DIM '
                    'and ACTION_DIM (numbers), IMAGE_SIZE (px), TOPK (memories), '
                    'USE_TINY_MODELS (true or false).')
    create.add_argument('path', type=Path, metavar='PATH', help='the file to write')
    create.add_argument('--seed', type=int, default=0, metavar='N',
                        help='whole number >= 0; the same seed gives the same model (default: 0)')
    create.add_argument('--if-missing', action='store_true',
                        help='leave a bundle that is already there as it is')
    create.set_defaults(run=create_untrained)
    info = commands.add_parser('info', help='print what a model file says about itself')
    info.add_argument('path', type=Path, metavar='PATH', help='the bundle file')
    info.add_argument('--json', action='store_true',
                      help='as one JSON object; image_size is in px')
    info.set_defaults(run=print_info)


def create_untrained(arguments: argparse.Namespace) -> None:
    """Write an untrained bundle; raises BundleError rather than replace a trained one."""
    path: Path = arguments.path
    if arguments.if_missing and path.exists():
        print(f'{path}: already there, model_id {read_metadata(path).model_id}')
        return
    if _holds_trained_model(path):
        raise BundleError(f'{path}: holds a trained model; choose another path, or delete it')
    from spatial_rag_core.models.untrained import create_untrained_bundle  # torch: seconds
    metadata = create_untrained_bundle(path, Settings.from_environment(), arguments.seed)
    print(f'{path}: untrained {metadata.architecture} model, model_id {metadata.model_id}')


def print_info(arguments: argparse.Namespace) -> None:
    """Print the metadata of a bundle."""
    metadata = read_metadata(arguments.path)
    if arguments.json:
        print(metadata.to_json())
        return
    for name, value in asdict(metadata).items():
        print(f'{name:<20}{json.dumps(value)}')


def _holds_trained_model(path: Path) -> bool:
    try:
        return read_metadata(path).trained
    except BundleError:
        return False
