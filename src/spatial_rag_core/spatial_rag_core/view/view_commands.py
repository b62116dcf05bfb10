"""`spatial-rag view`: what RViz shows of a memory, as a picture."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.text import clean, unix_time
from spatial_rag_core.view.recall_config import RecallConfig

if TYPE_CHECKING:
    from spatial_rag_core.memory.journal import Journal
    from spatial_rag_core.memory.retriever import Retriever
    from spatial_rag_core.models.bundle import Bundle
    from spatial_rag_core.view.drawn_memory import DrawnMemory
    from spatial_rag_core.view.picture import Scene

_DEFAULT = RecallConfig()


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `view`; it sets `run(arguments)`."""
    command = add_command(
        groups, 'view', view, operands='MEMORY [--bundle BUNDLE] PICTURE', group='',
        does='what RViz shows of a memory, as a picture',
        more='Draw a memory from above, and one moment of it: what the robot recalled there, '
             'where its model expected it, what it saw, and what the decoder makes of that and of '
             'what was to come. Without a bundle nothing is expected or decoded. The file may be '
             'in use.',
        examples=('memory.db view.png', 'memory.db --bundle artifacts/encoder_transition.pt '
                  'view.png --at 2026-11-22T17:05:35Z'))
    add_file(command, metavar='MEMORY')
    add_file(command, 'picture', 'PICTURE', 'the file to write: .png, .svg or .pdf')
    command.add_argument('--bundle', type=Path, metavar='BUNDLE',
                         help='the model that made its latents')
    command.add_argument('--at', type=unix_time, metavar='TIME',
                         help='the last memory up to then: ISO 8601 (UTC without an offset) or '
                              'Unix seconds (default: the newest)')
    command.add_argument('--steps', type=int, default=15, metavar='N',
                         help='steps of the model to look ahead (default: 15)')
    command.add_argument('--k', type=int, default=_DEFAULT.k, metavar='N',
                         help=f'memories to recall (default: {_DEFAULT.k})')
    command.add_argument('--radius', type=float, default=_DEFAULT.radius_m, metavar='M',
                         help=f'at most so far away [m] (default: {_DEFAULT.radius_m:g})')
    command.add_argument('--min-age', type=float, default=_DEFAULT.min_age_sec, metavar='S',
                         help='and so long before or after [s] (default: '
                              f'{_DEFAULT.min_age_sec:g})')


def view(arguments: argparse.Namespace) -> None:
    """Draw the picture."""
    from spatial_rag_core.memory.file.snapshot import open_memory
    from spatial_rag_core.memory.overview.legend import subtitle
    from spatial_rag_core.memory.retriever import Retriever
    from spatial_rag_core.view.picture import draw_scene
    from spatial_rag_core.view.recorded_moment import drawn_from
    if arguments.steps < 1:
        arguments.usage_error(f'--steps must be > 0, got {arguments.steps}')
    retriever = Retriever(arguments.path)
    try:
        with open_memory(arguments.path) as journal, progress(arguments, 'reading') as on_progress:
            bundle = _bundle(arguments.bundle, journal)
            drawn = drawn_from(journal, on_progress)
            retriever.refresh()
            scene = _scene(arguments, journal, drawn, retriever, bundle)
        stats = retriever.stats()
    finally:
        retriever.close()
    draw_scene(scene, arguments.picture, title=clean(arguments.path.name), subtitle=subtitle(
        stats.count, stats.session_count, stats.oldest or 0.0, stats.newest or 0.0))
    recalled = len(scene.moment.recalled)
    report(arguments, {'path': arguments.picture, 'count': drawn.count,
                       'cell_count': drawn.cell_count, 'recalled': recalled},
           f'{arguments.picture}: {drawn.count} memories in {drawn.cell_count} cells, '
           f'{recalled} recalled')


def _bundle(path: Path | None, journal: Journal) -> Bundle | None:
    """Load the bundle; raises ModelMismatchError where the memory is of another one."""
    if path is None:
        return None
    from spatial_rag_core.models.bundle import Bundle  # torch: seconds
    bundle = Bundle.load(path, z_dim=journal.spec.z_dim, action_dim=journal.spec.action_dim)
    journal.require_model(bundle.model_id)
    return bundle


def _scene(arguments: argparse.Namespace, journal: Journal, drawn: DrawnMemory,
           retriever: Retriever, bundle: Bundle | None) -> Scene:
    from spatial_rag_core.view.moment import foresee
    from spatial_rag_core.view.moment_pictures import moment_pictures
    from spatial_rag_core.view.picture import Scene
    from spatial_rag_core.view.recorded_moment import memory_at, moment_of
    memory = memory_at(journal, drawn, arguments.at)
    config = RecallConfig(arguments.k, arguments.radius, arguments.min_age)
    moment = moment_of(memory, journal, drawn, retriever, config,
                       None if bundle is None else bundle.metadata)
    foresight = None if bundle is None else foresee(bundle, moment, arguments.steps)
    best, z_next = moment.best(), None if foresight is None else foresight.z[0]
    return Scene(drawn, moment, foresight, moment_pictures(
        bundle, memory.thumbnail, moment.z, z_next, lambda: best.thumbnail if best else b''))
