"""Threads that do what takes long, so that the event loop never does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
import threading
import time
from typing import Any, ParamSpec, TypeVar

from spatial_rag_core.errors import ServiceUnavailableError

_Arguments = ParamSpec('_Arguments')
_Result = TypeVar('_Result')


class BusyError(ServiceUnavailableError):
    """Others ask so much at once that no more is taken in, or it takes too long."""


class Worker:
    """
    A few threads that do jobs in the order in which they came.

    name: what it is, for messages.  most_waiting: jobs at hand; more are refused with BusyError.
    timeout_sec: who waits for one gives up, with BusyError; what has begun is done to its end.
    """

    def __init__(self, name: str, threads: int = 1, most_waiting: int = 64,
                 timeout_sec: float = 10.0) -> None:
        self.name = name
        self._most_waiting, self._timeout_sec = most_waiting, timeout_sec
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._at_hand: dict[Future[Any], float] = {}

    def do(self, job: Callable[_Arguments, _Result], *args: _Arguments.args,
           **kwargs: _Arguments.kwargs) -> _Result:
        """Do it in a thread and wait, for as long as it takes; not for the event loop."""
        return self._submit(job, *args, **kwargs).result()

    async def run(self, job: Callable[_Arguments, _Result], *args: _Arguments.args,
                  **kwargs: _Arguments.kwargs) -> _Result:
        """Do it in a thread; a job whose asker was cancelled before it began is left out."""
        future = asyncio.wrap_future(self._submit(job, *args, **kwargs))
        try:
            return await asyncio.wait_for(future, self._timeout_sec)
        except asyncio.TimeoutError as error:
            raise BusyError(f'the {self.name} did not answer within {self._timeout_sec:g} s; ask '
                            'for less, or again later') from error

    def _submit(self, job: Callable[_Arguments, _Result], *args: _Arguments.args,
                **kwargs: _Arguments.kwargs) -> Future[_Result]:
        with self._lock:
            if len(self._at_hand) >= self._most_waiting:
                raise BusyError(f'{len(self._at_hand)} requests wait for the {self.name} already; '
                                'ask again in a second')
            future = self._pool.submit(job, *args, **kwargs)
            self._at_hand[future] = time.monotonic()
        future.add_done_callback(self._note_done)
        return future

    def _note_done(self, future: Future[Any]) -> None:
        with self._lock:
            self._at_hand.pop(future, None)

    @property
    def at_hand(self) -> int:
        """Jobs that wait or are being done."""
        return len(self._at_hand)

    @property
    def oldest_sec(self) -> float:
        """How long the oldest of them has been there [s]; 0 where there is none."""
        with self._lock:
            first = min(self._at_hand.values(), default=None)
        return 0.0 if first is None else time.monotonic() - first

    def close(self) -> None:
        """Drop what has not begun; what has is waited for."""
        self._pool.shutdown(cancel_futures=True)
