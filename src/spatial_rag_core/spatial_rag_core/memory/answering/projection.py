"""One index and the memory file that it follows: what is new, forgotten, relabelled, lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import threading

from spatial_rag_core.errors import JournalDamagedError
from spatial_rag_core.memory.answering.reader_pool import ReaderPool
from spatial_rag_core.memory.answering.tally import Tally
from spatial_rag_core.memory.file.damage import Damage, sound_parts
from spatial_rag_core.memory.index import IndexRows, MemoryIndex
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec

_BATCH = 10_000


class Projection:
    """
    An index that one thread feeds from a memory file, and that others ask.

    journal: the feeding thread's reader; first_reader: for those who ask, of the same file. Both
    belong to the projection from now on.
    """

    def __init__(self, journal: Journal, first_reader: Journal,
                 make_index: Callable[[JournalSpec], MemoryIndex]) -> None:
        self.spec = journal.spec
        self.readers = ReaderPool(first_reader)
        self.tally = Tally()
        self.damage = Damage(journal.path)
        self.total = journal.count
        self._journal = journal
        self._generation = journal.generation
        self._last_change = journal.last_change  # before any memory is read
        self._data_version: int | None = None
        self._users, self._is_retired, self._lock = 0, False, threading.Lock()
        self.index = make_index(journal.spec)
        self._position = self.index.last_seq

    @property
    def model_id(self) -> str | None:
        """The bundle whose latents the file holds; None: it holds nothing."""
        return self._journal.model_id

    @property
    def is_detached(self) -> bool:
        """Whether its file was deleted or replaced."""
        return self._journal.is_detached

    @property
    def last_seq(self) -> int:
        """Newest sequence number that was looked at; 0: none."""
        return self._position

    @property
    def is_loaded(self) -> bool:
        """Whether all that the file held was taken in once."""
        return self._data_version is not None

    def follow(self, is_ending: Callable[[], bool]) -> int | None:
        """
        Take in what was committed since, until there is no more or is_ending().

        Returns how many memories came in; None: nothing can be taken in any more, the index must
        be built anew. Raises JournalDamagedError for memories that are missing or unreadable,
        after it has taken in all others, and not each time: see Damage.
        """
        version = self._journal.data_version
        if version != self._data_version:
            if self._journal.generation != self._generation or not self._take_changes():
                return None
            self.total = self._journal.count
            count = sum(map(self._take, self._batches(is_ending)))
            if is_ending():
                return count
            self._compare_counts()
            self._data_version = version
        else:
            count = 0
        self.damage.tell()
        return count

    def _compare_counts(self) -> None:
        """Notice memories that vanished; unless there is more to take in by now."""
        with self._journal.snapshot():
            if (self._journal.last_change == self._last_change
                    and not len(self._journal.records_after(self._position, 1))):
                self.damage.counted(self._journal.count, self.tally.count)
                self._position = self._journal.last_seq  # the newest may have been forgotten

    def _take_changes(self) -> bool:
        """Forget and relabel; returns whether the log still holds all that happened."""
        while (changes := self._journal.changes_after(self._last_change)) is not None:
            if changes.last == self._last_change:
                return True
            if len(changes.forgotten):
                self.index.remove(changes.forgotten)
                self.tally.remove(changes.forgotten)
                self.damage.forgotten(changes.forgotten)
            for rows in sound_parts(self._journal.index_rows, changes.relabelled.tolist(),
                                    self.damage.spoiled):
                self.index.relabel(rows)
                self.tally.relabel(rows)
            self._last_change = changes.last
        return False

    def _take(self, rows: IndexRows) -> int:
        self.index.add(rows)
        self.tally.add(rows)
        return len(rows.seqs)

    def _batches(self, is_ending: Callable[[], bool]) -> Iterator[IndexRows]:
        """Memories after _position, which moves on once they were taken in."""
        while not is_ending():
            try:
                rows = self._journal.index_rows_after(self._position, _BATCH)
            except JournalDamagedError:
                end = min(self._position + _BATCH, self._journal.last_seq)
                if end <= self._position:
                    raise  # no memory is damaged, but what all of them need
                yield from sound_parts(self._journal.index_rows,
                                       range(self._position + 1, end + 1),
                                       self.damage.not_indexed)
                self._position = end
                continue
            if not len(rows.seqs):
                return
            yield rows
            self._position = int(rows.seqs[-1])

    @contextlib.contextmanager
    def in_use(self) -> Iterator[bool]:
        """Keep it open meanwhile; gives False where it is retired already."""
        with self._lock:
            is_usable = not self._is_retired
            self._users += is_usable
        try:
            yield is_usable
        finally:
            if is_usable:
                self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._users -= 1
            is_last = self._is_retired and self._users == 0
        if is_last:
            self._close()

    def retire(self) -> None:
        """Close it, once nobody asks it any more; for the feeding thread, and once only."""
        self._journal.close()
        with self._lock:
            self._is_retired = True
            is_last = self._users == 0
        if is_last:
            self._close()

    def _close(self) -> None:
        self.readers.close()
        self.index.close()
