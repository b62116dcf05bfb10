"""
How fast is the HTTP API, one server process on this machine? One JSON line for each question.

predict: POST /predict with memories, one client after another, over one kept connection.
streams: 20 clients of /stream-rollout at 10 pictures a second each; how evenly they come, and
what /predict takes meanwhile.  The server is a process of its own, as it is on a robot; the
clients share the machine's cores with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import json
from pathlib import Path
import subprocess
import sys
import tempfile
import threading
import time

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle_metadata import BundleMetadata, read_metadata
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.settings import Settings
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import httpx
import numpy as np

MEMORIES, SIDE_M = 10_000, 30.0
WARM_UP, REQUESTS = 50, 500
STREAMS, RATE_HZ = 20, 10.0


def make_memory(path: Path, metadata: BundleMetadata) -> None:
    """Ten thousand memories, strewn over a hall."""
    chance, spec = np.random.default_rng(0), JournalSpec(z_dim=metadata.z_dim)
    grid = H3Grid(LocalFrame(), spec.h3_resolution)
    made = []
    for n in range(MEMORIES):
        position = Position(*chance.uniform(0.0, SIDE_M, 2).tolist())
        made.append(Memory(
            new_memory_id(), chance.normal(size=metadata.z_dim).astype(np.float32),
            Pose(position), grid.cell(position), 1.7e9 + n / 20, metadata.model_id,
            chance.normal(size=metadata.action_dim).astype(np.float32), 'bench'))
    with Journal.open_writer(path, spec) as journal:
        journal.append(made)


@contextlib.contextmanager
def server(model: Path, memory: Path) -> Iterator[str]:
    """A server process; gives its address."""
    process = subprocess.Popen(
        [sys.executable, '-m', 'spatial_rag_api', '--model', str(model), '--memory', str(memory),
         '--port', '0', '--device', 'cpu'], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = next((line for line in process.stderr if 'http://' in line), '')
        yield next(word for word in line.split() if word.startswith('http://'))
    finally:
        process.terminate()
        process.wait(10.0)


def predict_times_ms(client: httpx.Client, z: list[float], action: list[float],
                     requests: int) -> list[float]:
    times, chance = [], np.random.default_rng(1)
    for n in range(WARM_UP + requests):
        x_m, y_m = chance.uniform(0.0, SIDE_M, 2).tolist()
        begun = time.perf_counter()
        answer = client.post('/predict', json={
            'z': z, 'actions': [action], 'pose': {'x_m': x_m, 'y_m': y_m}})
        if n >= WARM_UP:
            times.append((time.perf_counter() - begun) * 1e3)
        answer.raise_for_status()
    return times


class Watcher(threading.Thread):
    """One client of /stream-rollout; notes when each step came."""

    def __init__(self, address: str, seconds: float) -> None:
        super().__init__()
        self._address, self._seconds = address, seconds
        self.arrivals: list[float] = []

    def run(self) -> None:
        asked = {'from_memory': 'latest', 'repeat': 'true', 'steps': 64, 'rate_hz': RATE_HZ}
        end = time.monotonic() + self._seconds
        with httpx.Client(base_url=self._address, timeout=30.0, trust_env=False) as client, \
                client.stream('GET', '/stream-rollout', params=asked) as stream:
            for line in stream.iter_lines():
                if line == 'event: step':
                    self.arrivals.append(time.monotonic())
                if time.monotonic() > end:
                    return


def summary(values: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(values, (50, 99))
    return {'p50_ms': round(float(p50), 2), 'p99_ms': round(float(p99), 2),
            'max_ms': round(max(values), 2)}


def watch(address: str, seconds: float) -> list[Watcher]:
    watchers = [Watcher(address, seconds) for _ in range(STREAMS)]
    for watcher in watchers:
        watcher.start()
    return watchers


def told(watchers: list[Watcher], meanwhile: list[float]) -> dict[str, object]:
    gaps_ms = [gap * 1e3 for watcher in watchers for gap in np.diff(watcher.arrivals).tolist()]
    rates = [(len(watcher.arrivals) - 1) / (watcher.arrivals[-1] - watcher.arrivals[0])
             for watcher in watchers]
    return {'streams': STREAMS, 'asked_hz': RATE_HZ, 'slowest_hz': round(min(rates), 2),
            'between_steps': summary(gaps_ms), 'predict_meanwhile': summary(meanwhile)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=float, default=20.0, help='of streaming')
    parser.add_argument('--model', type=Path, help='a bundle; else an untrained tiny one')
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or Path(folder, 'model.pt')
        if arguments.model is None:
            create_untrained_bundle(model, Settings())
        metadata = read_metadata(model)
        make_memory(Path(folder, 'memory.db'), metadata)
        z, action = [0.1] * metadata.z_dim, [0.5] * metadata.action_dim
        with (server(model, Path(folder, 'memory.db')) as address,
              httpx.Client(base_url=address, timeout=30.0, trust_env=False) as client):
            print(json.dumps({'question': 'predict', 'memories': MEMORIES, 'requests': REQUESTS,
                              **summary(predict_times_ms(client, z, action, REQUESTS))}),
                  flush=True)
            watchers = watch(address, arguments.seconds)
            meanwhile = predict_times_ms(client, z, action, 100)
            for watcher in watchers:
                watcher.join()
            print(json.dumps({'question': 'streams', 'seconds': arguments.seconds,
                              **told(watchers, meanwhile)}), flush=True)


if __name__ == '__main__':
    main()
