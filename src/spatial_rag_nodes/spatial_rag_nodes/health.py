"""What a node says of itself: rate-limited log lines, counts, and /diagnostics at 1 Hz."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
import functools
import threading
import time
from typing import Any, NamedTuple, ParamSpec

from spatial_rag_core.error_words import origin, shortened, told
from spatial_rag_core.errors import InputError, SpatialRagError
from spatial_rag_nodes.health_checks import Check, Finding
from spatial_rag_nodes.pending_request import BusyError

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.clock import Clock, ClockType
from rclpy.node import Node

P = ParamSpec('P')

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR
LOG_INTERVAL_SEC = 5.0
HOLD_SEC = 3.0
"""A problem keeps the diagnostics level up for this long after it was last seen."""


class Standing(NamedTuple):
    """What a node is apart from its problems: how well, in which words, and whether it serves."""

    level: bytes
    message: str
    serves: bool


WORKING = Standing(OK, 'ok', True)


@dataclass
class _Problem:
    level: bytes
    message: str
    count: int = 0
    last_sec: float = 0.0
    logged_sec: float = float('-inf')
    unlogged: int = 0
    is_held: bool = False
    lasts: bool = False


class Health:
    """
    Collects the problems and figures of one node, from any thread.

    figures: called once a second, gives what /diagnostics is to show, in order.
    standing: what the node is apart from that, and whether it serves.
    """

    def __init__(self, node: Node, figures: Callable[[], Mapping[str, object]],
                 standing: Callable[[], Standing] = lambda: WORKING) -> None:
        self._node = node
        self._figures, self._standing = figures, standing
        self._problems: dict[str, _Problem] = {}
        self._checks: list[Check] = []
        self._lock = threading.Lock()
        self._publisher = node.create_publisher(DiagnosticArray, '/diagnostics', 10)
        self._name = 'spatial_rag: ' + '/'.join(
            word for word in (node.get_namespace().strip('/'), node.get_name()) if word)
        node.create_timer(1.0, self.guarded(self.publish),
                          clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def problem_count(self) -> int:
        """Problems reported since the start; what lasts, such as a loading memory, is none."""
        return sum(problem.count for problem in list(self._problems.values())
                   if not problem.lasts)

    def report(self, kind: str, message: str, level: bytes = WARN) -> None:
        """Note a problem; the log gets it at once, and then at most every 5 s for each kind."""
        message = shortened(message)
        now = time.monotonic()
        with self._lock:
            problem = self._problems.setdefault(kind, _Problem(level, message))
            problem.level, problem.message, problem.last_sec = level, message, now
            problem.count += 1
            problem.unlogged += 1
            if now - problem.logged_sec < LOG_INTERVAL_SEC:
                return
            more = f' ({problem.unlogged} times)' if problem.unlogged > 1 else ''
            problem.logged_sec, problem.unlogged = now, 0
        if level == ERROR:  # two lines: rclpy ties a severity to the line that logs
            self._node.get_logger().error(message + more)
        else:
            self._node.get_logger().warning(message + more)

    def hold(self, kind: str, message: str | None, level: bytes = WARN) -> None:
        """Note what lasts until its message is None; the log hears of its begin and its end."""
        problem = self._problems.get(kind)
        if message is None:
            ended = self.let_go(kind)
            # Its begin stands in the log, and the node is not at its end.
            if ended is not None and not ended.unlogged and self._node.context.ok():
                self._node.get_logger().info(f'no longer: {ended.message}')
        elif problem is not None and problem.is_held:
            problem.level, problem.message = level, shortened(message)
        else:
            self.report(kind, message, level)
            self._problems[kind].is_held = self._problems[kind].lasts = True

    def let_go(self, kind: str) -> _Problem | None:
        """Hold it no more, without a word; returns what was held."""
        problem = self._problems.get(kind)
        if problem is None or not problem.is_held:
            return None
        problem.is_held, problem.last_sec = False, float('-inf')
        return problem

    def check(self, kind: str, find: Callable[[], Finding | None]) -> Check:
        """Call `find` once a second, and hold what it finds, until the check is closed."""
        self._checks.append(Check(self, kind, find))
        return self._checks[-1]

    def drop(self, check: Check) -> None:
        """Forget a check that is closed."""
        self._checks.remove(check)

    def guarded(self, callback: Callable[P, None]) -> Callable[P, None]:
        """Wrap a callback so that nothing that it raises ends the node."""
        @functools.wraps(callback)
        def wrapper(*args: P.args, **kwargs: P.kwargs) -> None:
            try:
                callback(*args, **kwargs)
            except Exception as error:
                self.report_error(error)
        return wrapper

    def refusal(self) -> str | None:
        """Why the node answers nobody now; None: it does."""
        standing = self._standing()
        return None if standing.serves else (
            f'{self._node.get_fully_qualified_name()} is {standing.message}; only an active node '
            'answers')

    def report_error(self, error: Exception) -> None:
        """Note an exception: a warning where others are to blame, else an error."""
        if not self._node.context.ok():
            return  # told to end in the midst of a callback: publishing fails then
        if isinstance(error, SpatialRagError):
            level = WARN if isinstance(error, InputError | BusyError) else ERROR
            self.report(type(error).__name__, str(error), level)
        else:
            self.report(f'{type(error).__name__} {origin(error)}', told(error), ERROR)

    def publish(self) -> None:
        """Publish the state now."""
        for check in list(self._checks):
            self.guarded(check.look)()
        values = {**self._figures_or_none(), 'errors': self.problem_count}
        values.update({f'problem {kind}': problem.count
                       for kind, problem in list(self._problems.items())})
        level, message = self._state()
        status = DiagnosticStatus(level=level, name=self._name, message=message)
        status.values = [KeyValue(key=key, value=_text(value)) for key, value in values.items()]
        array = DiagnosticArray(status=[status])
        array.header.stamp = self._node.get_clock().now().to_msg()
        self._publisher.publish(array)

    def _figures_or_none(self) -> Mapping[str, object]:
        """Whatever is wrong with them, the node is not silent for it."""
        try:
            return self._figures()
        except Exception as error:
            self.report_error(error)
            return {}

    def _state(self) -> tuple[bytes, str]:
        """The worst level, and all that is wrong now, the worst and newest first."""
        standing = self._standing()
        recent = time.monotonic() - HOLD_SEC
        present = sorted((p for p in list(self._problems.values())
                          if p.is_held or p.last_sec >= recent),
                         key=lambda problem: (problem.level, problem.last_sec), reverse=True)
        messages = [problem.message for problem in present]
        if standing.level != OK or not messages:
            messages.insert(0, standing.message)
        return max([standing.level, *(p.level for p in present)]), '; '.join(messages)


def _text(value: Any) -> str:
    return f'{value:.3f}' if isinstance(value, float) else shortened(str(value))
