"""A thread that keeps the retriever's index up to date."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.retriever import Retriever

_WHILE_FAILING_SEC = 1.0


class Refresher:
    """
    Refreshes every period, at once where somebody waits for it, slower while it fails.

    The retriever belongs to it, and is closed with it.  report: is told every error, in its
    thread.
    """

    def __init__(self, retriever: Retriever, period_sec: float,
                 report: Callable[[Exception], object]) -> None:
        self._retriever = retriever
        self._period_sec = period_sec
        self._report = report
        self._begun = self._ended = 0  # passes
        self._error: Exception | None = None
        self._failures = 0  # one after the other
        self._is_wanted = self._is_closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name='refresher', daemon=True)
        self._thread.start()

    def catch_up(self, timeout_sec: float) -> bool:
        """
        Wait until all that is stored by now was taken in; returns whether it was in time.

        Raises the error that keeps the memory file from being opened, and JournalUnavailableError
        at the end.
        """
        with self._changed:
            target = self._begun + 1
            self._is_wanted = True
            self._changed.notify_all()
            in_time = self._changed.wait_for(
                lambda: self._ended >= target or self._is_closed, timeout_sec)
            if self._is_closed:
                raise JournalUnavailableError('the retriever is ending')
            if self._error is not None and self._retriever.spec is None:
                raise self._error
            return in_time

    @property
    def error(self) -> Exception | None:
        """Why the latest pass failed; None: it did not."""
        return self._error

    def close(self, timeout_sec: float = 2.0) -> None:
        """End the thread and close the retriever; a pass that hangs is left behind."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        deadline = time.monotonic() + timeout_sec
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._retriever.close(0.05)  # a pass that is loading a long memory gives up,
            self._thread.join(0.05)  # also one that was about to begin and has opened it again
        self._retriever.close(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while self._wait():
            error = None
            try:
                self._retriever.refresh()
            except Exception as caught:
                self._report(caught)
                error = caught
            with self._changed:
                self._ended, self._error = self._begun, error
                self._failures = 0 if error is None else self._failures + 1
                self._changed.notify_all()

    def _wait(self) -> bool:
        """Until the next pass; returns whether there is one."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_wanted or self._is_closed,
                self._period_sec if self._failures < 2 else _WHILE_FAILING_SEC)
            self._is_wanted = False
            self._begun += 1
            return not self._is_closed
