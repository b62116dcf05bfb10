"""How a recording is read: the options that commands about recordings share."""

from __future__ import annotations

import argparse


def add_recording_options(command: argparse.ArgumentParser) -> None:
    """Add how a recording is read."""
    group = command.add_argument_group('how recordings are read')
    group.add_argument('--rate-hz', type=float, default=20.0, metavar='HZ',
                       help='frames a second that are taken (default: 20)')
    group.add_argument('--axes', choices=('body', 'optical'), default='body',
                       help='axes of the poses: body (x forward) or optical (z forward)')
    group.add_argument('--remap', type=_remapping, action='append', default=[],
                       metavar='NAME:=NAME', help='a recorded topic and the name that it shall '
                       'have, such as /front/image:=/camera/image_raw; may be repeated')


def _remapping(text: str) -> tuple[str, str]:
    recorded, sign, name = text.partition(':=')
    if not (recorded and sign and name):
        raise argparse.ArgumentTypeError(f'{text!r} is no pair; write /recorded:=/other')
    return recorded, name
