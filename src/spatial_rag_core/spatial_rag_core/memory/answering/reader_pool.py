"""Open readers of one memory file, one for each thread that reads at the same time."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import threading

from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.journal import Journal


class ReaderPool:
    """
    Lends readers; no two threads share one at a time, for a connection of SQLite serves one.

    first: the reader to begin with, which from now on belongs to the pool.
    """

    def __init__(self, first: Journal) -> None:
        self._first = first
        self._all = [first]
        self._free = [first]
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def reader(self) -> Iterator[Journal]:
        """Lend a reader; raises JournalError where another is needed and cannot be opened."""
        with self._lock:
            journal = self._free.pop() if self._free else None
        if journal is None:
            journal = self._open()
        try:
            yield journal
        finally:
            with self._lock:
                self._free.append(journal)

    def _open(self) -> Journal:
        """Open the same file again; what has its name by now may be another."""
        journal = Journal.open_reader(self._first.path)
        if journal is None or self._first.is_detached:
            if journal is not None:
                journal.close()
            raise JournalUnavailableError(
                f'memory file {self._first.path} was deleted or replaced; ask again, the new one '
                'is being read')
        with self._lock:
            self._all.append(journal)
        return journal

    def close(self) -> None:
        """Close all of them; none may be lent now."""
        for journal in self._all:
            journal.close()
