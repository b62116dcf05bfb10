"""`spatial-rag memory reencode, reanchor`: the same memories for another model or another map."""

from __future__ import annotations

import argparse
from dataclasses import asdict
import json
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import InputError
from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.selection_options import PointAction, yaw_of
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep.reanchor import reanchor, RigidTransform
from spatial_rag_core.records import Position, Quaternion


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the two."""
    _add_reencode(commands)
    _add_reanchor(commands)


def _add_reencode(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, 'reencode', _reencode, operands='OLD NEW --model BUNDLE',
        does='write a new memory file with the latents of another model',
        more='Write a new memory file from the stored pictures of an old one, with the latents '
             'of another model. The old file stays as it is; memories without a picture are '
             'left out.',
        examples=('memory.db new.db --model model.pt',))
    add_file(command, 'old', 'OLD', 'the memory file to read')
    add_file(command, 'new', 'NEW', 'the memory file to write')
    command.add_argument('--model', type=Path, required=True, metavar='BUNDLE',
                         help='the model file that encodes the pictures')


def _reencode(arguments: argparse.Namespace) -> None:
    from spatial_rag_core.memory.upkeep.reencode import reencode
    from spatial_rag_core.models.bundle import Bundle  # torch: seconds
    bundle = Bundle.load(arguments.model)
    with progress(arguments, 'encoding') as on_progress:
        done = reencode(arguments.old, arguments.new, bundle, on_progress)
    report(arguments, {'path': arguments.new, 'model_id': bundle.model_id, **asdict(done)},
           f'{arguments.new}: {done.written} memories of model {bundle.model_id}, '
           f'{done.left_out} left out for want of a readable picture')


def _add_reanchor(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, 'reanchor', _reanchor, operands='FILE',
        does='move poses after the map was corrected',
        more='Move and turn the poses of all memories, of one session, or of each session in '
             'its own way, as after a loop closure or when maps are merged: new = R * old + t. '
             'Latents and pictures stay. All or nothing; make a backup first. No robot may '
             'write to the file meanwhile; nodes that read it build their index anew.',
        examples=('memory.db --translate 1.5 -0.25 --yaw-deg 90',
                  'memory.db --translate 0 0 3.2 --session 20261122T170535Z-acca',
                  'memory.db --transforms moved.json'))
    add_file(command)
    group = command.add_argument_group('one transform')
    group.add_argument('--translate', type=float, nargs='+', metavar=('X Y', 'Z'),
                       action=PointAction,
                       help='t, in the map frame [m]; Z is 0 where it is left out')
    turn = group.add_mutually_exclusive_group()
    turn.add_argument('--yaw-deg', type=float, metavar='D',
                      help='R: a turn about the origin of the map, counter-clockwise [deg]')
    turn.add_argument('--quaternion', type=float, nargs=4, metavar=('X', 'Y', 'Z', 'W'),
                      help='R: any rotation about the origin of the map')
    group.add_argument('--session', metavar='NAME', help='move this session only')
    many = command.add_argument_group('or one for each session')
    many.add_argument('--transforms', type=Path, metavar='JSON',
                      help='a file: {"session": {"translation": [x, y, z], "yaw_deg": d}, ...}; '
                           '"rotation": [x, y, z, w] may stand for yaw_deg')


def _reanchor(arguments: argparse.Namespace) -> None:
    transforms = _transforms(arguments)
    with (Journal.open_existing_writer(arguments.path, holder='spatial-rag memory reanchor') as
          journal, progress(arguments, 'moving') as on_progress):
        moved, count = reanchor(journal, transforms, on_progress), journal.count
    report(arguments, {'path': arguments.path, 'moved': moved, 'count': count},
           f'{arguments.path}: {moved} of {count} memories were moved')


def _transforms(arguments: argparse.Namespace) -> RigidTransform | dict[str, RigidTransform]:
    one = (arguments.translate, arguments.yaw_deg, arguments.quaternion)
    if (arguments.transforms is None) == all(value is None for value in one):
        arguments.usage_error('give --translate, --yaw-deg or --quaternion, or --transforms')
    if arguments.transforms is not None:
        if arguments.session is not None:
            arguments.usage_error('--session does not go with --transforms, which names them')
        return _read_transforms(arguments.transforms)
    transform = _transform(arguments.translate, arguments.quaternion, arguments.yaw_deg)
    return transform if arguments.session is None else {arguments.session: transform}


def _transform(translation: Any, rotation: Any, yaw_deg: Any) -> RigidTransform:
    """Build from what is given; None: not moved, not turned."""
    turn = yaw_of(float(yaw_deg or 0.0)) if rotation is None else (
        Quaternion(*map(float, rotation)))
    return RigidTransform(turn, Position(*map(float, translation or (0.0, 0.0))))


def _read_transforms(path: Path) -> dict[str, RigidTransform]:
    try:
        values = json.loads(path.read_text(encoding='utf-8'))
        return {session: _transform_of(**fields) for session, fields in values.items()}
    except OSError as error:
        raise InputError(f'{path} cannot be read: {error.strerror}; check the path') from error
    except (AttributeError, TypeError, ValueError) as error:
        raise InputError(
            f'{path} is no list of transforms ({error}); write {{"session": '
            '{"translation": [x, y, z], "yaw_deg": d}}') from error


def _transform_of(translation: object = None, rotation: object = None,
                  yaw_deg: object = None) -> RigidTransform:
    if rotation is not None and yaw_deg is not None:
        raise ValueError('give rotation or yaw_deg, not both')
    return _transform(translation, rotation, yaw_deg)
