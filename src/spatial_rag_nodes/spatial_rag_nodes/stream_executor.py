"""An executor for streams: what seldom comes is waited for seldom while messages come."""

from __future__ import annotations

import time
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.event_handler import EventHandler
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.service import Service
from rclpy.timer import Timer

_LOOK_PERIOD_SEC = 0.02
"""A request that comes while messages come waits so long, at most."""
_SELDOM = (Service, EventHandler)
"""Three quarters of what a node waits for: two dozen services, two events for each topic."""


class StreamExecutor(SingleThreadedExecutor):
    """
    rclpy's executor, whose turns are short while messages come.

    Before each wait rclpy makes a wait set anew, of all that its nodes have: for the four nodes
    in one process that takes longer than what they do. Here services and events of the middleware
    are in it only where they were not for _LOOK_PERIOD_SEC; a timer sees to that. Where nothing
    comes, they are always in it.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._timer: Timer | None = None
        self._looks_at_all, self._looked_sec = True, 0.0  # monotonic
        self._has_worked = False

    def add_node(self, node: Node) -> bool:
        """Add a node; the first one gets the timer."""
        if self._timer is None:
            self._timer = node.create_timer(_LOOK_PERIOD_SEC, self._end_timer,
                                            clock=Clock(clock_type=ClockType.STEADY_TIME))
            self._timer.cancel()
        return super().add_node(node)

    def get_nodes(self) -> list[Node]:
        """Those that were added; rclpy asks once before each wait."""
        now_sec = time.monotonic()
        if self._looks_at_all:
            self._looked_sec = now_sec
        if self._has_worked or not self._looks_at_all:  # else it only woke itself
            self._looks_at_all = now_sec - self._looked_sec >= _LOOK_PERIOD_SEC
        self._has_worked = False
        if self._timer is not None and not self._looks_at_all and self._timer.is_canceled():
            self._timer.reset()
        return super().get_nodes()

    def wait_for_ready_callbacks(self, *args: Any, **options: Any) -> Any:
        """As rclpy's; what it returns is executed next."""
        found = super().wait_for_ready_callbacks(*args, **options)
        self._has_worked = True
        return found

    def can_execute(self, entity: Any) -> bool:
        """Whether an entity is to be waited for; rclpy asks of each before each wait."""
        is_left_out = not self._looks_at_all and isinstance(entity, _SELDOM)
        return not is_left_out and super().can_execute(entity)

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
