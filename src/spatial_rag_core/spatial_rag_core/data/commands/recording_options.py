"""How a recording is read: the options that commands about recordings share."""

from __future__ import annotations

import argparse
from typing import Any


def add_recording_options(command: argparse.ArgumentParser) -> None:
    """Add how a recording is read; see reading_of."""
    group = command.add_argument_group('how recordings are read')
    group.add_argument('--rate-hz', type=float, default=20.0, metavar='HZ',
                       help='frames a second that are taken (default: 20)')
    group.add_argument('--axes', choices=('body', 'optical'), default='body',
                       help='of the poses: body (x forward, z up), optical (z forward, y down)')
    group.add_argument('--poses', choices=('auto', 'topic', 'tf'), default='auto',
                       help='from a topic (PoseStamped, Odometry) or from the transforms; auto: '
                       'from the topic where there is one (default)')
    group.add_argument('--map-frame', default='map', metavar='FRAME',
                       help='for --poses tf: in which the poses are (default: map)')
    group.add_argument('--base-frame', default='base_link', metavar='FRAME',
                       help='for --poses tf: that of the robot (default: base_link)')
    group.add_argument('--remap', type=_remapping, action='append', default=[],
                       metavar='FROM:=TO', help='take a recorded topic for one of the contract, '
                       'as /front/rgb:=/camera/image_raw or /robot1/tf:=/tf; may be repeated')


def reading_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """What the options say, as fields of CollectConfig."""
    return {'rate_hz': arguments.rate_hz, 'pose_axes': arguments.axes,
            'pose_source': arguments.poses, 'map_frame': arguments.map_frame,
            'base_frame': arguments.base_frame, 'remap': dict(arguments.remap)}


def _remapping(text: str) -> tuple[str, str]:
    recorded, separator, name = text.partition(':=')
    if not (separator and recorded and name):
        raise argparse.ArgumentTypeError(f'{text!r} is no FROM:=TO; write for instance '
                                         '/front/rgb:=/camera/image_raw')
    return recorded, name
