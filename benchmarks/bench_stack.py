"""
How long is the way from picture to prediction, and what does it cost? Whole stack at 20 Hz.

The simulated robot drives for SECONDS over a memory that holds MEMORIES already, 4 per m2: with
the tiny model and with ResNet18, a process a node and all in one. One JSON line each, with the
share of a core that each process took; the exit code is 1 where a limit does not hold.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
import math
import os
from pathlib import Path
import sys
import tempfile
import time
from typing import NamedTuple

from spatial_rag_bringup.defaults import model_file
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.bulk_append import BulkAppender, MemoryColumns
from spatial_rag_core.memory.tables.cell_numbers import cell_numbers
from spatial_rag_core.memory.tables.rows import record_type
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle_metadata import read_metadata
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.settings import Settings

import numpy as np
from running_stack import stay_apart
from watched_run import RUNNER, WatchedRun

PER_M2, CENTER_M, BATCH = 4.0, 8.0, 10_000
"""How densely the memory is filled, around the middle of the robot's world."""


class Case(NamedTuple):
    """limit_ms: of picture to latent_next, p99."""

    model: str
    composition: bool
    limit_ms: float


CASES = (Case('tiny', False, 30.0), Case('tiny', True, 15.0),
         Case('resnet18', False, 50.0), Case('resnet18', True, 50.0))


def limits(summary: dict, limit_ms: float) -> dict[str, bool]:
    """Say of each limit whether it holds; what was not measured does not."""
    def is_20(hz: float | None) -> bool:
        return hz is not None and 19.9 <= hz <= 20.1
    p99_ms = summary['image_to_latent_next_ms']['p99']
    return {'latent_hz 20 ± 0.1': is_20(summary['latent_hz']),
            'latent_next_hz 20 ± 0.1': is_20(summary['latent_next_hz']),
            f'p99 at most {limit_ms:g} ms': p99_ms is not None and p99_ms <= limit_ms,
            'no drops': summary['frames_dropped'] == 0, 'no errors': summary['errors'] == 0}


def model_of(name: str, folder: Path) -> Path:
    """The tiny one that the stack takes by itself; a ResNet18 that has learned nothing."""
    if name == 'tiny':
        return model_file()
    path = folder / f'{name}.pt'
    if not path.exists():
        create_untrained_bundle(path, Settings(use_tiny_models=False))
    return path


def fill(path: Path, model_id: str, count: int) -> None:
    """Make a memory file of random latents, of one day before now."""
    chance, spec = np.random.default_rng(0), JournalSpec()
    side_m, begun_sec = math.sqrt(count / PER_M2), time.time() - 86_400.0
    with Journal.open_writer(path, spec) as journal:
        appender = BulkAppender(journal, model_id)
        for start in range(0, count, BATCH):
            size = min(BATCH, count - start)
            records = np.zeros(size, record_type(spec.z_dim))
            records['position'][:, :2] = CENTER_M + chance.uniform(
                -side_m / 2, side_m / 2, (size, 2))
            records['orientation'][:, 3] = 1.0
            records['vector'] = chance.normal(size=(size, spec.z_dim))
            records['timestamp'] = begun_sec + np.arange(start, start + size) / 20
            records['cell'] = cell_numbers(spec, records['position'][:, :2])
            appender.append(MemoryColumns(
                records, [f'{n:026}' for n in range(start, start + size)], size * [bytes(8)],
                size * [Context('filled', 'robot')], size * [b'']))


def run(case: Case, seconds: float, memories: int, folder: Path) -> dict:
    """Return the RUN SUMMARY of one run, and what each process took."""
    model, memory = model_of(case.model, folder), folder / f'{case.model}.db'
    if not memory.exists():
        fill(memory, read_metadata(model).model_id, memories)
    watched = WatchedRun(seconds, folder, [
        '--composition', str(case.composition).lower(), '--memory', memory, '--model', model])
    watched.run()
    cpu = watched.cpu_of_a_core()
    return {**watched.summary(), 'cpu_of_a_core': cpu,
            'cpu_of_the_stack': round(sum(share for name, share in cpu.items() if name not in (
                RUNNER, 'simulated_robot_node')), 3)}


def main(argv: Sequence[str] | None = None) -> int:
    """Return 1 where a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=60.0)
    parser.add_argument('--memories', type=int, default=100_000)
    parser.add_argument('--model', choices=sorted({case.model for case in CASES}))
    options = parser.parse_args(argv)
    all_hold = True
    with tempfile.TemporaryDirectory() as name:
        stay_apart(Path(name))
        for case in CASES:
            if options.model not in (None, case.model):
                continue
            summary = run(case, options.seconds, options.memories, Path(name))
            holds = limits(summary, case.limit_ms)
            all_hold = all_hold and all(holds.values())
            print(json.dumps({
                'question': 'picture to latent_next, simulated robot', **case._asdict(),
                'memories_before': options.memories, **summary, 'load': os.getloadavg()[0],
                'cores': os.cpu_count(), 'holds': holds}, ensure_ascii=False), flush=True)
    return 0 if all_hold else 1


if __name__ == '__main__':
    sys.exit(main())
