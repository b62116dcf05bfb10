"""Whether a damaged store tells of its damage, gives what is left of it, and never lies."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
import contextlib
from dataclasses import replace
import functools
from pathlib import Path

from spatial_rag_core.check_report import CheckReport
from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.upkeep import backup, integrity
from spatial_rag_core.records import as_latent, MemoryQuery

from contents import difference, id_of, memory_of, SPEC, vector_of
from ledger import Ledger, Step
from verdict import TortureError

ASKED = 40
NEVER_STORED = 100_001


class Judgement:
    """One damaged store: every way to read it either tells, or gives exactly what was written."""

    def __init__(self, path: Path, ledger: Ledger, seqs: Mapping[int, int]) -> None:
        self._path = path
        self._ledger = ledger
        self._seqs = seqs
        self.told: list[str] = []

    def tell(self, action: Callable[[], None], name: Path | None = None) -> bool:
        """Whether it tells; raises TortureError where it does so without the file's name."""
        try:
            action()
        except JournalError as error:
            if str(name or self._path) not in str(error):
                raise TortureError(f'the file is not named: {error}') from error
            self.told.append(f'{type(error).__name__}: {error}')
            return True
        return False

    def read(self) -> None:
        """Every way to read it."""
        journals: list[Journal] = []

        def open_reader() -> None:
            journal = Journal.open_reader(self._path)
            if journal is None:
                raise TortureError('is taken for a store with nothing in it')
            journals.append(journal)
        self.tell(open_reader)
        for journal in journals:
            with contextlib.closing(journal):
                for way in (self._index_pass, self._get_all, self._find_ids, self._count,
                            self._changes, self._relabelled):
                    self.tell(functools.partial(way, journal))
        self.tell(self._retrieve)

    def _index_pass(self, journal: Journal) -> None:
        if problem := self._ledger.disagreement(journal, []):
            raise TortureError(f'silently {problem}')

    def _get_all(self, journal: Journal) -> None:
        for number, seq in self._seqs.items():
            def look(number: int = number, seq: int = seq) -> None:
                found = journal.get([seq])
                if seq not in found:
                    raise TortureError(f'{id_of(number)} is silently missing from get')
                expected = memory_of(number, self._ledger.labels[number])
                if name := difference(found[seq], expected):
                    raise TortureError(f'get gives {id_of(number)} another {name}')
            if self.tell(look) and len(self.told) > ASKED:
                return

    def _find_ids(self, journal: Journal) -> None:
        for number, seq in self._seqs.items():
            found = journal.seqs_of([id_of(number)])
            if found != {id_of(number): seq}:
                raise TortureError(f'seqs_of({id_of(number)}) is silently {found}, not {seq}')

    def _count(self, journal: Journal) -> None:
        if journal.count != len(self._seqs) or journal.stats().count != len(self._seqs):
            raise TortureError(f'count is silently {journal.count}, not {len(self._seqs)}')
        if journal.last_seq != max(self._seqs.values()):
            raise TortureError(f'last_seq is silently {journal.last_seq}')

    def _changes(self, journal: Journal) -> None:
        changes = journal.changes_after(0)
        if changes is None or len(changes.forgotten) != 5 or len(changes.relabelled) != 20:
            raise TortureError(f'changes_after(0) is silently {changes}')

    def _relabelled(self, journal: Journal) -> None:
        meant = [self._seqs[number] for number in range(20, 40)]
        if journal.index_rows(meant).seqs.tolist() != meant:
            raise TortureError('index_rows silently leaves some out')

    def _retrieve(self) -> None:
        with contextlib.closing(Retriever(self._path)) as retriever:
            retriever.refresh()
            for number in list(self._seqs)[::ASKED]:
                hits = retriever.query(MemoryQuery(vector=as_latent(vector_of(number)), k=3))
                if len(hits) != 3 or hits[0].memory.id != id_of(number) or hits[0].distance > 0:
                    raise TortureError(f'a query silently does not find {id_of(number)}')

    def check(self) -> bool:
        """Whether `check` finds it clean; raises TortureError where reading told otherwise."""
        reports: list[CheckReport] = []
        told = list(self.told)
        if self.tell(lambda: reports.append(integrity.check(self._path))):
            return False
        [report] = reports
        if told and report.is_clean:
            raise TortureError(f'check is clean where reading told {told[0]}')
        return bool(report.is_clean)

    def salvage(self, target: Path) -> backup.RestoreReport | None:
        """What was recovered, which must be right, and lost; None where it refused."""
        reports: list[backup.RestoreReport] = []
        if self.tell(lambda: reports.append(backup.restore(self._path, target, salvage=True))):
            return None
        [report] = reports
        with Journal.open_writer(target, SPEC) as journal:
            pictures_lost = self._pictures_lost(journal)
            if journal.count != report.written or pictures_lost != report.pictures_lost:
                raise TortureError(f'{report} of {journal.count} memories without '
                                   f'{pictures_lost} pictures')
        if not (found := integrity.check(target)).is_clean:
            raise TortureError(f'check of what was salvaged: {found.problems}')
        if report.is_lost_exact and report.written + report.lost != len(self._seqs):
            raise TortureError(f'{report} of {len(self._seqs)} memories')
        return report

    def _pictures_lost(self, journal: Journal) -> int:
        """All else must be what was stored, or lost as the salvage's own words say."""
        after = lost = 0
        while len((rows := journal.index_rows_after(after)).seqs):
            after = int(rows.seqs[-1])
            for memory in journal.get(rows.seqs.tolist()).values():
                number = int(memory.id[1:])
                labels = self._ledger.labels.get(number)
                if labels is None:
                    raise TortureError(f'{memory.id} came back after it was forgotten')
                expected = memory_of(number, labels)
                if expected.thumbnail and not memory.thumbnail:
                    lost, expected = lost + 1, replace(expected, thumbnail=b'')
                if memory.session.startswith('lost-'):
                    expected = replace(expected, session=memory.session, robot='', map_id='',
                                       labels=())
                if name := difference(memory, expected):
                    raise TortureError(f'{memory.id} was salvaged with another {name}')
        return lost

    def write(self) -> None:
        """Opened as a writer it tells, or stores more without harm to what is there."""
        new = memory_of(NEVER_STORED)

        def append() -> None:
            with Journal.open_writer(self._path, SPEC) as journal:
                [seq] = journal.append([new])
                if seq <= max(self._seqs.values()):
                    raise TortureError(f'number {seq} was given for the second time')
                if name := difference(journal.get([seq])[seq], new):
                    raise TortureError(f'what was just stored has another {name}')
        self.tell(append)


def judge(path: Path, steps: Sequence[Step], seqs: Mapping[int, int]) -> dict[str, object]:
    """Raise TortureError where it lies; else say of which class it is."""
    judgement = Judgement(path, Ledger.after(steps), seqs)
    judgement.read()
    was_told = bool(judgement.told)
    is_clean = judgement.check()
    salvaged = judgement.salvage(path.with_name('salvaged.db'))
    judgement.write()
    answer: dict[str, object] = {'class': 'told' if was_told else (
        'unharmed' if is_clean else 'seen by check alone')}
    if salvaged is not None:
        answer |= {'salvaged': salvaged.written, 'lost': salvaged.lost,
                   'pictures_lost': salvaged.pictures_lost,
                   'inexact': not salvaged.is_lost_exact}
    return answer
