"""Whether a store whose write-ahead log is damaged tells how much of its newest part is gone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from spatial_rag_core.memory.file.high_water_mark import Lost
from spatial_rag_core.memory.journal import Journal

from contents import SPEC
from judgement import Judgement
from ledger import Ledger, Step
from verdict import TortureError


def judge_log(path: Path, steps: Sequence[Step], seqs: Mapping[int, int]) -> dict[str, object]:
    """
    Raise TortureError where it lies; else say of which class it is.

    Readers tell or have it all; the writer counts what is gone, and what is left is the store of
    some moment, which readers then read again.
    """
    before = Judgement(path, Ledger.after(steps), seqs)
    before.read()
    if before.check() and before.told:
        raise TortureError(f'check is clean where reading told {before.told[0]}')
    with Journal.open_writer(path, SPEC) as journal:
        kept = _steps_kept(journal, steps)
        ledger = Ledger.after(steps[:kept])
        if problem := ledger.disagreement(journal, list(ledger.labels)):
            raise TortureError(f'the store is of no moment: it {problem}')
        lost = Lost(*(was - now for was, now in zip(_given(steps), _given(steps[:kept]),
                                                    strict=True)))
        if journal.lost != lost or any(lost) != bool(before.told):
            raise TortureError(f'{lost} is gone, but told {journal.lost} and {before.told[:1]}')
    after = Judgement(path, ledger, {n: seq for n, seq in seqs.items() if n in ledger.labels})
    if not lost.memories + lost.changes:
        after.read()
    if after.told or not after.check():
        raise TortureError(f'it does not go on: {after.told[:1]}')
    return {'class': 'counted' if any(lost) else 'unharmed', 'lost_of_log': lost.memories}


def _given(steps: Sequence[Step]) -> tuple[int, int]:
    """Numbers that these steps gave to memories, and to changes."""
    sizes = [(step.kind == 'append', len(step.numbers)) for step in steps]
    return (sum(size for is_append, size in sizes if is_append),
            sum(size for is_append, size in sizes if not is_append))


def _steps_kept(journal: Journal, steps: Sequence[Step]) -> int:
    """How many of the steps the store has seen, by the last numbers that it gave."""
    for kept in range(len(steps) + 1):
        if _given(steps[:kept]) == (journal.last_seq, journal.last_change):
            return kept
    raise TortureError(f'the store is of no moment: last_seq {journal.last_seq}, last_change '
                       f'{journal.last_change}')
