"""`spatial-rag memory ...`: the group; its commands are the modules of memory/commands."""

from __future__ import annotations

import argparse

from spatial_rag_core.memory.commands import (
    exchange,
    forget,
    info,
    picture,
    query,
    rewriting,
    safekeeping,
)

_MODULES = (info, query, picture, forget, safekeeping, exchange, rewriting)


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `memory` and its commands; each sets `run(arguments)`."""
    group = groups.add_parser(
        'memory', help='memory files: look into one, ask it, keep it safe, change it',
        description='Work on memory files. Exit status: 0 done, 1 not possible or a problem was '
                    'found, 2 the words of the command are wrong.',
        epilog='`spatial-rag memory COMMAND --help` has examples.')
    commands = group.add_subparsers(required=True, metavar='COMMAND')
    for module in _MODULES:
        module.register(commands)
