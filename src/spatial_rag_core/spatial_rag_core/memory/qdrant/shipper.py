"""Brings a memory file to a Qdrant server, in a thread, however often the server is away."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
import random
import socket
import threading
import time
from typing import Literal

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.link import Link
from spatial_rag_core.memory.qdrant.server import connect

REQUEST_TIMEOUT_SEC = 10.0
_POLL_SEC, _COMPARE_SEC = 0.5, 60.0
_CLOSE_SEC = 1.0
_BATCHES_OF_RATE = 20

ShipperState = Literal['starting', 'shipping', 'level', 'waiting', 'closed']


@dataclass(frozen=True)
class ShippingFigures:
    """
    How far the shipping of one memory file is.

    state: 'shipping'; 'level': all is on the server; 'waiting': after a failure.
    backlog: memories that are stored and not on the server yet, at most this many.
    shipped: memories since the start.  per_sec: of the latest batches, while it shipped.
    failures: in a row.  retry_sec: pause before the next try [s].  last_error: of the last
    failure, also when it is over.  lost: memories that the server had lost.
    unreadable: memories that the file cannot give any more.
    """

    state: ShipperState = 'starting'
    backlog: int = 0
    shipped: int = 0
    per_sec: float = 0.0
    failures: int = 0
    retry_sec: float = 0.0
    last_error: str = ''
    lost: int = 0
    unreadable: int = 0


class QdrantShipper:
    """
    Ships memories in order, then forgets and relabels what was, and compares counts now and then.

    The server confirms a batch, then the checkpoint on the server moves. So a server that is
    away costs time only; one that comes back empty, or with a part, gets what it lacks.
    first_pause_sec to longest_pause_sec: pauses after failures, doubled each time, and shortened
    by up to a half at random, so that a fleet does not come back all at once.
    """

    def __init__(self, memory_path: str | Path, config: IndexConfig,
                 first_pause_sec: float = 1.0, longest_pause_sec: float = 60.0,
                 request_timeout_sec: float = REQUEST_TIMEOUT_SEC,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._path = Path(memory_path).expanduser()
        self._config = config
        self._pauses = first_pause_sec, longest_pause_sec
        self._request_timeout_sec = request_timeout_sec
        self._clock = clock
        self._source = config.source or f'{socket.gethostname()}:{self._path.resolve()}'
        self._journal: Journal | None = None
        self._link: Link | None = None
        self._unreadable: set[int] = set()
        self._compare_at = 0.0
        self._lost_before = self._reached_seq = 0
        self._batches: deque[tuple[int, float]] = deque(maxlen=_BATCHES_OF_RATE)
        self._figures = ShippingFigures()
        self._ended, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name='qdrant-shipper')

    def start(self) -> QdrantShipper:
        """Begin; returns itself."""
        self._thread.start()
        return self

    def wake(self) -> None:
        """Look at the memory file now; does not shorten the pause after a failure."""
        self._woken.set()

    def figures(self) -> ShippingFigures:
        """How far it is; may be asked in any thread."""
        figures = self._figures
        return replace(figures, state='closed') if self._ended.is_set() else figures

    def close(self) -> None:
        """End within about a second; a request that hangs is left to its own time-out."""
        self._ended.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(_CLOSE_SEC)

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                if self.step():
                    continue
                self._woken.wait(_POLL_SEC)
                self._woken.clear()
            except Exception as error:  # whatever it is, the thread lives on
                self._ended.wait(self.failed(error))
        self._disconnect()
        self._close_journal()

    def step(self) -> bool:
        """Send at most one batch; returns whether there may be more to do."""
        if not self._open_journal():
            return False
        link = self._connected()
        started, before = self._clock(), link.reached
        if link.send_changes() is None:
            link.send_all_again()
            self._compare_at = self._clock()
        was_repairing = link.is_repairing
        moved = link.send_missing() if was_repairing else link.send_new()
        if was_repairing or link.reached != before:
            self._batches.append((moved, self._clock() - started))
            self._progressed(link, 'shipping', moved)
            return True
        if self._clock() >= self._compare_at:
            if not link.compare():
                return True
            link.remove_old_generations()
            self._compare_at = self._clock() + _COMPARE_SEC
        self._progressed(link, 'level', 0)
        return False

    def failed(self, error: Exception) -> float:
        """Note a failure, drop the connection, and return how long to pause [s]."""
        text = str(error) if isinstance(error, SpatialRagError) else (
            f'unexpected {type(error).__name__}: {error}')
        failures = self._figures.failures + 1
        first, longest = self._pauses
        pause = min(longest, first * 2.0 ** min(failures - 1, 30)) * random.uniform(0.5, 1.0)
        self._disconnect()
        self._note(state='waiting', failures=failures, retry_sec=pause, last_error=text,
                   backlog=self._backlog())
        return pause

    def _open_journal(self) -> bool:
        journal = self._journal
        if journal is not None and (journal.is_detached or (
                self._link is not None and journal.generation != self._link.generation)):
            self._disconnect()
            self._close_journal()
        if self._journal is None:
            self._journal = Journal.open_reader(self._path)
            self._unreadable = set()
        return self._journal is not None

    def _connected(self) -> Link:
        assert self._journal is not None
        if self._link is None:
            client = connect(self._config, self._request_timeout_sec)
            try:
                self._link = Link(client, self._journal, self._config, self._source,
                                  self._unreadable)
            except BaseException:
                client.close()
                raise
            self._compare_at = self._clock()
        return self._link

    def _disconnect(self) -> None:
        if self._link is not None:
            self._lost_before += self._link.lost
            self._reached_seq = self._link.reached.last_seq
            self._link.close()
        self._link = None

    def _close_journal(self) -> None:
        if self._journal is not None:
            self._journal.close()
        self._journal = None

    def _backlog(self) -> int:
        try:
            if self._journal is None:
                return 0
            reached = self._reached_seq if self._link is None else self._link.reached.last_seq
            return min(self._journal.count, self._journal.last_seq - reached)
        except SpatialRagError:
            return self._figures.backlog

    def _progressed(self, link: Link, state: ShipperState, moved: int) -> None:
        busy_sec = sum(seconds for _, seconds in self._batches)
        self._note(state=state, failures=0, retry_sec=0.0, backlog=self._backlog(),
                   shipped=self._figures.shipped + moved, lost=self._lost_before + link.lost,
                   unreadable=len(self._unreadable),
                   per_sec=sum(n for n, _ in self._batches) / busy_sec if busy_sec else 0.0)

    def _note(self, **fields: object) -> None:
        self._figures = replace(self._figures, **fields)  # type: ignore[arg-type]
