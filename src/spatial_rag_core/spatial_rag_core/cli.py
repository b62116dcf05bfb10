"""The `spatial-rag` command; each group of commands is a module that registers its parsers."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from decimal import Decimal
import os
import re
import sys

from spatial_rag_core import __version__
from spatial_rag_core.data.commands import data_commands
from spatial_rag_core.errors import SpatialRagError
from spatial_rag_core.evaluation import evaluation_commands, gain_commands, report_commands
from spatial_rag_core.memory import memory_commands
from spatial_rag_core.models import bundle_commands
from spatial_rag_core.training import train_commands
from spatial_rag_core.view import view_commands

_GROUPS = (bundle_commands, memory_commands, data_commands, evaluation_commands,
           report_commands, gain_commands, train_commands, view_commands)
_FOR_TRAINING = ('gymnasium', 'h5py', 'lightning', 'tensorboard')
"""What a robot that only runs a bundle need not have."""
_SMALL_NUMBER = re.compile(r'-(\d+\.?\d*|\.\d+)[eE][+-]?\d{1,3}')


def main(argv: Sequence[str] | None = None) -> int:
    """
    Run one command and return its exit status.

    0: done; 1: not possible (one line on stderr), or a problem that the command looked for was
    found; 130: Ctrl-C; 141: nobody reads the output any more. Words that are wrong end in
    SystemExit with 2.
    """
    arguments = _parser().parse_args(_plain_numbers(sys.argv[1:] if argv is None else argv))
    try:
        status = arguments.run(arguments)
        sys.stdout.flush()
    except SpatialRagError as error:
        print(f'spatial-rag: {error}', file=sys.stderr)
        return 1
    except ModuleNotFoundError as error:
        if error.name not in _FOR_TRAINING:
            raise
        print(f'spatial-rag: {error}; this command needs what training needs: '
              'pip install -r requirements/training.txt', file=sys.stderr)
        return 1
    except KeyboardInterrupt as interrupt:
        print(f"spatial-rag: {str(interrupt) or 'interrupted'}", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the exit complains
        return 141
    return int(status or 0)


def _plain_numbers(words: Sequence[str]) -> list[str]:
    """Write -1e-05 as -0.00001: argparse would take it for an option."""
    return [format(Decimal(word), 'f') if _SMALL_NUMBER.fullmatch(word) else word
            for word in words]


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
