"""A worker thread that always takes the newest item; what it could not keep up with is dropped."""

from __future__ import annotations

from collections.abc import Callable
import threading
from typing import Generic, TypeVar

Item = TypeVar('Item')


class NewestFirstWorker(Generic[Item]):
    """
    Calls `work` in one thread of its own, with the newest item put.

    `work` must not raise. Close it, or the thread goes on.
    """

    def __init__(self, work: Callable[[Item], None], name: str) -> None:
        self._work = work
        self._slot: list[Item] = []
        self._condition = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, item: Item) -> bool:
        """Hand over an item; returns False where an older one was dropped for it."""
        with self._condition:
            kept = not self._slot
            self._slot[:] = [item]
            self._condition.notify()
        return kept

    def close(self, timeout_sec: float = 2.0) -> None:
        """Finish the item at hand and end the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        self._thread.join(timeout_sec)

    def _run(self) -> None:
        while True:
            with self._condition:
                self._condition.wait_for(lambda: bool(self._slot) or self._closed)
                if self._closed:
                    return
                item = self._slot.pop()
            self._work(item)
