"""`spatial-rag data …`: the group; its commands are in modules of their own."""

from __future__ import annotations

import argparse

from spatial_rag_core.data.commands import collect_commands, generate_commands, inspect_commands

_MODULES = (generate_commands, collect_commands, inspect_commands)


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `data` and its commands; each sets `run(arguments)`."""
    group = groups.add_parser(
        'data', help='files of episodes: make them, look into one, verify one',
        description='Work on files of episodes, which models are trained and judged with. Exit '
                    'status: 0 done, 1 not possible or a problem was found, 2 the words of the '
                    'command are wrong.',
        epilog='`spatial-rag data COMMAND --help` has examples.')
    commands = group.add_subparsers(required=True, metavar='COMMAND')
    for module in _MODULES:
        module.register(commands)
