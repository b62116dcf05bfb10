"""A thread that does something again and again."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time


class PeriodicWorker:
    """
    Calls `work` every period in one thread of its own; what takes longer delays the next call.

    `work` must not raise.  interrupt: makes work that takes long give up.  Close it, or the
    thread goes on.
    """

    def __init__(self, work: Callable[[], None], period_sec: float, name: str,
                 interrupt: Callable[[], None]) -> None:
        self._work, self._period_sec, self._interrupt = work, period_sec, interrupt
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def close(self, timeout_sec: float = 2.0) -> None:
        """Interrupt the work at hand and end the thread; work that hangs is left behind."""
        self._ending.set()
        deadline = time.monotonic() + timeout_sec
        while self._thread.is_alive() and time.monotonic() < deadline:
            self._interrupt()
            self._thread.join(0.05)

    def _run(self) -> None:
        while not self._ending.wait(self._period_sec):
            self._work()
