"""kill -9 at random moments of a process that writes one growing store, again and again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass, field
import itertools
import os
from pathlib import Path
import random
import shutil
import signal
import time

from spatial_rag_core.errors import (
    JournalInUseError,
    JournalUnavailableError,
    SchemaVersionError,
)
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep import integrity

from contents import SPEC
from ledger import Ledger, Step
import life
import old_version
from tail import Tail
from verdict import TortureError

SAMPLE_NEWEST, SAMPLE_OTHERS, EVERYTHING_EACH = 200, 200, 25
OLD_MEMORIES = 1500
SECOND_WRITER_EACH = 3
"""Of the kills during an append."""
_USUAL_DURATION_SEC = 0.1
"""Of a step that never came to its end yet."""


def lines_of(ear: int) -> Iterator[tuple[float, str, Step]]:
    """What a writing process says, until it is silent for good: time [s], will or did, step."""
    rest = b''
    while block := os.read(ear, 1 << 16):
        *lines, rest = (rest + block).split(b'\n')
        for line in lines:
            stamp_ns, verb, text = line.decode().split(' ', 2)
            if verb == 'failed':
                raise TortureError(f'the writing process failed: {text}')
            yield int(stamp_ns) / 1e9, verb, Step.parse(text)


@dataclass
class KillFigures:
    """
    What came of it.

    during: what the process was about when it died.  unacknowledged_kept: steps that were whole
    in the store though their process died before it could say so.  durations: moving averages [s].
    """

    kills: int = 0
    during: Counter[str] = field(default_factory=Counter)
    unacknowledged_kept: int = 0
    refused_second_writers: int = 0
    durations: dict[str, float] = field(default_factory=dict)

    def usual(self, kind: str) -> float:
        """How long such a step takes [s]."""
        return self.durations.get(kind, _USUAL_DURATION_SEC)

    def learn(self, kind: str, duration: float) -> None:
        """One took this long [s]."""
        self.durations[kind] = 0.7 * self.durations.get(kind, duration) + 0.3 * duration

    def told(self) -> dict[str, object]:
        usual = {kind: round(1e3 * duration, 2) for kind, duration in self.durations.items()}
        return {'kills': self.kills, 'during': dict(self.during),
                'unacknowledged_kept': self.unacknowledged_kept,
                'refused_second_writers': self.refused_second_writers,
                'usual_duration_ms': usual}


class Victim:
    """A store, its ledger, and writing processes that come and are killed."""

    def __init__(self, path: Path, ledger: Ledger, figures: KillFigures) -> None:
        self.path = path
        self.ledger = ledger
        self.figures = figures
        self._backed_up: list[Ledger] = []  # what the backup may hold, where there is one

    def kill_once(self, aim: str, chance: random.Random) -> None:
        """One life of a writer, its death in or soon after a step of this kind, the judgement."""
        pid, ear = life.fork(self.path, self.ledger, chance, aim)
        try:
            pending = self._follow(pid, ear, aim, chance)
        finally:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            os.close(ear)
        self.figures.kills += 1
        self.figures.during[pending.kind if pending else 'between steps'] += 1
        self._judge(pending, chance)

    def _follow(self, pid: int, ear: int, aim: str, chance: random.Random) -> Step | None:
        """Listen and kill; return what it was about when it died."""
        pending: Step | None = None
        began = killed = 0.0
        for stamp, verb, step in lines_of(ear):
            if verb == 'will':
                pending, began = step, stamp
                self.ledger.skip(step)
                if step.kind == 'backup':
                    self._backed_up.append(self.ledger.copy())
                if step.kind == aim and not killed:
                    self._wait(pid, aim, began, chance)
                    os.kill(pid, signal.SIGKILL)
                    killed = time.monotonic()
            else:
                pending = None
                self.ledger.apply(step)
                if step.kind == 'backup':
                    del self._backed_up[:-1]
                self.figures.learn(step.kind, stamp - began)
        lived = killed - began
        if pending is not None and pending.kind == aim and lived > self.figures.usual(aim):
            self.figures.learn(aim, 1.5 * lived)  # it takes longer than that
        return pending

    def _wait(self, pid: int, aim: str, began: float, chance: random.Random) -> None:
        moment = began + chance.uniform(0.0, 1.6) * self.figures.usual(aim)
        if aim == 'append' and self.figures.kills // len(life.KINDS) % SECOND_WRITER_EACH == 0:
            self._ask_for_a_second_writer(pid)
        while (left := moment - time.monotonic()) > 0:
            if left > 0.0005:
                time.sleep(left - 0.0005)

    def _ask_for_a_second_writer(self, pid: int) -> None:
        try:
            Journal.open_writer(self.path, SPEC).close()
        except JournalInUseError as error:
            if str(pid) not in str(error) or str(self.path) not in str(error):
                raise TortureError(f'it refuses without file or holder: {error}') from error
            self.figures.refused_second_writers += 1
        else:
            raise TortureError('a second writer was let in')

    def _judge(self, pending: Step | None, chance: random.Random) -> None:
        with self._opened(chance) as journal:
            if journal is None and self.ledger.labels:
                raise TortureError(f'after a kill during {pending} the store is gone')
            if journal is None:
                return  # it was killed before there was any
            self._compare(journal, pending, chance)
        self._require_clean(self.path, pending)
        if (copy := self.path.with_suffix('.backup')).exists():
            self._require_clean(copy, pending)
            with Journal.open_writer(copy, SPEC) as journal:
                if all(ledger.disagreement(journal, []) for ledger in self._backed_up):
                    raise TortureError(f'after a kill during {pending} the backup is of no moment')

    def _require_clean(self, path: Path, pending: Step | None) -> None:
        if not (report := integrity.check(path)).is_clean:
            raise TortureError(f'check of {path.name} after a kill during {pending}: '
                               f'{report.problems}')

    def _opened(self, chance: random.Random) -> contextlib.AbstractContextManager[Journal | None]:
        """A reader or a writer is the first to open it after the death of the last writer."""
        if chance.random() < 0.5:
            try:
                return Journal.open_reader(self.path) or contextlib.nullcontext()
            except SchemaVersionError:
                pass  # a writer has to migrate it first
            except JournalUnavailableError:
                if self.ledger.labels:  # else a writer has to finish making it first
                    raise
        return Journal.open_writer(self.path, SPEC)

    def _compare(self, journal: Journal, pending: Step | None, chance: random.Random) -> None:
        after = self.ledger.copy().apply(pending) if pending else self.ledger
        sample = self._sample(after, chance)
        if before := self.ledger.disagreement(journal, sample):
            if pending is None or (then := after.disagreement(journal, sample)):
                raise TortureError(f'after a kill during {pending} the store {before}'
                                   + (f', or {then}' if pending else ''))
            self.ledger = after
            self.figures.unacknowledged_kept += 1

    def _sample(self, ledger: Ledger, chance: random.Random) -> list[int]:
        known = sorted(ledger.labels)
        if self.figures.kills % EVERYTHING_EACH == 0 or len(known) < SAMPLE_OTHERS:
            return known
        return known[-SAMPLE_NEWEST:] + chance.sample(known, SAMPLE_OTHERS)


def torture(folder: Path, kills: int, seed: int,
            progress: Callable[[str], None]) -> dict[str, object]:
    """So many kills on one growing store that a reader follows; raises TortureError."""
    path = folder / 'memory.db'
    tail = Tail(path)
    victim = Victim(path, Ledger(), KillFigures())
    try:
        for number, kind in zip(range(kills), itertools.cycle(life.KINDS)):
            progress(f'kill {number + 1} of {kills}, {len(victim.ledger.labels)} memories')
            victim.kill_once(kind, random.Random(f'{seed} {number}'))
            if problem := tail.disagreement(victim.ledger):
                raise TortureError(f'the reader that follows {problem}')
        return {**victim.figures.told(), 'memories': len(victim.ledger.labels),
                'moves': victim.ledger.moves, 'reader': tail.figures()}
    finally:
        tail.close()


def torture_migration(folder: Path, kills: int, seed: int,
                      progress: Callable[[str], None]) -> dict[str, object]:
    """Kill writers while they bring a store of version 1 up to date, each another one."""
    old, path = folder / 'old.db', folder / 'migrated.db'
    numbers = range(1, OLD_MEMORIES + 1)
    old_version.make(old, numbers)
    figures = KillFigures()
    for number in range(kills):
        progress(f'kill {number + 1} of {kills} during migration')
        ledger = Ledger().apply(Step('append', tuple(numbers)))
        ledger.skip(Step('append', tuple(numbers)))
        for part in folder.glob(f'{path.name}*'):
            part.unlink()
        shutil.copyfile(old, path)
        Victim(path, ledger, figures).kill_once('open', random.Random(f'{seed} {number}'))
    return figures.told()
