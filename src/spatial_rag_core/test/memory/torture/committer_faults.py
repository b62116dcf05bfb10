"""The committer of the memory writer on a disk that fails: it goes on by itself."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import itertools
from pathlib import Path
import shutil
import time

from spatial_rag_core.errors import JournalUnavailableError, SpatialRagError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing import committer
from spatial_rag_core.memory.upkeep import integrity

from contents import memory_of, SPEC
import disk
from faults import all_faults, Fault, FaultFigures, NAME
from ledger import Ledger, Step
from verdict import TortureError

GROUPS = (1, 2, 1, 3, 1, 2)
REFUSALS = 3
PATIENCE_SEC = 20.0


def torture(folder: Path, thorough: bool, progress: Callable[[str], None]) -> FaultFigures:
    """Every fault in turn; space returns once a few errors were told."""
    committer.FIRST_RETRY_SEC, committer.LAST_RETRY_SEC = 0.001, 0.005
    figures = FaultFigures()
    _live(folder / 'committed', None, figures)
    for fault in all_faults(figures.calls, thorough):
        progress(f'committer: {fault}')
        try:
            _live(folder / 'committed', fault, figures)
        except (SpatialRagError, TortureError) as error:
            raise TortureError(f'committer, {fault}: {error}') from error
    return figures


def _live(folder: Path, fault: Fault | None, figures: FaultFigures) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / 'memory.db'
    writer = committer.Committer(lambda: Journal.open_writer(path, SPEC))
    numbers = itertools.count(1)
    ledger, errors = Ledger(), list[Exception]()
    disk.lift(NAME)
    if fault is not None:
        disk.fail(NAME, fault.first, fault.first + fault.length - 1, fault.error, fault.half)
    with contextlib.closing(writer):
        for size in GROUPS:
            step = Step('append', tuple(itertools.islice(numbers, size)))
            writer.submit([memory_of(number) for number in step.numbers])
            ledger.apply(step)
            _wait(writer, errors, path)
    if fault is None:
        figures.calls = disk.count()
    else:
        figures.faults += bool(errors) or disk.failed() > 0
        figures.told += bool(errors)
    disk.lift(NAME)
    if writer.stored != len(ledger.labels) or writer.lost or writer.backlog:
        raise TortureError(f'{writer.stored} stored, {writer.lost} lost, {writer.backlog} wait')
    with Journal.open_writer(path, SPEC) as journal:
        if problem := ledger.disagreement(journal, list(ledger.labels)):
            raise TortureError(problem)
    if not (report := integrity.check(path)).is_clean:
        raise TortureError(f'check: {report.problems}')


def _wait(writer: committer.Committer, errors: list[Exception], path: Path) -> None:
    """Until all is stored; the disk is sound again after a few errors."""
    end = time.monotonic() + PATIENCE_SEC
    while not writer.flush(0.01):
        told = writer.take_errors()
        for error in told:
            if not isinstance(error, JournalUnavailableError) or str(path) not in str(error):
                raise TortureError(f'told as {error!r}')
        errors += told
        if len(errors) >= REFUSALS:
            disk.lift(NAME)
        if time.monotonic() > end:
            raise TortureError(f'does not go on after {len(errors)} errors, then {errors[-1]!r}')
    errors += writer.take_errors()
