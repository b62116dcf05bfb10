"""A `run_stack` whose processes are weighed once a second."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import json
from pathlib import Path
import shutil
import subprocess
import time
from typing import Any

from running_stack import nodes_of, Taken, taken

RUNNER = 'run_stack'
START_TIMEOUT_SEC, END_TIMEOUT_SEC = 180.0, 90.0
PERIOD_SEC = 1.0
FIRST_STATUS = ' s | latent '
"""In the first line of the runner that tells how the running stack does."""

Samples = list[tuple[float, Taken]]
"""Seconds since the stack runs, and what the process had taken by then."""


class WatchedRun:
    """
    One run of `seconds`, its output in a file of `folder`.

    words: more arguments of run_stack.  wait: how to let seconds pass.
    """

    def __init__(self, seconds: float, folder: Path, words: Sequence[object],
                 wait: Callable[[float], object] = time.sleep) -> None:
        self._seconds, self._wait = seconds, wait
        self._log = folder / 'run.log'
        self._command = [shutil.which(RUNNER) or RUNNER, '--duration', str(seconds),
                         *map(str, words)]
        self.samples: dict[str, Samples] = {}
        """Of each executable, and of the runner."""

    def run(self) -> int:
        """Return the exit code of the runner."""
        with self._log.open('w') as output:
            runner = subprocess.Popen(self._command, stdout=output, stderr=subprocess.STDOUT)
        try:
            self._wait_until_it_runs(runner)
            begun = time.monotonic()
            while (now := time.monotonic() - begun) < self._seconds - PERIOD_SEC and (
                    runner.poll() is None):
                self._weigh(runner.pid, now)
                self._wait(PERIOD_SEC)
            return runner.wait(self._seconds + END_TIMEOUT_SEC)
        finally:
            runner.terminate()

    def _wait_until_it_runs(self, runner: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SEC
        while FIRST_STATUS not in self.output and runner.poll() is None and (
                time.monotonic() < deadline):
            self._wait(0.1)

    def _weigh(self, runner_pid: int, now: float) -> None:
        for name, pid in {RUNNER: runner_pid, **nodes_of(runner_pid)}.items():
            if (share := taken(pid)) is not None:
                self.samples.setdefault(name, []).append((now, share))

    @property
    def output(self) -> str:
        """What it has printed."""
        return self._log.read_text(errors='replace')

    def summary(self) -> dict[str, Any]:
        """RUN SUMMARY; ends the program where there is none."""
        for line in self.output.splitlines():
            if line.startswith('RUN SUMMARY '):
                return dict(json.loads(line.removeprefix('RUN SUMMARY ')))
        raise SystemExit(f'no RUN SUMMARY:\n{self.output[-3000:]}')

    def cpu_of_a_core(self) -> dict[str, float]:
        """Share of one core that each process has taken."""
        return {name: cpu_of_a_core(samples) for name, samples in sorted(self.samples.items())}


def cpu_of_a_core(samples: Samples) -> float:
    """CPU time for a second of time, from the first sample to the last."""
    (begun, first), (ended, last) = samples[0], samples[-1]
    return round((last.cpu_sec - first.cpu_sec) / max(ended - begun, 1e-9), 3)
