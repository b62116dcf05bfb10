"""Threads that do what is put, in its order."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import queue
import threading
import time


class WorkQueue:
    """
    Does each job once, in one of `count` threads of its own.

    A job must not raise. Close it, or the threads go on.
    """

    def __init__(self, name: str, count: int = 1) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._run, name=name, daemon=True)
                         for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def put(self, job: Callable[[], None]) -> None:
        """Hand over a job; returns at once."""
        self._jobs.put(job)

    def drop(self) -> None:
        """Forget the jobs that have not begun."""
        with contextlib.suppress(queue.Empty):
            while True:
                self._jobs.get_nowait()

    def close(self, timeout_sec: float) -> None:
        """Do what was put and end the threads; leave behind what takes longer than that."""
        for _ in self._threads:
            self._jobs.put(None)
        deadline = time.monotonic() + timeout_sec
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        while self._do_next():  # a function of its own: nothing is held while it waits
            pass

    def _do_next(self) -> bool:
        job = self._jobs.get()
        if job is not None:
            job()
        return job is not None
