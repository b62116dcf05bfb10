"""Writes memories to the journal in a thread of its own, all that wait in one transaction."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, InvalidStateError
import contextlib
import threading
import time
from typing import Any, TypeVar

from spatial_rag_core.errors import (
    InputError,
    JournalError,
    JournalUnavailableError,
    ModelMismatchError,
)
from spatial_rag_core.memory.file.high_water_mark import lost_error
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.commit_queue import AT_ONCE, CommitConfig, CommitQueue
from spatial_rag_core.records import Memory
from spatial_rag_core.streams.metrics import LatencyWindow

T = TypeVar('T')
_Job = tuple[Future[Any], Callable[[Journal], Any]]

FIRST_RETRY_SEC, LAST_RETRY_SEC = 0.2, 1.0
"""A file that refuses is asked again after this long, ever more seldom."""
_JOIN_SEC = 10.0
"""For a transaction under way when time has run out."""


class Committer:
    """
    The one that writes to a memory file.

    A memory is stored once `stored` counts it; until then it is in the `backlog`. Where the file
    refuses, memories wait and are tried again; where it was deleted or replaced, open_journal is
    called anew. Methods may be called from any thread. What open_journal raises at first comes
    out.

    count: memories in the file.  model_id: their author, None while there is none.
    begun_anew: how often the file was found deleted or replaced, and another begun.
    on_change: called in the committer's thread after the file may have changed; be quick.
    """

    def __init__(self, open_journal: Callable[[], Journal],
                 config: CommitConfig = AT_ONCE) -> None:
        self._open_journal = open_journal
        self._queue = CommitQueue[_Job](config)
        self._at_hand: Future[Any] | None = None
        self._retry_sec = 0.0
        self._figures = threading.Lock()
        self._errors: deque[Exception] = deque(maxlen=100)
        self._durations_ms = LatencyWindow()
        self._journal: Journal | None = self._opened()
        self.path, self.spec = self._journal.path, self._journal.spec
        self.count, self.model_id = self._journal.count, self._journal.model_id
        self.begun_anew = 0
        self.on_change: Callable[[], None] = lambda: None
        self._thread = threading.Thread(target=self._work, name='committer', daemon=True)
        self._thread.start()

    @property
    def stored(self) -> int:
        """Memories that this committer has stored."""
        return self._queue.stored

    @property
    def lost(self) -> int:
        """Memories that could not be stored: too many waited, or they cannot be in this file."""
        return self._queue.lost

    @property
    def backlog(self) -> int:
        """Memories that were submitted and are neither stored nor lost yet."""
        return self._queue.backlog

    def commit_ms(self) -> tuple[float, float]:
        """Median and 99th percentile of the time that a transaction took [ms]; NaN: none yet."""
        with self._figures:
            return self._durations_ms.percentiles()

    def take_errors(self) -> list[Exception]:
        """Return what went wrong since this was last called; the newest hundred."""
        with self._figures:
            errors = list(self._errors)
            self._errors.clear()
        return errors

    def require_model(self, model_id: str, author: str) -> None:
        """Raise ModelMismatchError where the two differ: the author is that of the memory."""
        journal = self._journal
        if journal is not None:
            journal.require_model(model_id, author)

    def submit(self, memories: Sequence[Memory]) -> None:
        """Have them stored, in this order; returns at once. Raises JournalError once closed."""
        if not self._queue.put(memories):
            raise self._closed()

    def flush(self, timeout_sec: float) -> bool:
        """Wait until all that was submitted is stored or lost; False where time ran out."""
        return self._queue.wait_empty(timeout_sec)

    def run(self, work: Callable[[Journal], T]) -> Future[T]:
        """
        Have something done on the journal between two commits; keep it short.

        The future brings its result or its error. The file may be another than a moment ago:
        compare its generation. Raises JournalError once closed.
        """
        future: Future[T] = Future()
        if not self._queue.put_job((future, work)):
            raise self._closed()
        return future

    def close(self, timeout_sec: float = 5.0) -> bool:
        """
        Store what waits and close the file; work that was not begun is cancelled.

        False where that could not be done in time: what was not stored is then counted as lost,
        and who waits for the work at hand gets a JournalUnavailableError.
        """
        lost_before = self.lost
        for future, _ in self._queue.close(timeout_sec):
            future.cancel()
        self._thread.join(timeout_sec + _JOIN_SEC)
        if self._thread.is_alive():
            self._give_up_job()
            return False
        return self.lost == lost_before

    def _give_up_job(self) -> None:
        job = self._at_hand
        if job is None or job.cancel():
            return
        with contextlib.suppress(InvalidStateError):  # done after all
            job.set_exception(JournalUnavailableError(
                f'the disk of {self.path} does not answer; what was asked for may be done wholly, '
                'in part or not at all'))

    def _closed(self) -> JournalError:
        return JournalError(f'the writer of {self.path} is closed; make another')

    def _work(self) -> None:
        while (todo := self._queue.take()) is not None:
            memories, job = todo
            self._at_hand = None if job is None else job[0]
            if memories:
                self._commit(memories)
            if job is not None:
                self._do(*job)
            self.on_change()
        self._close_journal()

    def _commit(self, memories: Sequence[Memory]) -> None:
        start = time.perf_counter()
        try:
            self._store(self._attached(), memories)
        except Exception as error:  # whatever it is: what waits must not be lost for it
            self._note(error)
            self._retry_sec = min(max(2 * self._retry_sec, FIRST_RETRY_SEC), LAST_RETRY_SEC)
            self._queue.put_back(self._retry_sec)
            return
        self._retry_sec = 0.0
        with self._figures:
            self._durations_ms.add((time.perf_counter() - start) * 1e3)

    def _store(self, journal: Journal, memories: Sequence[Memory]) -> None:
        try:
            journal.append(memories)
        except (InputError, ModelMismatchError) as error:  # these would not be taken tomorrow
            if len(memories) == 1:
                self._note(error)
                self._queue.settle(1, is_stored=False)
                return
            for memory in memories:
                self._store(journal, [memory])
            return
        self._recount(journal)
        self._queue.settle(len(memories))

    def _opened(self) -> Journal:
        journal = self._open_journal()
        if any(journal.lost):
            self._note(lost_error(journal.path, journal.lost))
        return journal

    def _attached(self) -> Journal:
        """Return the journal, begun anew where the file has another name or none by now."""
        if self._journal is not None and self._journal.is_detached:
            self._note(JournalUnavailableError(
                f'memory file {self.path} was deleted or replaced while it was open; what comes '
                'goes into the one that is there now, or a new one'))
            self._close_journal()
        if self._journal is None:
            self._journal = self._opened()
            self._recount(self._journal)
            self.begun_anew += 1
        return self._journal

    def _do(self, future: Future[Any], work: Callable[[Journal], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        with contextlib.suppress(InvalidStateError):  # close has given it up
            try:
                journal = self._attached()
                result = work(journal)
                self._recount(journal)
            except Exception as error:
                future.set_exception(error)
            else:
                future.set_result(result)

    def _recount(self, journal: Journal) -> None:
        with contextlib.suppress(JournalError):  # what is stored is stored; the next will tell
            self.count, self.model_id = journal.count, journal.model_id

    def _close_journal(self) -> None:
        journal, self._journal = self._journal, None
        if journal is not None:
            try:
                journal.close()
            except JournalError as error:
                self._note(error)

    def _note(self, error: Exception) -> None:
        with self._figures:
            self._errors.append(error)
