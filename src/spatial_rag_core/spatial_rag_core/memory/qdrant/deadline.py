"""Calls that may hang: each has a deadline, and after a failure there is a pause."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time
from typing import Generic, TypeVar

from spatial_rag_core.errors import IndexUnavailableError

_MOST_HANGING = 4
_FIRST_PAUSE_SEC, _LONGEST_PAUSE_SEC = 0.5, 8.0

Answer = TypeVar('Answer')


class _Call(Generic[Answer]):
    """One call in a thread of its own; the name resolver alone may hang for half a minute."""

    def __init__(self, ask: Callable[[], Answer]) -> None:
        self._ask = ask
        self._answer: list[Answer] = []
        self._error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True, name='qdrant-question')
        self.thread.start()

    def _run(self) -> None:
        try:
            self._answer.append(self._ask())
        except BaseException as error:  # for the thread that waits for it
            self._error = error

    def answer(self) -> Answer:
        if self._error is not None:
            raise self._error
        return self._answer[0]


class Deadline:
    """
    Asks a server that may be down, so that who asks is never held up for longer than this.

    timeout_sec: for each call.  where: the server's name in messages. After a failure the next
    calls fail at once, for half a second, then for up to 8 s; one that succeeds ends that.
    Raises IndexUnavailableError.
    """

    def __init__(self, timeout_sec: float, where: str,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._timeout_sec = timeout_sec
        self._where = where
        self._clock = clock
        self._lock = threading.Lock()
        self._hanging: list[threading.Thread] = []
        self._pause_sec = 0.0
        self._again_at = -float('inf')
        self._reason = ''

    def call(self, ask: Callable[[], Answer]) -> Answer:
        """Return what `ask` returns; raises what it raises, or that it took too long."""
        self._require_hope()
        call = _Call(ask)
        call.thread.join(self._timeout_sec)
        try:
            if call.thread.is_alive():
                with self._lock:
                    self._hanging.append(call.thread)
                raise IndexUnavailableError(
                    f'Qdrant at {self._where} gave no answer within {self._timeout_sec:g} s; '
                    'look at the server and the network, or raise timeout_sec')
            answer = call.answer()
        except IndexUnavailableError as error:
            self._failed(str(error))
            raise
        self.forgive()
        return answer

    def forgive(self) -> None:
        """Forget failures: the server is known to answer again."""
        with self._lock:
            self._pause_sec, self._again_at = 0.0, -float('inf')

    def _failed(self, reason: str) -> None:
        with self._lock:
            self._reason = reason
            self._pause_sec = min(max(_FIRST_PAUSE_SEC, 2 * self._pause_sec), _LONGEST_PAUSE_SEC)
            self._again_at = self._clock() + self._pause_sec

    def _require_hope(self) -> None:
        with self._lock:
            self._hanging = [thread for thread in self._hanging if thread.is_alive()]
            wait_sec = self._again_at - self._clock()
            if wait_sec > 0 or len(self._hanging) >= _MOST_HANGING:
                raise IndexUnavailableError(
                    f'{self._reason} (not asked again for {max(wait_sec, 0.0):.1f} s)')
