"""`spatial-rag memory export, import`: memories as Parquet, for other tools and other files."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.selection_options import (
    add_selection,
    is_selecting,
    selection_of,
)


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the two."""
    _add_export(commands)
    _add_import(commands)


def _add_export(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, 'export', _export, operands='FILE OUT.parquet',
        does='write memories to a Parquet file',
        more='Write all memories, or those that are selected, to a Parquet file, with their ids, '
             'poses, latents, actions, names and pictures. pandas, Polars and DuckDB read it; '
             '`spatial-rag memory import` brings it back.',
        examples=('memory.db all.parquet',
                  'memory.db kitchen.parquet --label kitchen --without-thumbnails'))
    add_file(command)
    add_file(command, 'target', 'OUT.parquet', 'the file to write')
    add_selection(command)
    command.add_argument('--without-thumbnails', action='store_true',
                         help='leave the pictures out; most of the size is theirs')


def _export(arguments: argparse.Namespace) -> None:
    from spatial_rag_core.memory.parquet import export_parquet  # PyArrow: a tenth of a second
    selection = selection_of(arguments) if is_selecting(arguments) else None
    with progress(arguments, 'exporting') as on_progress:
        count = export_parquet(
            arguments.path, arguments.target, selection,
            with_thumbnails=not arguments.without_thumbnails, on_progress=on_progress)
    size_bytes = arguments.target.stat().st_size
    report(arguments, {'path': arguments.target, 'count': count, 'size_bytes': size_bytes},
           f'{arguments.target}: {count} memories')


def _add_import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = add_command(
        commands, 'import', _import, operands='IN.parquet FILE',
        does='add the memories of a Parquet file',
        more='Add the memories of a file that `spatial-rag memory export` wrote. FILE is made '
             'where it is missing; otherwise model, sizes and datum must be the same. Ids are '
             'kept, and those that are there already are passed over, so it can be repeated.',
        examples=('kitchen.parquet memory.db',))
    add_file(command, 'source', 'IN.parquet', 'the file to read')
    add_file(command)


def _import(arguments: argparse.Namespace) -> None:
    from spatial_rag_core.memory.parquet import import_parquet  # PyArrow: a tenth of a second
    with progress(arguments, 'importing') as on_progress:
        done = import_parquet(arguments.source, arguments.path, on_progress)
    report(arguments, {'path': arguments.path, **asdict(done)},
           f'{arguments.path}: {done.written} memories added, {done.already_there} were there')
