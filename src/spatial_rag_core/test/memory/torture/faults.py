"""A full, broken or read-only disk at each call of a writer's life that changes its file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
import itertools
from pathlib import Path
import shutil

from spatial_rag_core.errors import JournalUnavailableError, SpatialRagError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep import integrity

from contents import SPEC
import disk
from hand import Hand
from ledger import Ledger, Step
from verdict import TortureError

NAME = 'memory.'
ERRORS = ('ENOSPC', 'EIO', 'EROFS')
FOR_EVER = 1 << 40
PATIENCE = 4
"""Attempts at a step while the disk fails for ever; then space returns."""


@dataclass(frozen=True)
class Fault:
    """Calls from the first on fail, `length` of them, half: the first is cut short before."""

    first: int
    error: str
    length: int = 1
    half: bool = False


@dataclass
class FaultFigures:
    """Calls that change the file in a sound life; faults that came to be, and were told."""

    calls: int = 0
    faults: int = 0
    told: int = 0


def script() -> Iterator[Step]:
    """What the writer does under faults."""
    numbers = itertools.count(1)
    yield Step('open')
    for size in (1, 3, 2, 1, 4, 1, 2):
        yield Step('append', tuple(itertools.islice(numbers, size)))
    yield Step('append', (97,))  # more than fits any page
    yield Step('forget', (2, 3, 97))
    yield Step('release')
    yield Step('relabel', (1, 5, 6))
    yield Step('backup')
    yield Step('reanchor')
    yield Step('close')
    yield Step('open')
    yield Step('append', tuple(itertools.islice(numbers, 5)))
    yield Step('compact')
    yield Step('append', tuple(itertools.islice(numbers, 2)))
    yield Step('close')


class FaultyLife:
    """A writer on a disk that fails as it is told, in a folder of its own."""

    def __init__(self, folder: Path, figures: FaultFigures) -> None:
        folder.mkdir()
        self._path = folder / 'memory.db'
        self._crashed = folder / 'crashed.db'
        self._hand = Hand(self._path)
        self._figures = figures
        self._ledger = Ledger()

    def live(self, fault: Fault | None) -> None:
        """Go through the script; raises TortureError where the memory breaks its word."""
        if fault is None:
            disk.lift(NAME)
        else:
            disk.fail(NAME, fault.first, fault.first + fault.length - 1, fault.error, fault.half)
        was_told = False
        for step in script():
            was_told |= self._persist(step)
            self._ledger.apply(step)
            if step.kind == 'backup':
                backed_up = self._ledger.copy()
        if fault is None:
            self._figures.calls = disk.count()
        else:
            self._figures.faults += was_told or disk.failed() > 0
            self._figures.told += was_told
        disk.lift(NAME)
        self._require_sound(self._path, self._ledger)
        self._require_sound(self._hand.copy, backed_up)

    def _persist(self, step: Step) -> bool:
        """Try until it is done; return whether an error was told on the way."""
        for attempt in itertools.count():
            if attempt == PATIENCE:
                disk.lift(NAME)
            try:
                self._hand.do(step, self._ledger)
            except JournalUnavailableError as error:
                if attempt > PATIENCE or disk.failed() == 0:
                    raise TortureError(f'{step} fails on a sound disk: {error}') from error
                if not any(str(path) in str(error) for path in (self._path, self._hand.copy)):
                    raise TortureError(f'{step}: the file is not named: {error}') from error
                if attempt == 0:
                    self._require_crash_loses_nothing(step)
            else:
                return attempt > 0
        raise AssertionError

    def _require_crash_loses_nothing(self, step: Step) -> None:
        """As if the process died now: a copy of its files holds all that was acknowledged."""
        for name in ('', '-wal'):
            Path(f'{self._crashed}{name}').unlink(missing_ok=True)
            if (part := Path(f'{self._path}{name}')).exists():
                shutil.copyfile(part, f'{self._crashed}{name}')
        if self._ledger.labels:
            self._require_sound(self._crashed, self._ledger, step)

    def _require_sound(self, path: Path, ledger: Ledger, pending: Step | None = None) -> None:
        with Journal.open_writer(path, SPEC) as journal:
            problem = ledger.disagreement(journal, list(ledger.labels))
            if problem and pending is not None:
                problem = ledger.copy().apply(pending).disagreement(journal, [])
        if problem:
            raise TortureError(f'{path.name} {problem}')
        if not (report := integrity.check(path)).is_clean:
            raise TortureError(f'check of {path.name}: {report.problems}')


def all_faults(calls: int, thorough: bool) -> Iterator[Fault]:
    """
    Each call in turn; thorough: with every kind of fault, otherwise with another one each.

    Kinds: every error, once, thrice and for ever; some after half of the bytes.
    """
    kinds = [*((*kind, False) for kind in itertools.product(ERRORS, (1, 3, FOR_EVER))),
             ('ENOSPC', 1, True), ('ENOSPC', FOR_EVER, True), ('EIO', 3, True)]
    for call in range(1, calls + 1):
        for error, length, half in kinds if thorough else [kinds[call * 7 % len(kinds)]]:
            yield Fault(call, error, length, half)


def torture(folder: Path, thorough: bool, progress: Callable[[str], None]) -> FaultFigures:
    """Every fault in turn, each on a store of its own."""
    figures = FaultFigures()
    FaultyLife(folder / 'sound', figures).live(None)
    for fault in all_faults(figures.calls, thorough):
        progress(f'{fault}')
        place = folder / 'faulty'
        try:
            FaultyLife(place, figures).live(fault)
        except (SpatialRagError, TortureError) as error:
            raise TortureError(f'{fault}: {error}') from error
        shutil.rmtree(place)
    return figures
