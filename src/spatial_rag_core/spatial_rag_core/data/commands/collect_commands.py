"""`spatial-rag data collect`: episodes of recordings."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict
import os
from pathlib import Path
import time
from typing import TYPE_CHECKING

from spatial_rag_core.data.commands.recording_options import add_recording_options, reading_of
from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.text import span_of

if TYPE_CHECKING:  # it brings h5py and OpenCV
    from spatial_rag_core.data.collecting.collect import BagReport


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `collect`."""
    command = add_command(
        commands, 'collect', _collect, operands='FILE RECORDING [RECORDING …]', group='data',
        does='read recordings into episodes',
        more='Read recordings, rosbag2 (MCAP, SQLite) or ROS 1 (.bag), into a file of episodes '
             'of a steady rate. What was interrupted goes on where it was; a recording that is '
             'in the file already is passed over. A damaged one is named at the end, what lay '
             'before the damage is kept, and the exit status is 1. All recordings of one place '
             'need one --map-id, or each counts as a place of its own.',
        examples=('kitchen.h5 recordings/kitchen_a --axes optical',
                  'hall.h5 monday.bag tuesday.mcap --map-id hall --workers 2',
                  'hall.h5 run_7 --remap /front/rgb:=/camera/image_raw --rate-hz 10'))
    add_file(command, what='the file to write')
    command.add_argument('bags', type=Path, nargs='+', metavar='RECORDING',
                         help='a rosbag2 folder, or a .mcap, .db3 or .bag file')
    _add_options(command)


def _add_options(command: argparse.ArgumentParser) -> None:
    add_recording_options(command)
    command.add_argument('--image-size', type=int, default=64, metavar='PX',
                         help='side of the pictures (default: 64)')
    command.add_argument('--actions', choices=('auto', 'topic', 'motion'), default='auto',
                         help='from their topic, or derived from the motion; auto: from the '
                              'topic where there is one (default)')
    command.add_argument('--action-dim', type=int, metavar='N', help='numbers in an action '
                         '(default: as recorded; 2 where derived: forward and turn)')
    command.add_argument('--map-id', metavar='NAME', help='the place, of all recordings '
                         '(default: the name of each)')
    command.add_argument('--robot', default='', metavar='NAME', help='whose recordings these are')
    command.add_argument('--split', choices=('train', 'valid', 'test', 'auto'), default='auto',
                         help='auto: 10 %% of the maps for validation, 10 %% for the test, drawn '
                              'by name (default)')
    command.add_argument('--max-gap-sec', type=float, default=0.25, metavar='SEC',
                         help='a longer gap begins a new episode (default: 0.25)')
    command.add_argument('--max-episode-sec', type=float, default=120.0, metavar='SEC',
                         help='longer episodes are cut (default: 120)')
    command.add_argument('--no-depth', action='store_true', help='leave depth pictures out')
    command.add_argument('--workers', type=int, default=None, metavar='N',
                         help='processes that read (default: one for each core)')


def _collect(arguments: argparse.Namespace) -> int:
    from spatial_rag_core.data.collecting.collect import collect  # h5py
    from spatial_rag_core.data.collecting.collect_config import CollectConfig  # NumPy
    config = CollectConfig(
        image_size=arguments.image_size, action_dim=arguments.action_dim,
        action_source=arguments.actions, map_id=arguments.map_id, robot=arguments.robot,
        max_gap_sec=arguments.max_gap_sec, max_episode_sec=arguments.max_episode_sec,
        with_depth=not arguments.no_depth, **reading_of(arguments))
    begun = time.monotonic()
    workers = os.cpu_count() or 1 if arguments.workers is None else arguments.workers
    with progress(arguments, 'collecting', 's of recording') as on_progress:
        bags = collect(arguments.path, arguments.bags, config, arguments.split, workers,
                       on_progress)
    wall_sec = time.monotonic() - begun
    report(arguments, _values(arguments.path, bags, wall_sec),
           _text(arguments.path, bags, wall_sec))
    return 1 if any(bag.status == 'failed' for bag in bags) else 0


def _values(path: Path, bags: Sequence[BagReport], wall_sec: float) -> dict[str, object]:
    recorded_sec = sum(bag.duration_sec for bag in bags)
    return {'path': path, 'episodes': sum(bag.episodes for bag in bags),
            'frames': sum(bag.frames for bag in bags), 'recorded_sec': recorded_sec,
            'wall_sec': wall_sec, 'times_real_time': recorded_sec / wall_sec,
            'recordings': [asdict(bag) for bag in bags]}


def _text(path: Path, bags: Sequence[BagReport], wall_sec: float) -> str:
    recorded_sec = sum(bag.duration_sec for bag in bags)
    speed = (f', of {span_of(recorded_sec)} of recording in {wall_sec:.1f} s '
             f'({recorded_sec / wall_sec:.1f} times as fast)') if recorded_sec else ''
    lines = [f'{path}: {sum(bag.episodes for bag in bags)} episodes added, '
             f'{sum(bag.frames for bag in bags)} moments{speed}']
    for bag in bags:
        told = f', {bag.episodes} episodes for {bag.split}' if bag.episodes else ''
        lines.append(f'  {bag.status}: {bag.path}{told}')
        if bag.reason:
            lines.append(f'    {bag.reason}')
        lines += [f'    {count} {kind.replace("_", " ")}: {bag.reasons[kind]}'
                  for kind, count in bag.findings.items()]
    return '\n'.join(lines)
