"""
What is needed of rclpy beyond what its documentation promises; no other module reaches there.

test_rclpy_internals.py says of each what is relied on: where it passes the rest will work, so it
comes first with another release.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.service import Service
from rclpy.subscription import Subscription

Callback = Callable[[Any, Any], Any]
"""Of a service: request and empty response to its answer."""
Send = Callable[[Any, Any], None]
"""Takes an answer, and the header of the request that it is for."""


def wrap_callbacks(node: Node, kind: type, wrap: Callable[[Callback], Callback]) -> None:
    """Have the node's services of a kind, those of rclpy itself, call what wrap makes of each."""
    for service in node.services:
        if service.srv_type is kind:
            service.callback = wrap(service.callback)


def intercept_answers(service: Service, make: Callable[[Send], Send]) -> None:
    """
    Have what the service's callback returns, whatever it is, go to what make(send) returns.

    send: sends an answer, any time later and from any thread.
    """
    service.send_response = make(service.send_response)


def take_requests(service: Service) -> Iterator[Any]:
    """Headers of the requests that wait; each is taken, so that no callback will see it."""
    with service.handle:
        while (taken := service.handle.service_take_request(service.srv_type.Request))[0]:
            yield taken[1]


def before_destroy(service: Service, act: Callable[[], None]) -> None:
    """Have this done before the middleware lets the service go; it must not raise."""
    destroy = service.destroy

    def act_and_destroy() -> None:
        act()
        destroy()
    service.destroy = act_and_destroy


class Unexecuted(CallbackGroup):
    """What is in it the executor leaves alone: it does not even wait for it."""

    def can_execute(self, entity: object) -> bool:
        """Never."""
        return False

    def beginning_execution(self, entity: object) -> bool:
        """Never."""
        return False

    def ending_execution(self, entity: object) -> None:
        """Nothing has begun."""


def take_raw(subscription: Subscription, kind: type) -> tuple[bytes, int] | None:
    """
    The next message that waits, and when it was sent [ns]; None: there is none.

    Raises rclpy.exceptions.InvalidHandle where the subscription was destroyed.
    """
    handle = subscription.handle
    with handle:
        taken = handle.take_message(kind, True)
    return None if taken is None else (taken[0], taken[1]['source_timestamp'])


def overrides_of(node: Node) -> Collection[str]:
    """Names of the parameters that are set for it from outside, whether it has them or not."""
    return list(node._parameter_overrides)


def end_spinning(node: Node, error: Exception) -> None:
    """Have this come out of the spin of the node's executor; from any thread."""
    def end() -> None:
        raise error
    node.executor.create_task(end)


def state_of(node: LifecycleNode) -> str:
    """Its state as ROS 2 names it."""
    return str(node._state_machine.current_state[1])


def transitions_of(node: LifecycleNode) -> Mapping[str, int]:
    """Those that lead on from its state: label to number."""
    return {label: number for number, label, *_ in node._state_machine.available_transitions}
