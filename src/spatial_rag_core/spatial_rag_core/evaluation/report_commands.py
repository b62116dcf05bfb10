"""`spatial-rag report`: what an experiment says, as one page."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
import textwrap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from spatial_rag_core.evaluation.report import Report

DEFAULT_FOLDER = Path('artifacts/experiments/retrieval_gain')


def register(groups: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command `report`; it sets `run(arguments)`."""
    command = groups.add_parser(
        'report', help='what an experiment says, as one HTML page', allow_abbrev=False,
        description=textwrap.fill(
            'Write one HTML page, which needs no network, on the results of `spatial-rag '
            'experiment retrieval-gain`: verdicts, curves, tables, frames, maps. Results that '
            'are not complete make a page that says so.', 78),
        epilog='examples:\n  spatial-rag report\n  spatial-rag report --json | jq .counts\n'
               '  spatial-rag report FOLDER --out gain.html',
        formatter_class=argparse.RawDescriptionHelpFormatter)
    command.add_argument('folder', type=Path, nargs='?', default=DEFAULT_FOLDER, metavar='FOLDER',
                         help=f'the results (default: {DEFAULT_FOLDER})')
    command.add_argument('-o', '--out', type=Path, metavar='PAGE',
                         help='the file to write (default: FOLDER/report.html)')
    command.add_argument('--json', action='store_true',
                         help='print the verdicts as one JSON object')
    command.set_defaults(run=write_report)


def write_report(arguments: argparse.Namespace) -> None:
    """Write the page and print the verdicts."""
    from spatial_rag_core.evaluation.report import PAGE_NAME, Report
    report = Report.of(arguments.folder)
    path: Path = arguments.out or arguments.folder / PAGE_NAME
    report.write_page(path)
    if arguments.json:
        print(json.dumps({'page': str(path), **report.to_values()}, ensure_ascii=False,
                         allow_nan=False))
        return
    print('\n'.join([*_lines(report), str(path)]))


def _lines(report: Report) -> list[str]:
    lines = [f'{goal.verdict:<15}{goal.claim}: {goal.text or goal.note}' for goal in report.goals]
    missing = len(report.measures.results.missing())
    if missing:
        lines.append(f'{missing} planned cells are missing')
    return lines + [f'not read: {reason}' for reason in report.measures.results.not_read]
