"""What a store must hold, kept outside of it, and whether it does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.journal import Journal

from contents import difference, id_of, labels_at_birth, memory_of, position_of, vector_of
import numpy as np

READ_AT_ONCE = 500


class Step(NamedTuple):
    """Something that a writer does, whole or not at all, and the memories that it does it to."""

    kind: str
    numbers: tuple[int, ...] = ()

    def __str__(self) -> str:
        return ' '.join([self.kind, *map(str, self.numbers)])

    @classmethod
    def parse(cls, text: str) -> Step:
        kind, *numbers = text.split()
        return cls(kind, tuple(map(int, numbers)))


@dataclass
class Ledger:
    """
    The memories that a store must hold, by number.

    labels: of each memory.  moves: how often the store was re-anchored.
    next_number: the first that was never offered to the store.
    """

    labels: dict[int, frozenset[str]] = field(default_factory=dict)
    moves: int = 0
    next_number: int = 1

    @classmethod
    def after(cls, steps: Iterable[Step]) -> Ledger:
        """What a store holds after these."""
        ledger = cls()
        for step in steps:
            ledger.apply(step)
        return ledger

    def copy(self) -> Ledger:
        return replace(self, labels=dict(self.labels))

    def apply(self, step: Step) -> Ledger:
        """The step was done."""
        for number in step.numbers:
            if step.kind == 'append':
                self.labels[number] = labels_at_birth(number)
            elif step.kind == 'forget':
                del self.labels[number]
            elif step.kind == 'relabel':
                self.labels[number] = self.labels[number] - {'new'} | {'seen'}
        self.moves += step.kind == 'reanchor'
        return self

    def skip(self, step: Step) -> None:
        """Numbers that were offered once are not offered again, stored or not."""
        self.next_number = max((self.next_number, *(n + 1 for n in step.numbers)))

    def disagreement(self, journal: Journal, sample: Sequence[int]) -> str:
        """
        Say in what the store differs; empty where it does not.

        All of its memories are compared as an index reads them, and those of `sample` whole.
        """
        with journal.snapshot():
            problem = self._rows_disagree(journal)
        return problem or self._memories_disagree(
            journal, [number for number in sample if number in self.labels])

    def _rows_disagree(self, journal: Journal) -> str:
        read: list[int] = []
        parts: list[IndexRows] = []
        while len((rows := journal.index_rows_after(parts[-1].seqs[-1] if parts else 0)).seqs):
            parts.append(rows)
        journal.require_all(sum(len(rows.seqs) for rows in parts))
        for rows in parts:
            numbers = rows.vectors[:, 0].astype(int).tolist()
            read += numbers
            if strangers := set(numbers) - set(self.labels):
                return f'holds {some(strangers)}, which it must not'
            if not np.array_equal(rows.vectors, np.float32([vector_of(n) for n in numbers])):
                return 'an index would read other vectors'
            expected = [position_of(number, self.moves) for number in numbers]
            if np.abs(rows.positions - np.array(expected)).max() > 1e-6:
                return f'an index would read other places than after {self.moves} moves'
            labels = [frozenset(rows.context_table[c].labels) for c in rows.contexts.tolist()]
            if wrong := [n for n, of in zip(numbers, labels, strict=True)
                         if of != self.labels[n]]:
                return f'an index would read other labels of {some(wrong)}'
        if len(set(read)) != len(read):
            return f'holds some twice: {some({n for n in read if read.count(n) > 1})}'
        if missing := set(self.labels) - set(read):
            return f'lacks {some(missing)}'
        if journal.count != len(read):
            return f'counts {journal.count} of {len(read)} memories'
        return ''

    def _memories_disagree(self, journal: Journal, numbers: list[int]) -> str:
        for start in range(0, len(numbers), READ_AT_ONCE):
            part = numbers[start:start + READ_AT_ONCE]
            seqs = journal.seqs_of([id_of(number) for number in part])
            found = journal.get(list(seqs.values()))
            for number in part:
                if (seq := seqs.get(id_of(number))) is None or seq not in found:
                    return f'does not find {id_of(number)}'
                expected = memory_of(number, self.labels[number], self.moves)
                if name := difference(found[seq], expected):
                    return f'{id_of(number)} has another {name}'
        return ''


def some(numbers: Sequence[int] | set[int]) -> str:
    """Their count and the first few."""
    first = ', '.join(map(id_of, sorted(numbers)[:5]))
    return f'{len(numbers)} memories ({first}, …)' if len(numbers) > 5 else first
