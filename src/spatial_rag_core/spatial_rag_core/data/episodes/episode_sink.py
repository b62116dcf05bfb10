"""Writes episodes in a thread of its own: what makes them never waits for the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from pathlib import Path
import threading
import time
from typing import Any

from spatial_rag_core.data.episodes.episode import Episode, Split
from spatial_rag_core.data.episodes.episode_writer import EpisodeWriter
from spatial_rag_core.data.episodes.known_splits import facts_in, splits_of_maps
from spatial_rag_core.errors import ConfigurationError

RETRY_SEC = 2.0
"""So long after a write that failed it is tried again."""


class EpisodeSink:
    """
    Appends episodes to a file.

    Where it cannot be written (a full disk), `failure` says why, as long as it lasts, and up to
    max_waiting episodes wait; then the oldest are lost, and counted. Raises EpisodeError at
    birth where the file cannot be written, was made otherwise, or has the map in another split.
    count: how many episodes are in the file. From birth on the file is for the sink's thread
    alone: who asks here asks what the thread noted.
    """

    def __init__(self, path: Path, split: Split, recipe: Mapping[str, Any], map_id: str = '',
                 max_waiting: int = 4) -> None:
        if max_waiting < 1:
            raise ConfigurationError(f'max_waiting must be > 0, got {max_waiting}')
        if map_id:
            splits_of_maps(facts_in(path), [map_id], split)
        self.stored = self.lost = 0
        self.failure: Exception | None = None
        self._split, self._max_waiting = split, max_waiting
        self._waiting: deque[Episode] = deque()
        self._changed = threading.Condition()
        self._is_ending = False
        self._writer = EpisodeWriter(path, recipe)
        self.count = self._writer.count
        self._thread = threading.Thread(target=self._work, name='episode sink', daemon=True)
        self._thread.start()

    @property
    def backlog(self) -> int:
        """Episodes that wait."""
        return len(self._waiting)

    def put(self, episode: Episode) -> None:
        """Have an episode written, soon."""
        with self._changed:
            self._waiting.append(episode)
            while len(self._waiting) > self._max_waiting:
                self._waiting.popleft()
                self.lost += 1
            self._changed.notify()

    def close(self, timeout_sec: float = 30.0) -> bool:
        """Write what waits, and end where that fails twice; returns whether all was written."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join(timeout_sec)
        if not self._thread.is_alive():
            self._writer.close()
        return not self._waiting

    def _work(self) -> None:
        doubtful, failures = None, 0
        while (episode := self._next()) is not None:
            try:
                if doubtful is not None and self._writer.count > self.count:
                    episode = doubtful  # it is in the file although its append failed, at last
                else:
                    doubtful = episode
                    self._writer.append(episode, self._split)
                self.count = self._writer.count
            except Exception as error:  # it is told, and tried again: the episode is there still
                self.failure, failures = error, failures + 1
                if self._is_ending and failures > 1:
                    return
                self._pause()
            else:
                self.failure, doubtful, failures = None, None, 0
                self._forget(episode)

    def _next(self) -> Episode | None:
        """Return the oldest episode, once there is one; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ending)
            return self._waiting[0] if self._waiting else None

    def _forget(self, episode: Episode) -> None:
        with self._changed:
            self.stored += 1
            if self._waiting and self._waiting[0] is episode:  # else it was counted as lost
                self._waiting.popleft()
            else:
                self.lost -= 1

    def _pause(self) -> None:
        end = time.monotonic() + RETRY_SEC
        with self._changed:
            while not self._is_ending and (left := end - time.monotonic()) > 0:
                self._changed.wait(left)
