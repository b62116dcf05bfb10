"""`spatial-rag memory info`: what a memory file holds, and who writes to it."""

from __future__ import annotations

import argparse
from typing import Any

from spatial_rag_core.memory.commands.command import add_command, add_file, report
from spatial_rag_core.memory.commands.progress import progress
from spatial_rag_core.memory.commands.text import clean, size_of, span_of, table, time_of
from spatial_rag_core.memory.file.lock_holder import holder_of
from spatial_rag_core.memory.file.snapshot import open_memory, snapshot
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.overview.survey import SessionFacts, Survey, survey
from spatial_rag_core.memory.tables.schema import SCHEMA_VERSION

_MAX_LABELS = 20
_AXES = ('x', 'y', 'z')


def register(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `info`."""
    command = add_command(
        commands, 'info', _print_info, operands='FILE', does='print what a memory file holds',
        more='Print what a memory file holds, session by session, and which program writes to it '
             'now. The file is read through and verified; it may be in use.',
        examples=('memory.db', 'memory.db --json', 'memory.db --sessions 0'))
    add_file(command)
    command.add_argument('--sessions', type=int, default=20, metavar='N',
                         help='the newest N sessions (default: 20); 0: all of them')


def _print_info(arguments: argparse.Namespace) -> None:
    if arguments.sessions < 0:
        arguments.usage_error(f'--sessions must be >= 0, got {arguments.sessions}')
    with (open_memory(arguments.path) as journal,
          progress(arguments, 'reading') as on_progress):
        found = survey(journal, on_progress)
        values = _values(journal, found, arguments.sessions or len(found.sessions))
    report(arguments, values, _text(values))


def _values(journal: Journal, found: Survey, session_limit: int) -> dict[str, Any]:
    spec = journal.spec
    writer = holder_of(journal.path)
    newest = sorted(found.sessions, key=lambda one: one.newest)[-session_limit:]
    return {
        'path': journal.path,
        'count': found.count,
        'oldest_unix_sec': found.oldest,
        'newest_unix_sec': found.newest,
        'extent_m': None if found.extent_m is None else dict(
            zip(_AXES, found.extent_m, strict=True)),
        'cell_count': found.cell_count,
        'h3_resolution': spec.h3_resolution,
        'z_dim': spec.z_dim,
        'action_dim': spec.action_dim,
        'model_id': journal.model_id,
        'map_frame': spec.map_frame,
        'datum': {'latitude_deg': spec.datum_latitude_deg,
                  'longitude_deg': spec.datum_longitude_deg,
                  'heading_deg': spec.datum_heading_deg},
        'file_size_bytes': journal.file_size_bytes,
        'bytes_per_memory': _content_bytes(journal) / found.count if found.count else None,
        'schema_version': SCHEMA_VERSION,
        'writer': None if writer is None else writer._asdict(),
        'session_count': len(found.sessions),
        'sessions': [_session_values(one) for one in newest],
        'labels': dict(found.labels),
    }


def _content_bytes(journal: Journal) -> int:
    """Size without the write-ahead log, which does not grow with the memories."""
    with snapshot(journal.path) as connection:
        return int(connection.execute('PRAGMA page_count').fetchone()[0]) * journal.page_size


def _session_values(facts: SessionFacts) -> dict[str, Any]:
    return {'session': facts.session, 'robot': facts.robot, 'map_id': facts.map_id,
            'count': facts.count, 'oldest_unix_sec': facts.oldest,
            'newest_unix_sec': facts.newest}


def _text(values: dict[str, Any]) -> str:
    facts = _facts(values)
    width = max(map(len, facts))
    parts = ['\n'.join(f'{name:<{width}}  {value}' for name, value in facts.items())]
    if values['sessions']:
        parts.append(_session_table(values))
    if values['labels']:
        parts.append(_label_line(values['labels']))
    return '\n\n'.join(parts)


def _facts(values: dict[str, Any]) -> dict[str, str]:
    datum, writer = values['datum'], values['writer']
    facts = {
        'memories': f'{values["count"]}',
        'from': time_of(values['oldest_unix_sec']) + ' UTC',
        'to': time_of(values['newest_unix_sec']) + ' UTC',
        'span': span_of((values['newest_unix_sec'] or 0) - (values['oldest_unix_sec'] or 0)),
        'extent': _extent(values['extent_m']),
        'cells': f'{values["cell_count"]} of H3 resolution {values["h3_resolution"]}',
        'latents': f'z_dim {values["z_dim"]}, model {values["model_id"] or "-"}',
        'actions': f'action_dim {values["action_dim"]}',
        'map frame': f'{clean(values["map_frame"])}, datum {datum["latitude_deg"]:g} N '
                     f'{datum["longitude_deg"]:g} E, heading {datum["heading_deg"]:g} deg',
        'size': size_of(values['file_size_bytes']),
        'schema': f'version {values["schema_version"]}',
        'writer': 'none now' if writer is None else _writer(writer),
    }
    if not values['count']:
        for name in ('from', 'to', 'span', 'extent'):
            facts[name] = '-'
    else:
        facts['size'] += f', {size_of(values["bytes_per_memory"])} a memory'
    return facts


def _writer(writer: dict[str, Any]) -> str:
    if writer['program'] is None:
        return 'another program'
    return (f'{clean(writer["program"], 30)}, pid {writer["pid"]} on '
            f'{clean(writer["host"], 20)}')


def _extent(extent_m: dict[str, tuple[float, float]] | None) -> str:
    return '-' if extent_m is None else ', '.join(
        f'{axis} {low:.2f} to {high:.2f}' for axis, (low, high) in extent_m.items()) + ' m'


def _session_table(values: dict[str, Any]) -> str:
    rows = [(clean(one['session'], 26), clean(one['robot'], 10), clean(one['map_id'], 10),
             str(one['count']), time_of(one['oldest_unix_sec']),
             span_of(one['newest_unix_sec'] - one['oldest_unix_sec']))
            for one in values['sessions']]
    lines = table(('session', 'robot', 'map', 'count', 'from (UTC)', 'lasted'), rows, right=(3,))
    hidden = values['session_count'] - len(rows)
    return lines + (f'\nand {hidden} older; --sessions 0 shows all' if hidden else '')


def _label_line(labels: dict[str, int]) -> str:
    shown = list(labels.items())[:_MAX_LABELS]
    line = 'labels: ' + ', '.join(f'{clean(word, 30)} ({count})' for word, count in shown)
    return line + (f' and {len(labels) - len(shown)} more' if len(labels) > len(shown) else '')
