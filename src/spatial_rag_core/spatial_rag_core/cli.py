"""The `spatial-rag` command; each group of commands is a module that registers its parsers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys

from spatial_rag_core import __version__
from spatial_rag_core.errors import SpatialRagError
from spatial_rag_core.memory import memory_commands
from spatial_rag_core.models import bundle_commands

_GROUPS = (bundle_commands, memory_commands)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; 0 for success, 1 for an error (one line on stderr), 130 for Ctrl-C."""
    arguments = _parser().parse_args(argv)
    try:
        arguments.run(arguments)
    except SpatialRagError as error:
        print(f'spatial-rag: {error}', file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print('spatial-rag: interrupted', file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog='spatial-rag', description='A place memory for robots and its world model.')
    parser.add_argument('--version', action='version', version=f'%(prog)s {__version__}')
    groups = parser.add_subparsers(required=True, metavar='GROUP')
    for group in _GROUPS:
        group.register(groups)
    return parser


if __name__ == '__main__':
    sys.exit(main())
