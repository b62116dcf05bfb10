"""Which chunks of a drawing are sent when, so that no more is sent than may be."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from spatial_rag_core.errors import ConfigurationError


class Chunk(NamedTuple):
    """A chunk of a layer."""

    layer: str
    number: int


class ChunkSchedule:
    """
    Chunks that look different come first, then all of them again, in turn.

    bytes_per_sec: sent at most, over a second or more.  resend_period_sec: each is sent again so
    long after, for viewers that lost it; never where that would take more than half of
    bytes_per_sec. Raises ConfigurationError for a value out of its range.
    """

    def __init__(self, bytes_per_sec: float, resend_period_sec: float) -> None:
        if not bytes_per_sec > 0.0 or not resend_period_sec > 0.0:
            raise ConfigurationError('bytes_per_sec and resend_period_sec must be > 0, got '
                                     f'{bytes_per_sec} B/s and {resend_period_sec} s')
        self._bytes_per_sec, self._resend_period_sec = bytes_per_sec, resend_period_sec
        self._sent: dict[Chunk, float] = {}  # when, the longest ago first
        self._waiting: dict[Chunk, None] = {}  # in order
        self._allowance = 0.0
        self._now: float | None = None

    @property
    def waiting(self) -> int:
        """Chunks that look different from what was sent."""
        return len(self._waiting)

    def changed(self, layer: str, numbers: Iterable[int]) -> None:
        """Note chunks that look different."""
        self._waiting.update(dict.fromkeys(Chunk(layer, number) for number in sorted(numbers)))

    def all_changed(self) -> None:
        """Note that somebody knows nothing yet."""
        self._waiting.update(dict.fromkeys(self._sent))

    def due(self, now_sec: float) -> Iterator[Chunk]:
        """What is to be sent now, by a monotonic clock [s]; tell `sent` before the next."""
        elapsed = 0.0 if self._now is None else now_sec - self._now
        self._allowance = min(self._allowance + elapsed * self._bytes_per_sec, self._bytes_per_sec)
        self._now = now_sec
        while self._allowance > 0.0 and (chunk := self._next(now_sec)) is not None:
            yield chunk

    def sent(self, chunk: Chunk, size_bytes: int, is_empty: bool = False) -> None:
        """Note that a chunk was sent, and how large it was; an empty one nobody needs again."""
        self._allowance -= size_bytes
        self._waiting.pop(chunk, None)
        self._sent.pop(chunk, None)
        if not is_empty:
            self._sent[chunk] = self._now or 0.0

    def _next(self, now_sec: float) -> Chunk | None:
        if self._waiting:
            return next(iter(self._waiting))
        oldest = next(iter(self._sent), None)
        if (oldest is None or now_sec - self._sent[oldest] < self._resend_period_sec
                or self._allowance < 0.5 * self._bytes_per_sec):
            return None
        return oldest
