"""
Does a robot that is switched off at random come back, with every memory that it had stored?

All processes of the stack and its simulated robot are started at once, as launch does it, and
killed at once (SIGKILL), CUTS times, each time somewhere in the first LIFE_SEC after it was up;
now and then the power fails again while it starts. Up is who has predicted (latent_next). A memory
is acknowledged once another process can read it. One JSON line each for separate processes and
one process; the exit code is 1 where a memory is missing or a start took longer than 5 s.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
import contextlib
import json
import os
from pathlib import Path
import random
import statistics
import sys
import tempfile
import time

from spatial_rag_bringup.run_options import parse
from spatial_rag_bringup.run_plan import make_plan
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep.integrity import check
from spatial_rag_core.records import Memory
from spatial_rag_msgs.srv import GetMemory, MemoryStats

from running_stack import Ear, PoweredStack, stay_apart

UP_LIMIT_SEC = 5.0
TIMEOUT_SEC = 90.0
LIFE_SEC = 6.0
FLICKER, FLICKER_SEC = 0.25, 3.0
"""How often the power fails again while the robot starts, and how long it was on by then."""
AT_ONCE = 8
"""Questions under way; a service's queue holds 10."""


class Ledger:
    """Memories that were acknowledged: read, by a process of its own, before the power went."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, 0
        self._journal: Journal | None = None
        self.memories: dict[int, Memory] = {}

    def read(self) -> int:
        """Take in what is new; returns how much that was."""
        if self._journal is None:
            self._journal = Journal.open_reader(self._path) if self._path.exists() else None
            if self._journal is None:
                return 0
        new = self._journal.get(range(self._last + 1, self._journal.last_seq + 1))
        self.memories.update(new)
        self._last = max(new, default=self._last)
        return len(new)

    def missing(self) -> int:
        """Acknowledged memories that are not in the file any more as they were read."""
        if not self.memories:
            return 0
        with contextlib.closing(Journal.open_reader(self._path)) as journal:
            now = journal.get(list(self.memories))
        return sum(seq not in now or _content(now[seq]) != _content(memory)
                   for seq, memory in self.memories.items())

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()


def _content(memory: Memory) -> tuple[object, ...]:
    return (memory.id, memory.model_id, memory.timestamp, memory.pose, memory.session,
            memory.vector.tobytes(), memory.action.tobytes(), memory.thumbnail)


class PowerCuts:
    """One robot, and what was seen of its starts."""

    def __init__(self, stack: PoweredStack, ledger: Ledger, ear: Ear, chance: random.Random,
                 ) -> None:
        self._stack, self._ledger, self._ear, self._chance = stack, ledger, ear, chance
        self.up_sec: list[float] = []
        self.first_memory_sec: list[float] = []
        self.cpu_sec: dict[str, list[float]] = {}
        self.cut_while_starting = self.missing = 0

    def start(self) -> None:
        """Power on, until it has predicted; ends the program where it does not."""
        begun_ns = time.time_ns()
        self._stack.power_on()
        first = len(self._ear.predicted_ns)

        def is_up() -> bool:
            return any(time_ns > begun_ns for time_ns in self._ear.predicted_ns[first:])
        if not self._ear.until(lambda: is_up() or bool(self._stack.dead()), TIMEOUT_SEC) or (
                self._stack.dead()):
            raise SystemExit(f'not up after {TIMEOUT_SEC:g} s: {self._stack.dead()}')
        for name, (cpu_sec, _) in self._stack.taken().items():
            self.cpu_sec.setdefault(name, []).append(cpu_sec)
        up_ns = next(time_ns for time_ns in self._ear.predicted_ns[first:] if time_ns > begun_ns)
        self.up_sec.append((up_ns - begun_ns) / 1e9)
        self._ear.until(lambda: self._ledger.read() > 0, TIMEOUT_SEC)
        self.first_memory_sec.append((time.time_ns() - begun_ns) / 1e9)
        self.missing = max(self.missing, self._ledger.missing())

    def cut(self) -> None:
        """Let it live for a while, then take the power away."""
        end = time.monotonic() + self._chance.uniform(0.0, LIFE_SEC)
        while time.monotonic() < end:
            self._ear.spin(0.02)
            self._ledger.read()
        self._stack.power_off()
        if self._chance.random() < FLICKER:
            self._stack.power_on()
            self._ear.spin(self._chance.uniform(0.0, FLICKER_SEC))
            self._stack.power_off()
            self.cut_while_starting += 1

    def found_again(self) -> int:
        """Acknowledged memories that the running stack gives to whoever asks."""
        names = [memory.id for memory in self._ledger.memories.values()]
        client = self._ear.node.create_client(GetMemory, 'spatial_rag/get_memory')
        self._ear.until(client.service_is_ready, TIMEOUT_SEC)
        found = 0
        for start in range(0, len(names), AT_ONCE):
            futures = [client.call_async(GetMemory.Request(id=name))
                       for name in names[start:start + AT_ONCE]]
            self._ear.until(lambda futures=futures: all(f.done() for f in futures), TIMEOUT_SEC)
            found += sum(f.done() and f.result().code == GetMemory.Response.OK for f in futures)
        return found

    def is_indexed(self) -> bool:
        """Whether the index catches up with the file."""
        answers = (self._ear.call(MemoryStats, 'spatial_rag/memory_stats', MemoryStats.Request())
                   for _ in range(20))
        return any(answer is not None and len(self._ledger.memories) <= answer.index_count
                   for answer in answers)


def run(composition: bool, cuts: int, folder: Path, ear: Ear, seed: int) -> dict[str, bool]:
    """Print one line; returns which limits hold."""
    memory = folder / f'{composition}.db'
    words = ['--memory', str(memory), '--composition', str(composition).lower()]
    plan = make_plan(parse(words), folder)
    robot, command = plan.source
    with (folder / 'nodes.log').open('a') as log, contextlib.closing(Ledger(memory)) as ledger:
        stack = PoweredStack(
            {**plan.nodes, robot: [*command, '-p', 'subscriber_wait_sec:=0.0']}, log)
        with _switched_off_at_the_end(stack, folder):
            robot_life = PowerCuts(stack, ledger, ear, random.Random(seed))
            for _ in range(cuts):
                robot_life.start()
                robot_life.cut()
            robot_life.start()
            indexed, found = robot_life.is_indexed(), robot_life.found_again()
        report = check(memory)
    restarts, memories = robot_life.up_sec[1:], robot_life.first_memory_sec[1:]
    acknowledged = len(ledger.memories)
    holds = {'up within 5 s': max(restarts) <= UP_LIMIT_SEC, 'file is whole': report.is_clean,
             'every memory found again': found == acknowledged and not robot_life.missing,
             'index has caught up': indexed}
    print(json.dumps({
        'question': 'switched off at random, ' + (
            'one process' if composition else 'separate processes'),
        'cuts': cuts, 'cuts_while_starting': robot_life.cut_while_starting,
        'up_sec': _p50_max(restarts), 'first_memory_sec': _p50_max(memories),
        'memories_acknowledged': acknowledged, 'memories_found_again': found,
        'memories_missing_in_file': robot_life.missing, 'problems': report.problems,
        'cpu_sec_until_up': {name: round(statistics.median(values), 2)
                             for name, values in robot_life.cpu_sec.items()},
        'load': os.getloadavg()[0], 'cores': os.cpu_count(), 'holds': holds}), flush=True)
    return holds


@contextlib.contextmanager
def _switched_off_at_the_end(stack: PoweredStack, folder: Path) -> Iterator[None]:
    try:
        yield
    except SystemExit:
        print(''.join((folder / 'nodes.log').read_text().splitlines(True)[-30:]))
        raise
    finally:
        stack.power_off()


def _p50_max(seconds: list[float]) -> dict[str, float]:
    return {'p50': round(statistics.median(seconds), 2), 'max': round(max(seconds), 2)}


def main() -> int:
    """Return 1 where a limit does not hold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--cuts', type=int, default=20)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--composition', choices=('true', 'false', 'both'), default='both')
    options = parser.parse_args()
    modes = {'true': (True,), 'false': (False,), 'both': (False, True)}[options.composition]
    with tempfile.TemporaryDirectory() as name:
        stay_apart(Path(name))
        ear = Ear()
        holds = [run(mode, options.cuts, Path(name), ear, options.seed) for mode in modes]
        ear.close()
    return 0 if all(all(each.values()) for each in holds) else 1


if __name__ == '__main__':
    sys.exit(main())
