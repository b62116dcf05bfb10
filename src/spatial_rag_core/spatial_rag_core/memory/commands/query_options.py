"""What a query asks for: the options of `spatial-rag memory query` alone."""

from __future__ import annotations

import argparse
from pathlib import Path

from spatial_rag_core.memory.commands.text import unix_time


def add_likeness(command: argparse.ArgumentParser) -> None:
    """Add what the memories shall be like."""
    group = command.add_argument_group('like what')
    latent = group.add_mutually_exclusive_group()
    latent.add_argument('--like', metavar='ID', help='like this memory, and near it where '
                                                     '--radius is given without --near')
    latent.add_argument('--image', type=Path, metavar='PICTURE',
                        help='like this picture, as --model sees it')
    latent.add_argument('--latent', metavar='JSON', help='like this latent, a list of numbers')
    group.add_argument('--model', type=Path, metavar='BUNDLE',
                       help='the model file that encodes --image')


def add_ranking(command: argparse.ArgumentParser) -> None:
    """Add how many memories shall come, in which order, and how far from the asker."""
    group = command.add_argument_group('in which order')
    group.add_argument('--k', type=int, default=8, metavar='N',
                       help='at most N memories, 1 to 10000 (default: 8)')
    group.add_argument('--rank-by', choices=('latent', 'pose'),
                       help='default: latent where one is given')
    group.add_argument('--metric', choices=('l2', 'cosine'), default='l2',
                       help='distance of latents (default: l2)')
    group.add_argument('--diversity', type=float, default=0.0, metavar='W',
                       help='0: the nearest (default); towards 1: less of the same')
    group.add_argument('--yaw-deg', type=float, default=0.0, metavar='D',
                       help='heading at --near, for the order by pose: counter-clockwise from '
                            'the x axis of the map (default: 0)')
    group.add_argument('--max-dz', type=float, metavar='M',
                       help='at most so far above or below --near [m], to stay on one floor')
    group.add_argument('--min-age', type=float, default=0.0, metavar='SEC',
                       help='at least so long before or after --at [s]')
    group.add_argument('--at', type=unix_time, metavar='TIME',
                       help='the moment of asking (default: that of --like, else now)')
