"""A disk that is really full, as far as the kernel is concerned: files may not grow any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import dataclass
import itertools
from pathlib import Path
import resource

from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep import integrity

from contents import memory_of, SPEC
from ledger import Ledger, Step
from verdict import TortureError

REFUSALS = 5
"""In a row; one alone may be followed by success, where the log could be begun anew."""
FIRST_LIMIT, LAST_LIMIT = 10_000, 400_000
GROUP = 7


@dataclass
class FullDiskFigures:
    """What came of it: disks that filled up, and memories that were stored before and after."""

    disks: int = 0
    stored: int = 0
    message: str = ''


@contextlib.contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """In this process; Python ignores the signal, so that a write fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def torture(folder: Path, disks: int, progress: Callable[[str], None]) -> FullDiskFigures:
    """Fill so many disks, each a little larger than the one before."""
    figures = FullDiskFigures()
    for number in range(disks):
        size = FIRST_LIMIT + number * (LAST_LIMIT - FIRST_LIMIT) // disks
        progress(f'disk of {size} bytes')
        _fill(folder / f'memory-{number}.db', size, figures)
        figures.disks += 1
    return figures


def _fill(path: Path, size: int, figures: FullDiskFigures) -> None:
    numbers, ledger = itertools.count(1), Ledger()
    with Journal.open_writer(path, SPEC) as journal:
        with files_no_larger_than(size):
            step, refusals = _next(numbers), 0
            while refusals < REFUSALS:
                if message := _refusal(journal, path, step):
                    refusals, figures.message = refusals + 1, message
                else:
                    ledger.apply(step)
                    step, refusals = _next(numbers), 0
        for later in (step, _next(numbers), _next(numbers)):
            if message := _refusal(journal, path, later):
                raise TortureError(f'does not go on when space has returned: {message}')
            ledger.apply(later)
    figures.stored += len(ledger.labels)
    with Journal.open_writer(path, SPEC) as journal:
        if problem := ledger.disagreement(journal, list(ledger.labels)):
            raise TortureError(f'disk of {size} bytes: {problem}')
    if not (report := integrity.check(path)).is_clean:
        raise TortureError(f'check, disk of {size} bytes: {report.problems}')


def _next(numbers: Iterator[int]) -> Step:
    return Step('append', tuple(itertools.islice(numbers, GROUP)))


def _refusal(journal: Journal, path: Path, step: Step) -> str:
    """Store it, or return why not: words that must name the file."""
    try:
        journal.append([memory_of(number) for number in step.numbers])
    except JournalUnavailableError as error:
        if str(path) not in str(error):
            raise TortureError(f'the file is not named: {error}') from error
        return str(error).replace(str(path), path.name)
    return ''
