"""What a writing process does to its store, step by step."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.forgetting import forget
from spatial_rag_core.memory.journal import Durability, Journal
from spatial_rag_core.memory.upkeep import backup, compact, reanchor
from spatial_rag_core.records import IDENTITY, MemorySelection

from contents import id_of, memory_of, MOVE, SPEC
from ledger import Ledger, Step


class Hand:
    """Holds the store open between an 'open' and a 'close'."""

    def __init__(self, path: Path, durability: Durability = 'process') -> None:
        self.path = path
        self.copy = path.with_suffix('.backup')
        self._durability = durability
        self._journal: Journal | None = None

    def do(self, step: Step, ledger: Ledger) -> None:
        """Do it to the store that holds what the ledger says; it can be done again on error."""
        match step.kind:
            case 'open':
                self._open()
            case 'close':
                self._close()
            case 'append':
                self._open().append([memory_of(number, moves=ledger.moves)
                                     for number in step.numbers])
            case 'forget':
                self._forget(step.numbers)
            case 'relabel':
                self._open().relabel(self._seqs_of(step.numbers), add=('seen',), remove=('new',))
            case 'release':
                forget.release_space(self._open())
            case 'compact':
                self._close()
                compact.compact(self.path)
            case 'reanchor':
                reanchor.reanchor(self._open(), reanchor.RigidTransform(IDENTITY, MOVE))
            case 'backup':
                self._clear_the_place()
                backup.backup(self.path, self.copy)
            case unknown:
                raise ValueError(f'there is no step {unknown}')

    def _open(self) -> Journal:
        if self._journal is None:
            self._journal = Journal.open_writer(self.path, SPEC, self._durability,
                                                holder='torture')
        return self._journal

    def _close(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            journal.close()

    def _clear_the_place(self) -> None:
        """Delete an earlier backup; the one who does it meets the same disk."""
        try:
            if self.copy.exists():
                self.copy.unlink()
        except OSError as error:
            raise JournalUnavailableError(f'{self.copy} cannot be deleted: {error}') from error

    def _forget(self, numbers: tuple[int, ...]) -> None:
        """By selection or by number, each now and then."""
        if sum(numbers) % 2:
            forget.forget(self._open(), MemorySelection(ids=tuple(map(id_of, numbers))))
        else:
            self._open().forget(self._seqs_of(numbers))

    def _seqs_of(self, numbers: tuple[int, ...]) -> list[int]:
        return list(self._open().seqs_of(list(map(id_of, numbers))).values())
