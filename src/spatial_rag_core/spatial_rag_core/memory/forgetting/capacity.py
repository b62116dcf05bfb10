"""Keeps a memory file within its capacity, in a thread of its own."""

from __future__ import annotations

import math
import threading

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.forgetting.live import forget_seqs
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.committer import Committer

SLACK = 0.01
"""Thinning goes this much below the capacity, so that it is seldom needed."""
MAX_CAPACITY = 1_000_000_000
_RETRY_SEC, _JOIN_SEC = 5.0, 2.0


class CapacityKeeper:
    """
    Forgets the most redundant memories where there are more than `capacity`; 0: unlimited.

    It begins a little early, half the slack below the capacity, for the thinning takes a while.
    Nothing new is ever refused: where each place is down to one memory the file grows beyond its
    capacity, and is_exhausted tells. Close it before the committer.

    thinned: memories forgotten so far.
    """

    def __init__(self, committer: Committer, capacity: int = 0) -> None:
        self._committer = committer
        self._wake, self._closing = threading.Event(), threading.Event()
        self._error: Exception | None = None
        self._enough_until = 0  # no use to try again with fewer memories than that
        self.thinned = 0
        self.set_capacity(capacity)
        self._thread = threading.Thread(target=self._work, name='capacity', daemon=True)
        self._thread.start()
        committer.on_change = self._wake.set

    def set_capacity(self, capacity: int) -> None:
        """Raise ConfigurationError where it is out of range."""
        if not 0 <= capacity <= MAX_CAPACITY:
            raise ConfigurationError(f'capacity must lie between 0 (unlimited) and {MAX_CAPACITY} '
                                     f'memories, got {capacity}')
        self.capacity, self._enough_until = capacity, 0
        self._wake.set()

    @property
    def is_exhausted(self) -> bool:
        """Whether there are more memories than there may be, but none that could be forgotten."""
        return 0 < self.capacity < self._committer.count and self._enough_until > 0

    def take_error(self) -> Exception | None:
        """Return what last kept it from thinning, once."""
        error, self._error = self._error, None
        return error

    def close(self) -> None:
        """End; a thinning under way is broken off, one that waits for the disk is left behind."""
        self._closing.set()
        self._wake.set()
        self._thread.join(_JOIN_SEC)

    def _work(self) -> None:
        while self._wake.wait() and not self._closing.is_set():
            self._wake.clear()
            try:
                self._thin()
            except Exception as error:  # whatever it is: it must not end the thread
                self._error = error
                self._closing.wait(_RETRY_SEC)
                self._wake.set()

    def _thin(self) -> None:
        capacity, count = self.capacity, self._committer.count
        spare = min(math.ceil(SLACK * capacity), capacity - 1)
        if not capacity or count <= max(capacity - spare / 2, self._enough_until):
            return
        # Here, for it brings Faiss, which a writer without a capacity does not need.
        from spatial_rag_core.memory.forgetting.thinning import redundant_seqs
        reader = Journal.open_reader(self._committer.path)
        if reader is None:
            return
        with reader:
            generation, excess = reader.generation, reader.count - (capacity - spare)
            seqs = redundant_seqs(reader, excess, self._closing.is_set).tolist()
        for count in forget_seqs(self._committer, seqs, generation):
            self.thinned += count
            if self._closing.is_set():
                return
        self._enough_until = self._committer.count + spare if len(seqs) < excess else 0
