"""`spatial-rag evaluate ...`: the group; its commands are the modules *_commands beside it."""

from __future__ import annotations

import argparse

from spatial_rag_core.evaluation import place_commands, predict_commands

_MODULES = (place_commands, predict_commands)


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `evaluate` and its commands; each sets `run(arguments)`."""
    group = groups.add_parser(
        'evaluate', help='what a model is worth on recordings',
        description='Judge a model on real recordings: does it know places again, does it '
                    'foresee.')
    commands = group.add_subparsers(required=True, metavar='COMMAND')
    for module in _MODULES:
        module.register(commands)
