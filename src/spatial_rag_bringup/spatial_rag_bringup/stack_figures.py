"""What the topics of a running stack tell: rates, latencies, losses. No ROS in here."""

from __future__ import annotations

from collections import deque, OrderedDict
from dataclasses import dataclass, field
import math
import struct
from typing import TypeVar

from spatial_rag_core.streams.metrics import p50_p99, RateWindow

_MAX_OPEN_FRAMES = 2000
_MAX_KEPT = 100_000
"""Figures of a longer run are those of its newest part: over an hour at 20 Hz."""

_MAX_PROBLEMS = 5

Number = TypeVar('Number', int, float)


def stamp_of_serialized(message: bytes) -> int:
    """Stamp [ns] of a serialized message that begins with a std_msgs/Header (CDR, XTypes 7.4)."""
    order = '<' if message[1] & 1 else '>'
    sec, nanosec = struct.unpack_from(order + 'iI', message, 4)
    return sec * 1_000_000_000 + nanosec


class Stage:
    """
    The way from one topic to another, matched by stamp: how long each message took [ms].

    Times are those of the publishers; the two messages may be seen in either order.
    """

    def __init__(self) -> None:
        self.durations_ms: deque[float] = deque(maxlen=_MAX_KEPT)
        self._open: OrderedDict[int, int] = OrderedDict()
        self._early_ends: OrderedDict[int, int] = OrderedDict()

    def begin(self, stamp_ns: int, time_ns: int) -> None:
        """The message of this stamp was published on the first topic at time_ns."""
        ended_ns = self._early_ends.pop(stamp_ns, None)
        if ended_ns is not None and ended_ns >= time_ns:
            self._measure(time_ns, ended_ns)
        else:  # an earlier end is another round's, of a looped recording
            _keep(self._open, stamp_ns, time_ns)

    def end(self, stamp_ns: int, time_ns: int) -> None:
        """It was published on the second."""
        began_ns = self._open.pop(stamp_ns, None)
        if began_ns is None:
            _keep(self._early_ends, stamp_ns, time_ns)
        else:
            self._measure(began_ns, time_ns)

    def _measure(self, began_ns: int, ended_ns: int) -> None:
        self.durations_ms.append((ended_ns - began_ns) / 1e6)

    def recent(self) -> tuple[float, float]:
        """The p50 and p99 of the newest hundred [ms]."""
        return p50_p99(_newest(self.durations_ms, 100))

    def summary(self) -> dict[str, float | None]:
        """The p50 and p99 of all [ms]."""
        p50, p99 = p50_p99(self.durations_ms)
        return {'p50': _rounded(p50), 'p99': _rounded(p99)}


@dataclass
class Stream:
    """A topic: how many messages, and how many a second."""

    window: RateWindow = field(default_factory=lambda: RateWindow(2.0))
    first_ns: int = 0
    last_ns: int = 0

    def tick(self, now_ns: int) -> None:
        """One message came."""
        self.first_ns = self.first_ns or now_ns
        self.last_ns = now_ns
        self.window.tick(now_ns)

    @property
    def count(self) -> int:
        """Messages so far."""
        return self.window.count

    def mean_hz(self) -> float | None:
        """From the first message to the last."""
        span = self.last_ns - self.first_ns
        return _rounded((self.count - 1) * 1e9 / span) if span > 0 else None


class Counters:
    """Counts that nodes publish; a node that starts anew begins at 0 again."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], int] = {}
        self._newest: dict[tuple[str, str], int] = {}

    def update(self, node: str, key: str, value: int) -> None:
        """The node says that its count stands at value."""
        newest = self._newest.get((node, key), 0)
        if value < newest:
            self._before[node, key] = self._before.get((node, key), 0) + newest
        self._newest[node, key] = value

    def total(self, key: str) -> int:
        """Sum over all nodes and their lives."""
        return sum(count for table in (self._before, self._newest)
                   for (_, name), count in table.items() if name == key)


class StackFigures:
    """All that is measured in one run; model_id, is_trained: of the bundle, None: not told."""

    def __init__(self) -> None:
        self.frames, self.latent, self.latent_next = Stream(), Stream(), Stream()
        self.image_to_latent, self.image_to_latent_next = Stage(), Stage()
        self.retrieval = Stage()
        self.counters = Counters()
        self.hits: deque[int] = deque(maxlen=_MAX_KEPT)
        self.problems: OrderedDict[str, None] = OrderedDict()
        self.deaths = 0
        self.memories_before: int | None = None
        self.memories_now: int | None = None
        self.model_id: str | None = None
        self.is_trained: bool | None = None

    @property
    def memories_stored(self) -> int | None:
        """Memories that this run added; None where nobody answered."""
        if self.memories_before is None or self.memories_now is None:
            return None
        return self.memories_now - self.memories_before

    @property
    def frames_dropped(self) -> int:
        """Frames without a latent that the rate limit does not explain."""
        explained = sum(map(self.counters.total, ('frames_over_rate', 'frames_stale')))
        return max(0, self.frames.count - self.latent.count - explained)

    def note_problem(self, sentence: str) -> None:
        """Keep the newest few sentences that the nodes said."""
        self.problems[sentence] = None
        self.problems.move_to_end(sentence)
        if len(self.problems) > _MAX_PROBLEMS:
            self.problems.popitem(last=False)

    @property
    def errors(self) -> int:
        """Problems that the nodes reported, and nodes that died."""
        return self.counters.total('errors') + self.deaths

    def seconds_since_first_frame(self, now_ns: int) -> float:
        """Time since the first frame came [s]; 0.0 before it."""
        return (now_ns - self.frames.first_ns) / 1e9 if self.frames.count else 0.0

    def summary(self) -> dict[str, object]:
        """The line RUN SUMMARY; None for what was not measured."""
        return {
            'duration_s': _rounded(self.seconds_since_first_frame(self.frames.last_ns)),
            'latent_hz': self.latent.mean_hz(), 'latent_next_hz': self.latent_next.mean_hz(),
            'image_to_latent_ms': self.image_to_latent.summary(),
            'image_to_latent_next_ms': self.image_to_latent_next.summary(),
            'frames_in': self.frames.count, 'frames_dropped': self.frames_dropped,
            'frames_over_rate': self.counters.total('frames_over_rate'),
            'latents': self.latent.count, 'latents_next': self.latent_next.count,
            'memories_stored': self.memories_stored,
            'memories_not_admitted': self.counters.total('memories_not_admitted'),
            'memories_total': self.memories_now,
            'retrieval_ms': self.retrieval.summary(),
            'retrieved_mean': _rounded(sum(self.hits) / len(self.hits)) if self.hits else None,
            'model_id': self.model_id, 'trained': self.is_trained,
            'errors': self.errors}

    def status_line(self, now_ns: int) -> str:
        """One line for people."""
        recent_hits = _newest(self.hits, 20)
        mean_hits = sum(recent_hits) / len(recent_hits) if recent_hits else 0.0
        hz, next_hz = (stream.window.rate_hz(now_ns) for stream in (
            self.latent, self.latent_next))
        return (f'{self.seconds_since_first_frame(now_ns):4.0f} s | '
                f'latent {hz:4.1f} Hz, next {next_hz:4.1f} Hz | p50/p99 ms: '
                f'latent {_pair(self.image_to_latent)}, next {_pair(self.image_to_latent_next)}, '
                f'retrieval {_pair(self.retrieval)} | {mean_hits:.1f} hits | '
                f'stored {_or_dash(self.memories_stored)}, '
                f'nothing new {self.counters.total("memories_not_admitted")} | '
                f'dropped {self.counters.total("frames_dropped")} | '
                f'errors {self.errors}')


def _keep(table: OrderedDict[int, int], stamp_ns: int, time_ns: int) -> None:
    table[stamp_ns] = time_ns
    if len(table) > _MAX_OPEN_FRAMES:
        table.popitem(last=False)


def _newest(values: deque[Number], count: int) -> list[Number]:
    return [values[index] for index in range(-min(count, len(values)), 0)]


def _pair(stage: Stage) -> str:
    p50, p99 = stage.recent()
    return '-' if math.isnan(p50) else f'{p50:.1f}/{p99:.1f}'


def _or_dash(value: int | None) -> str:
    return '-' if value is None else str(value)


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 3)
