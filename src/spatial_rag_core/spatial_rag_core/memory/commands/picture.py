"""`spatial-rag memory map`: a memory file as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path

from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.selection_options import (
    add_selection,
    is_selecting,
    selection_of,
)
from spatial_rag_core.memory.commands.text import clean
from spatial_rag_core.memory.file.snapshot import open_memory


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `map`."""
    command = add_command(
        commands, 'map', _map, operands='FILE -o PICTURE', does='draw where a memory was made',
        more='Draw a memory file, or those of its memories that are selected, from above: the H3 '
             'cells coloured by how many memories they hold, and the path coloured by time. The '
             'file may be in use.',
        examples=('memory.db -o map.png',
                  'memory.db -o today.svg --after 2026-11-22 --robot r2'))
    add_file(command)
    command.add_argument('-o', '--output', type=Path, required=True, metavar='PICTURE',
                         help='the file to write: .png, .svg or .pdf')
    add_selection(command)


def _map(arguments: argparse.Namespace) -> None:
    from spatial_rag_core.memory.overview.memory_map import draw_memory_map
    from spatial_rag_core.memory.overview.places import places_of
    selection = selection_of(arguments) if is_selecting(arguments) else None
    with (open_memory(arguments.path) as journal,
          progress(arguments, 'reading') as on_progress):
        places, spec = places_of(journal, selection, on_progress), journal.spec
    drawn = draw_memory_map(places, arguments.output, title=clean(arguments.path.name),
                            datum=spec.datum, map_frame=spec.map_frame)
    count, cells = len(places.timestamps), len(drawn.counts)
    report(arguments, {'path': arguments.output, 'count': count, 'cell_count': cells,
                       'h3_resolution': drawn.resolution},
           f'{arguments.output}: {count} memories in {cells} cells of H3 resolution '
           f'{drawn.resolution}')
