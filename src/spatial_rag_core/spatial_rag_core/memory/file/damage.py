"""What of a memory file is lost, found as it is read; whatever is sound is read all the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
import threading
import time
from typing import TypeVar

from spatial_rag_core.errors import JournalDamagedError
from spatial_rag_core.memory.file.translated_errors import damaged

import numpy as np
from numpy.typing import NDArray

TELL_AGAIN_SEC = 60.0

Read = TypeVar('Read')


def sound_parts(read: Callable[[Sequence[int]], Read], seqs: Sequence[int],
                lost: Callable[[int], None]) -> Iterator[Read]:
    """Read all memories that can be read, in parts; halves of halves find those that cannot."""
    if not len(seqs):
        return
    try:
        part = read(seqs)
    except JournalDamagedError:
        if len(seqs) == 1:
            lost(seqs[0])
            return
        middle = len(seqs) // 2
        yield from sound_parts(read, seqs[:middle], lost)
        yield from sound_parts(read, seqs[middle:], lost)
    else:
        yield part


class Damage:
    """
    The memories known to be lost; may be noted in any thread.

    One damage is told once, and again once a minute, so that it is not overlooked.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._not_indexed: set[int] = set()
        self._spoiled: set[int] = set()
        self._missing = 0
        self._text: str | None = None
        self._told: str | None = None
        self._told_sec = 0.0
        self._lock = threading.Lock()

    @property
    def text(self) -> str | None:
        """What is lost; None: nothing."""
        return self._text

    def not_indexed(self, seq: int) -> None:
        """Note a memory that no index could take in."""
        with self._lock:
            self._not_indexed.add(seq)
            self._describe()

    def spoiled(self, seq: int) -> None:
        """Note a memory that was found but could not be read."""
        with self._lock:
            self._spoiled.add(seq)
            self._describe()

    def forgotten(self, seqs: NDArray[np.int64]) -> None:
        """Let go of memories that are not wanted any more."""
        with self._lock:
            for known in (self._not_indexed, self._spoiled):
                known.difference_update(seqs.tolist() if known else ())
            self._describe()

    def counted(self, stored: int, taken_in: int) -> None:
        """Note how many there should be and are."""
        with self._lock:
            self._missing = stored - taken_in - len(self._not_indexed)
            self._describe()

    def tell(self) -> None:
        """Raise JournalDamagedError where there is something to tell."""
        with self._lock:
            now, text = time.monotonic(), self._text
            if text == self._told and (text is None or now - self._told_sec < TELL_AGAIN_SEC):
                return
            self._told, self._told_sec = text, now
        if text is not None:
            raise damaged(self._path, f'{text}; all else is found')

    def _describe(self) -> None:
        unreadable = self._not_indexed | self._spoiled
        parts = []
        if unreadable:
            parts.append(f'{_memories(len(unreadable))} cannot be read, the first is '
                         f'{min(unreadable)}')
        if self._missing:
            parts.append(f'{_memories(abs(self._missing))} '
                         f'{"missing" if self._missing > 0 else "too many"}')
        self._text = ', '.join(parts) or None


def _memories(count: int) -> str:
    return '1 memory' if count == 1 else f'{count} memories'
