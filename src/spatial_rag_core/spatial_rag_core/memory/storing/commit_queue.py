"""What waits to be written to a memory file: memories, and jobs between them."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
import math
import threading
import time
from typing import Generic, TypeVar

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Memory

Job = TypeVar('Job')


@dataclass(frozen=True)
class CommitConfig:
    """
    How memories are committed.

    commit_period_sec: they are gathered for so long before they are written, for media that wear
    out [s]; 0: at once, together with all that came while those before were being written.
    max_backlog: memories kept while the file cannot be written; the oldest go beyond that.
    """

    commit_period_sec: float = 0.0
    max_backlog: int = 6000

    def __post_init__(self) -> None:
        if not 0.0 <= self.commit_period_sec <= 60.0:
            raise ConfigurationError('commit_period_sec must lie between 0 and 60 s, '
                                     f'got {self.commit_period_sec}')
        if self.max_backlog < 1:
            raise ConfigurationError(f'max_backlog must be >= 1, got {self.max_backlog}')


AT_ONCE = CommitConfig()


class CommitQueue(Generic[Job]):
    """
    One thread takes out what any others put in.

    A memory that was taken is in flight until it is settled or put back; the backlog counts it.
    stored, lost: memories settled, and those that went another way.
    """

    def __init__(self, config: CommitConfig) -> None:
        self._config = config
        self._changed = threading.Condition()
        self._waiting: deque[Memory] = deque()
        self._in_flight: deque[Memory] = deque()
        self._jobs: deque[Job] = deque()
        self._since_sec = self._not_before_sec = 0.0  # on the monotonic clock
        self._is_hurried = False
        self._close_by_sec: float | None = None
        self.stored = self.lost = 0

    @property
    def backlog(self) -> int:
        """Memories that are neither settled nor lost."""
        with self._changed:
            return self._backlog()

    def _backlog(self) -> int:
        return len(self._waiting) + len(self._in_flight)

    def put(self, memories: Sequence[Memory]) -> bool:
        """Append; False once closed."""
        with self._changed:
            if self._close_by_sec is not None:
                return False
            if not self._waiting:
                self._since_sec = time.monotonic()
            self._waiting.extend(memories)
            self._trim()
            self._changed.notify_all()
            return True

    def put_job(self, job: Job) -> bool:
        """Append a job; False once closed."""
        with self._changed:
            if self._close_by_sec is None:
                self._jobs.append(job)
            self._changed.notify_all()
            return self._close_by_sec is None

    def wait_empty(self, timeout_sec: float) -> bool:
        """Wait, without gathering any longer, until there is no backlog; False: time ran out."""
        with self._changed:
            self._is_hurried = self._backlog() > 0
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._backlog(), timeout_sec)

    def close(self, timeout_sec: float) -> list[Job]:
        """Take in no more, and give up what is not settled in time; returns the jobs left."""
        with self._changed:
            self._close_by_sec = time.monotonic() + timeout_sec
            self._not_before_sec = 0.0
            jobs = list(self._jobs)
            self._jobs.clear()
            self._changed.notify_all()
            return jobs

    def take(self) -> tuple[Sequence[Memory], Job | None] | None:
        """
        Wait for what is to be done next: memories, then a job; either may be none.

        None once it is closed and nothing waits any more, or time ran out.
        """
        with self._changed:
            while not self._is_over():
                now, due = time.monotonic(), self._due_sec()
                if due <= now or self._jobs:
                    if due <= now:
                        self._in_flight, self._waiting = self._waiting, deque()
                    return tuple(self._in_flight), self._jobs.popleft() if self._jobs else None
                self._changed.wait(None if due == math.inf else due - now)
            self.lost += len(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
            return None

    def _is_over(self) -> bool:
        return self._close_by_sec is not None and (
            not self._waiting or time.monotonic() >= self._close_by_sec)

    def _due_sec(self) -> float:
        if not self._waiting:
            return math.inf
        if self._close_by_sec is not None:
            return min(self._not_before_sec, self._close_by_sec)
        gathered = 0.0 if self._is_hurried else self._since_sec + self._config.commit_period_sec
        return max(self._not_before_sec, gathered)

    def settle(self, count: int, is_stored: bool = True) -> None:
        """The first `count` in flight are stored, or lost for good."""
        with self._changed:
            for _ in range(count):
                self._in_flight.popleft()
            self.stored += count * is_stored
            self.lost += count * (not is_stored)
            if not self._backlog():
                self._is_hurried = False
            self._changed.notify_all()

    def put_back(self, pause_sec: float) -> None:
        """What is still in flight waits again, for so long at least."""
        with self._changed:
            self._in_flight.extend(self._waiting)
            self._in_flight, self._waiting = deque(), self._in_flight
            self._trim()
            self._not_before_sec = time.monotonic() + pause_sec

    def _trim(self) -> None:
        while self._waiting and self._backlog() > self._config.max_backlog:
            self._waiting.popleft()
            self.lost += 1
