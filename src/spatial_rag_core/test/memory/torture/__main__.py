"""
Torture of the memory: kills, failing disks, power cuts and damage, each with a seed.

`python torture` does all of it at length and takes about half an hour; `python torture kills
--kills 25` one part of it. The last line of the output is JSON; exit code 1: it broke its word.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict
import json
from pathlib import Path
import shutil
import subprocess
import sys
import tempfile
import time
from typing import Any

from spatial_rag_core.errors import SpatialRagError

import committer_faults
import damage
import disk
import faults
import full_disk
import kills
import power
from verdict import TortureError

Report = Callable[[str], None]
Figures = dict[str, Any]
PROGRESS_SEC = 2.0


class Progress:
    """What is being done, on stderr, now and then."""

    def __init__(self) -> None:
        self._next = time.monotonic() + PROGRESS_SEC

    def __call__(self, text: str) -> None:
        if time.monotonic() >= self._next:
            print(text, file=sys.stderr, flush=True)
            self._next = time.monotonic() + PROGRESS_SEC


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='torture', description=__doc__)
    parser.add_argument('part', nargs='?', choices=list(_PARTS),
                        help='one part only; default: all of them')
    parser.add_argument('--seed', type=int, default=1)
    parser.add_argument('--kills', type=int, default=1000)
    parser.add_argument('--places', type=int, default=1000, help='of damage')
    parser.add_argument('--cuts', type=int, default=10_000, help='of the power')
    parser.add_argument('--each-kind-of-fault', action='store_true',
                        help='every kind at every call; otherwise one kind in turn')
    parser.add_argument('--disks', type=int, default=100, help='that are full')
    parser.add_argument('--keep', type=Path, help='make the stores here, and keep them')
    return parser


def run_kills(words: argparse.Namespace, folder: Path, progress: Report) -> Figures:
    return {'of_version_1': kills.torture_migration(folder, max(5, words.kills // 20), words.seed,
                                                    progress),
            **kills.torture(folder, words.kills, words.seed, progress)}


def run_faults(words: argparse.Namespace, folder: Path, progress: Report) -> Figures:
    return {'journal': asdict(faults.torture(folder, words.each_kind_of_fault, progress)),
            'committer': asdict(committer_faults.torture(folder, words.each_kind_of_fault,
                                                         progress))}


def run_full(words: argparse.Namespace, folder: Path, progress: Report) -> Figures:
    return asdict(full_disk.torture(folder, words.disks, progress))


def run_power(words: argparse.Namespace, folder: Path, progress: Report) -> Figures:
    figures: Figures = {}
    for durability in ('process', 'power'):
        place = folder / durability
        place.mkdir()
        figures[durability] = asdict(power.torture(place, durability, words.cuts, words.seed,
                                                   progress))
    return figures


def run_damage(words: argparse.Namespace, folder: Path, progress: Report) -> Figures:
    return asdict(damage.torture(folder, words.places, words.seed, progress))


_PARTS = {'kills': run_kills, 'faults': run_faults, 'full': run_full, 'power': run_power,
          'damage': run_damage}


def run_all(words: list[str]) -> int:
    """Every part in a process of its own; then one line with whether all kept their word."""
    codes = {part: subprocess.run([sys.executable, str(Path(__file__).parent), part,
                                   '--each-kind-of-fault', *words], check=False).returncode
             for part in _PARTS}
    print(json.dumps({'part': 'all', 'kept_its_word': {part: code == 0
                                                       for part, code in codes.items()}}))
    return max(codes.values())


def run_one(words: argparse.Namespace, folder: Path) -> Figures:
    """The figures of a part; 'broken' says where it broke its word."""
    began = time.monotonic()
    try:
        figures = _PARTS[words.part](words, folder, Progress())
    except (SpatialRagError, TortureError) as error:
        figures = {'broken': [f'{type(error).__name__}: {error}']}
    return {'part': words.part, 'seed': words.seed,
            'took_sec': round(time.monotonic() - began, 1), 'broken': [], **figures}


def main() -> int:
    words = arguments().parse_args()
    if words.part is None:
        return run_all(sys.argv[1:])
    if words.part in ('faults', 'power') and not disk.is_there():
        disk.restart_on_it()
    folder = words.keep or Path(tempfile.mkdtemp(prefix='torture-'))
    (folder / words.part).mkdir(parents=True)
    try:
        figures = run_one(words, folder / words.part)
    finally:
        disk.take_away()
        if words.keep is None:
            shutil.rmtree(folder)
    print(json.dumps(figures), flush=True)
    return 1 if figures['broken'] else 0


if __name__ == '__main__':
    sys.exit(main())
