"""What `run_stack` is asked to do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
import math
from pathlib import Path
import re
from typing import NoReturn

from spatial_rag_bringup.defaults import profile_file
from spatial_rag_core.errors import ConfigurationError

import yaml


@dataclass(frozen=True)
class RunOptions:
    """
    One run.

    bag: recording, None for the simulated robot.  duration_sec: None to go on until the bag's
    end or Ctrl-C.  remap: the recording's topic → the stack's topic.
    """

    bag: Path | None
    duration_sec: float | None
    composition: bool
    memory: Path | None
    model: Path | None
    rate: float
    loop: bool
    namespace: str
    log_level: str
    remap: dict[str, str]
    respawn: bool
    params_file: Path
    pose_axes: str | None

    def __post_init__(self) -> None:
        if self.duration_sec is not None and not 0 < self.duration_sec < math.inf:
            raise ConfigurationError(f'DURATION must be > 0 s, got {self.duration_sec}')
        if not 0.01 <= self.rate <= 100:
            raise ConfigurationError(f'RATE must lie between 0.01 and 100, got {self.rate}')
        if not re.fullmatch(r'/?([A-Za-z_]\w*(/[A-Za-z_]\w*)*/?)?', self.namespace, re.ASCII):
            raise ConfigurationError('NAMESPACE must be names of letters, digits and _, joined by '
                                     f'/, got {self.namespace!r}')
        _require_parameter_file(self.params_file)


def _require_parameter_file(path: Path) -> None:
    if not path.is_file():
        raise ConfigurationError(f'parameter file {path} does not exist')
    try:
        is_mapping = isinstance(yaml.safe_load(path.read_text()), dict)
        reason = 'it must hold node names and their ros__parameters'
    except (yaml.YAMLError, OSError, UnicodeError) as error:
        is_mapping, reason = False, ' '.join(str(error).split())
    if not is_mapping:
        raise ConfigurationError(f'parameter file {path} cannot be used: {reason}')


def parse(argv: Sequence[str] | None = None) -> RunOptions:
    """Read the command line; `make run` passes NAME=value as --name value."""
    parser = _Parser(
        prog='run_stack', description='Start all nodes on a simulated robot or a recording, '
        'watch them, and end them.')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--robot', choices=['sim'], help='simulated robot (the default)')
    source.add_argument('--bag', type=Path, help='rosbag2 folder, .mcap or .db3 file')
    parser.add_argument('--duration', type=_number, metavar='SEC', help='end after so long [s]; a '
                        'recording with less than 1 s left is played to its end')
    parser.add_argument('--composition', type=_boolean, default=False, metavar='true|false',
                        help='the four nodes in one process')
    parser.add_argument('--memory', type=Path, help='memory file, made where it is missing')
    parser.add_argument('--model', type=Path, help='model bundle; default: WM_CHECKPOINT_PATH, '
                        'else the one that ships')
    parser.add_argument('--rate', type=_number, default=1.0, help='speed of the recording')
    parser.add_argument('--loop', type=_boolean, default=False, metavar='true|false',
                        help='play the recording again and again')
    parser.add_argument('--namespace', default='', help='namespace of all nodes')
    parser.add_argument('--log-level', default='info',
                        choices=['debug', 'info', 'warn', 'error', 'fatal'])
    parser.add_argument('--remap', type=_remap, default={}, metavar='"FROM:=TO …"',
                        help="rename the recording's topics")
    parser.add_argument('--respawn', type=_boolean, default=False, metavar='true|false',
                        help='start a node again that a signal or a crash ended; not one that '
                        'refused to start (exit code 1)')
    parser.add_argument('--params', type=Path, default=None, help='parameters of the nodes '
                        '(YAML); default: profile sim, for a recording cpu')
    parser.add_argument('--axes', choices=['body', 'optical'], default=None, help='axes of the '
                        'pose, where actions are derived from motion: body (x forward), or '
                        "optical (z forward, a camera's own pose)")
    args = parser.parse_args(argv)
    return RunOptions(
        args.bag, args.duration, args.composition, args.memory, args.model, args.rate, args.loop,
        args.namespace, args.log_level, args.remap, args.respawn,
        args.params or profile_file('cpu' if args.bag else 'sim'), args.axes)


class _Parser(argparse.ArgumentParser):
    """Tells a mistake in one line."""

    def error(self, message: str) -> NoReturn:
        raise ConfigurationError(f'{message}; see {self.prog} --help')


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'must be a number, got {text!r}') from None


def _boolean(text: str) -> bool:
    if text.lower() not in ('true', 'false'):
        raise argparse.ArgumentTypeError(f'must be true or false, got {text!r}')
    return text.lower() == 'true'


def _remap(text: str) -> dict[str, str]:
    rules = {}
    for rule in text.split():
        source, separator, target = rule.partition(':=')
        if not (separator and source and target):
            raise argparse.ArgumentTypeError(f'must be FROM:=TO, got {rule!r}')
        rules[source] = target
    return rules
