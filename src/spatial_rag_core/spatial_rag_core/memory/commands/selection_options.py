"""Which memories are meant: the options that query, forget, export and map share."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import math

from spatial_rag_core.memory.commands.text import unix_time
from spatial_rag_core.memory.upkeep.rigid_transform import RigidTransform
from spatial_rag_core.records import (
    Box,
    MAX_COORDINATE_M,
    MemorySelection,
    Position,
    Quaternion,
)

_FIELDS = ('ids', 'session', 'robot', 'map_id', 'label', 'after', 'before', 'near', 'radius',
           'box', 'everything')


def add_filters(command: argparse.ArgumentParser) -> None:
    """Add the options for region, time and names."""
    group = command.add_argument_group('which memories (all that is given must hold)')
    group.add_argument('--near', type=float, nargs='+', metavar=('X Y', 'Z'), action=PointAction,
                       help='around X Y [Z] of the map [m]; Z is 0 where it is left out')
    group.add_argument('--radius', type=float, metavar='M',
                       help='at most so far from --near, in three dimensions [m]')
    group.add_argument('--box', type=float, nargs=4, metavar=('X1', 'Y1', 'X2', 'Y2'),
                       help='between two opposite corners of the map [m], at any height')
    group.add_argument('--after', type=unix_time, metavar='TIME',
                       help='not older: ISO 8601 (UTC without an offset) or Unix seconds')
    group.add_argument('--before', type=unix_time, metavar='TIME', help='not newer')
    group.add_argument('--session', metavar='NAME', help='of this session only')
    group.add_argument('--robot', metavar='NAME', help='of this robot only')
    group.add_argument('--map-id', metavar='NAME', help='of this map only')
    group.add_argument('--label', action='append', default=[], metavar='WORD',
                       help='that carry this word; give it again for more words')


def add_selection(command: argparse.ArgumentParser) -> None:
    """Add the filters, and the options for ids and for everything."""
    add_filters(command)
    group = command.add_argument_group('or by name')
    group.add_argument('--id', action='append', default=[], metavar='ID', dest='ids',
                       help='this memory; give it again for more')
    group.add_argument('--everything', action='store_true', help='every memory of the file')


def is_selecting(arguments: argparse.Namespace) -> bool:
    """Whether any of the options of add_selection was given."""
    values = (getattr(arguments, name) for name in _FIELDS)
    return any(value is not None and value is not False and value != [] for value in values)


def selection_of(arguments: argparse.Namespace) -> MemorySelection:
    """Read the options of add_selection; raises ConfigurationError for values out of range."""
    if not is_selecting(arguments):
        arguments.usage_error('nothing is selected; give --id, --near with --radius, --box, '
                              '--after, --before, --session, --robot, --map-id or --label, or '
                              '--everything')
    if (arguments.near is None) != (arguments.radius is None):
        arguments.usage_error('--near and --radius must be given together')
    return MemorySelection(
        ids=tuple(arguments.ids), session=arguments.session, robot=arguments.robot,
        map_id=arguments.map_id, labels=tuple(arguments.label), after=arguments.after,
        before=arguments.before, center=point_of(arguments.near), radius_m=arguments.radius,
        box=box_of(arguments.box), everything=arguments.everything)


def point_of(numbers: Sequence[float] | None) -> Position | None:
    """Position of `--near`."""
    return None if numbers is None else Position(*numbers)


def box_of(corners: Sequence[float] | None) -> Box | None:
    """Box of `--box`; which corner comes first does not matter."""
    if corners is None:
        return None
    x1, y1, x2, y2 = corners
    return Box(Position(min(x1, x2), min(y1, y2), -MAX_COORDINATE_M),
               Position(max(x1, x2), max(y1, y2), MAX_COORDINATE_M))


def yaw_of(yaw_deg: float) -> Quaternion:
    """Turn about the vertical, counter-clockwise from above; raises ConfigurationError."""
    return RigidTransform.planar(0.0, 0.0, math.radians(yaw_deg)).rotation


class PointAction(argparse.Action):
    """Takes two or three numbers."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: object, option_string: str | None = None) -> None:
        """Refuse any other number of them."""
        if not isinstance(values, list) or len(values) not in (2, 3):
            parser.error(f'argument {option_string}: expected X Y or X Y Z [m]')
        setattr(namespace, self.dest, values)
