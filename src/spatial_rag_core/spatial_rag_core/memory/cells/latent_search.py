"""Near latents anywhere in a large memory, approximately; prepared beside the searches."""

from __future__ import annotations

import threading

from spatial_rag_core.memory.cells.arena import Arena, Rows
from spatial_rag_core.memory.cells.inverted_file import InvertedFile, live_rows, made_of
from spatial_rag_core.records import Vector

import faiss
import numpy as np

FLAT_ROWS = 50_000  # that are searched one by one faster than it is worth to approximate
TAIL_ROWS = 16_384  # newest ones that are searched one by one before the inverted file grows
MOST_WANTED = 64  # hits; for more the inverted file would have to open too many lists
GROWTH = 4  # times as many memories as it was trained on: it is made anew
STALE, USELESS = 0.25, 0.5  # share of forgotten memories in it: likewise; and not used any more


class LatentSearch:
    """
    Finds rows of an arena whose latents are probably the nearest by L2.

    An inverted file is made in a thread of its own when it is first asked for, and grows there
    with the memory; until then all memories have to be looked at. A memory whose latents are so
    scattered that no inverted file helps has none.
    """

    def __init__(self) -> None:
        self._file: InvertedFile | None = None
        self._enough = FLAT_ROWS  # memories from which on it is worth to try
        self._starting = threading.Lock()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def file_count(self) -> int:
        """Memories in the inverted file; 0: there is none."""
        return 0 if self._file is None else self._file.count

    def wait(self) -> None:
        """Return when no inverted file is being made."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop making inverted files; returns when the thread has ended."""
        self._closed.set()
        self.wait()
        self._file = None

    def candidates(self, arena: Arena, vector: Vector, share: float) -> Rows | None:
        """
        Rows among which the nearest are, int64 [n]; None: look at all.

        share: of all memories, those that are wanted; the smaller, the more candidates.
        """
        file = self._file
        if self._is_due(arena, file):
            self._start(arena)
        if file is None or file.stale_share(arena) > USELESS:
            return None
        question = np.ascontiguousarray(vector, np.float32)[None]
        rows, held = arena.find(file.near(question, share)[0])
        return np.concatenate([rows[held], live_rows(arena, file.tail(arena))])

    def _is_due(self, arena: Arena, file: InvertedFile | None) -> bool:
        if self._closed.is_set() or arena.count < self._enough:
            return False
        return (file is None or len(file.tail(arena)[0]) > TAIL_ROWS
                or file.stale_share(arena) > STALE)

    def _start(self, arena: Arena) -> None:
        with self._starting:
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(
                    target=self._work, args=(arena,), daemon=True, name='inverted file')
                self._thread.start()

    def _work(self, arena: Arena) -> None:
        """Make the inverted file; where that fails, try again only when much has come."""
        faiss.omp_set_num_threads(1)  # of this thread: the robot needs its cores
        file, self._enough = self._file, GROWTH * arena.count
        if file is None or file.stale_share(arena) > STALE or (
                arena.count >= GROWTH * file.trained_on):
            file = made_of(arena, self._closed)
        else:
            file = file.with_tail(arena, self._closed)
        if file is not None:
            self._enough = 0
        self._file = file
