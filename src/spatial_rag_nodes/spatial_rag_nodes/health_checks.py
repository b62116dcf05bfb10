"""What a node looks for: silence, slowness, loss, a full disk, time that jumps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import shutil
import time
from typing import NamedTuple, TYPE_CHECKING

from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_core.streams.stamp_order import JumpsAhead, Step

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node

if TYPE_CHECKING:  # it imports this module
    from spatial_rag_nodes.health import Health

SILENT_SEC = 2.0
"""A topic that brought something and then nothing for so long is silent."""
FIRST_SEC = 10.0
"""How long it is waited for the first message: drivers take a while to come up."""
MOST_DROPS = 2
"""Drops in one second that tell of no trouble."""
_MB = 1e6


class Finding(NamedTuple):
    """What is wrong, with the remedy, and how bad it is."""

    message: str
    level: bytes = DiagnosticStatus.WARN


Find = Callable[[], 'Finding | None']


class Check:
    """Has the health look once a second, until it is closed."""

    def __init__(self, health: Health, kind: str, find: Find) -> None:
        self._health, self._kind, self._find = health, kind, find

    def look(self) -> None:
        """Have the health hold what is found now."""
        found = self._find()
        if found is None:
            self._health.hold(self._kind, None)
        else:
            self._health.hold(self._kind, found.message, found.level)

    def close(self) -> None:
        """Look no more, and hold nothing; whether it got better nobody knows."""
        self._health.drop(self)
        self._health.let_go(self._kind)


class Silence:
    """
    Finds that a topic brings nothing.

    what: what should come.  remedy: what to do where nobody publishes it.
    """

    def __init__(self, node: Node, topic: str, what: str, remedy: str) -> None:
        self._node, self._what, self._remedy = node, what, remedy
        self._topic = node.resolve_topic_name(topic)
        self._last_sec, self._patience_sec = time.monotonic(), FIRST_SEC

    def heard(self) -> None:
        """Something came."""
        self._last_sec, self._patience_sec = time.monotonic(), SILENT_SEC

    def __call__(self) -> Finding | None:
        """What is wrong."""
        silent_sec = time.monotonic() - self._last_sec
        if silent_sec < self._patience_sec:
            return None
        publishers = self._node.count_publishers(self._topic)
        why = f'nobody publishes it; {self._remedy}' if not publishers else (
            f'publishers: {publishers}; do they still run, and does their quality of service fit? '
            f'(ros2 topic info -v {self._topic})')
        return Finding(f'no {self._what} on {self._topic} for {silent_sec:.0f} s: {why}')


class TooSlow:
    """Finds that more than 1 % of what flows took longer than latency_budget_sec."""

    def __init__(self, latency_ms: LatencyWindow, rate: RateWindow,
                 budget_sec: Callable[[], float], what: str, remedy: str) -> None:
        self._latency_ms, self._rate, self._budget_sec = latency_ms, rate, budget_sec
        self._what, self._remedy = what, remedy

    def __call__(self) -> Finding | None:
        """What is wrong."""
        if not self._rate.rate_hz(time.monotonic_ns()):
            return None
        p99, budget_ms = self._latency_ms.percentiles()[1], self._budget_sec() * 1e3
        if not p99 > budget_ms:
            return None
        return Finding(f'{self._what} took {p99:.0f} ms (p99), more than latency_budget_sec '
                       f'allows ({budget_ms:.0f} ms): {self._remedy}')


class Drops:
    """Finds that more is lost than now and then one; count: all that was lost so far."""

    def __init__(self, count: Callable[[], int], what: str, remedy: str) -> None:
        self._count, self._what, self._remedy = count, what, remedy
        self._before = count()

    def __call__(self) -> Finding | None:
        """What is wrong."""
        lost, self._before = self._count() - self._before, self._count()
        return Finding(f'{lost} {self._what} in the last second: {self._remedy}') if (
            lost > MOST_DROPS) else None


def low_disk(path: Path, reserve_mb: float) -> Finding | None:
    """Where less than reserve_mb is left on the disk of path: a warning; a tenth: an error."""
    free_mb = shutil.disk_usage(path.parent).free / _MB
    if free_mb >= reserve_mb:
        return None
    level = DiagnosticStatus.ERROR if free_mb < reserve_mb / 10 else DiagnosticStatus.WARN
    return Finding(f'{free_mb:.0f} MB are left on the disk of {path}, less than disk_reserve_mb '
                   f'{reserve_mb:g}: make room, set capacity, or forget memories '
                   '(spatial_rag/forget_memories)', level)


class TimeJumps:
    """Tells that the stamps of a stream, such as its pictures, do not go on as time does."""

    def __init__(self, health: Health, what: str) -> None:
        self._health, self._what, self._ahead = health, what, JumpsAhead()

    def follow(self, stamp_ns: int, step: Step) -> None:
        """step: how the stamp stands to those before."""
        ahead_sec = self._ahead.follow(stamp_ns, time.monotonic_ns())
        if step is Step.JUMPED_BACK:
            self._tell('ran backwards (a looped bag or a reset clock)')
        elif ahead_sec:
            self._tell(f'jumped {ahead_sec:.0f} s ahead (a clock that was set, or a recording '
                       'that was cut)')

    def _tell(self, jump: str) -> None:
        self._health.report('time jump', f'{self._what}: time {jump}; going on from there')
