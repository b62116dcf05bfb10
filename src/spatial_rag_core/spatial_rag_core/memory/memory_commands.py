"""`spatial-rag memory …`: look into a memory file, re-encode one."""

from __future__ import annotations

import argparse
from datetime import datetime, timezone
import json
from pathlib import Path
import sys

from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.journal import Journal


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the group `memory` and its commands; each sets `run(arguments)`."""
    group = groups.add_parser('memory', help='memory files: look into one, re-encode one')
    commands = group.add_subparsers(required=True, metavar='COMMAND')
    again = commands.add_parser(
        'reencode', help='write a new memory file with the latents of another model',
        description='Write a new memory file from the stored pictures of an old one, with the '
                    'latents of another model. The old file stays as it is; memories without a '
                    'picture are left out.')
    again.add_argument('old', type=Path, metavar='OLD', help='the memory file to read')
    again.add_argument('new', type=Path, metavar='NEW', help='the memory file to write')
    again.add_argument('--model', type=Path, required=True, metavar='BUNDLE',
                       help='the model file that encodes the pictures')
    again.set_defaults(run=reencode_file)
    info = commands.add_parser('info', help='print what a memory file holds')
    info.add_argument('path', type=Path, metavar='FILE', help='the memory file')
    info.add_argument('--json', action='store_true',
                      help='as one JSON object; times are Unix times [s], sizes in bytes')
    info.set_defaults(run=print_info)


def reencode_file(arguments: argparse.Namespace) -> None:
    """Re-encode a memory file; raises BundleError, JournalError, ConfigurationError."""
    from spatial_rag_core.memory.reencode import reencode
    from spatial_rag_core.models.bundle import Bundle  # torch: seconds
    bundle = Bundle.load(arguments.model)
    counts = reencode(arguments.old, arguments.new, bundle, _show_progress)
    print(f'{arguments.new}: {counts.written} memories of model {bundle.model_id}, '
          f'{counts.left_out} left out for want of a readable picture')


def print_info(arguments: argparse.Namespace) -> None:
    """Print figures of a memory file; raises JournalError where there is none."""
    facts = _facts(arguments.path)
    if arguments.json:
        print(json.dumps(facts))
        return
    for name in ('oldest', 'newest'):
        facts[name] = _date(facts[name])
    for name, value in facts.items():
        print(f'{name:<20}{"-" if value is None else value}')


def _facts(path: Path) -> dict[str, object]:
    journal = Journal.open_reader(path)
    if journal is None:
        raise JournalError(f'{path}: no memory file, or an empty one; check the path')
    with journal:
        stats, spec = journal.stats(), journal.spec
        return {'count': stats.count, 'sessions': stats.session_count, 'oldest': stats.oldest,
                'newest': stats.newest, 'h3_resolution': spec.h3_resolution,
                'z_dim': spec.z_dim, 'action_dim': spec.action_dim,
                'model_id': journal.model_id, 'file_size_bytes': stats.file_size_bytes}


def _date(unix_sec: object) -> str | None:
    if not isinstance(unix_sec, float):
        return None
    try:
        return datetime.fromtimestamp(unix_sec, timezone.utc).isoformat(timespec='seconds')
    except (OverflowError, ValueError):
        return f'{unix_sec} s'


def _show_progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        print(f'\r{done} of {total} memories', end='\n' if done == total else '',
              file=sys.stderr, flush=True)
