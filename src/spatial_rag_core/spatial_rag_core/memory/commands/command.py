"""What all commands have in common: help with examples, --json, --quiet, a line or an object."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
import json
import math
from pathlib import Path
import textwrap
from typing import Any

Run = Callable[[argparse.Namespace], 'int | None']
"""Does the work of a command; what it returns is the exit status, None is 0."""


def add_command(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str,
                run: Run, *, operands: str, does: str, more: str,
                examples: Sequence[str], group: str = 'memory') -> argparse.ArgumentParser:
    """
    Add a command; `arguments.run` does its work, `arguments.usage_error` refuses its words.

    operands: as its usage shows them.  does: one line for the list of commands.  more: the text
    of its own help.  examples: what follows `spatial-rag GROUP NAME`.  group: '': of none.
    """
    command = commands.add_parser(
        name, help=does, usage=f'%(prog)s {operands} [options]', allow_abbrev=False,
        description=textwrap.fill(more, 78),
        epilog='\n'.join(['examples:', *(
            ' '.join(['  spatial-rag', *filter(None, (group, name, example))])
            for example in examples)]),
        formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument('--json', action='store_true', help='print one JSON object')
    command.add_argument('--quiet', action='store_true',
                         help='show no progress; without a terminal there is none anyway')
    command.set_defaults(run=run, usage_error=command.error)
    return command


def add_file(command: argparse.ArgumentParser, name: str = 'path', metavar: str = 'FILE',
             what: str = 'the memory file') -> None:
    """Add an operand that names a file."""
    command.add_argument(name, type=Path, metavar=metavar, help=what)


def report(arguments: argparse.Namespace, values: Mapping[str, Any], text: str) -> None:
    """Print the values as JSON where that is asked for, else the text."""
    if arguments.json:
        print(json.dumps(_plain(values), ensure_ascii=False, allow_nan=False))
    elif text:
        print(text)


def _plain(value: Any) -> Any:
    """The same in words of JSON: paths are text, what is not a number is null."""
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return str(value) if isinstance(value, Path) else value
