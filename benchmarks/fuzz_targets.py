"""Where malformed messages go, as the running graph tells, and what comes back."""

from __future__ import annotations

from collections import Counter
from functools import partial
import time
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState
from malformed import LONGEST, Malformer, message_type
import other_sources
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from running_stack import Ear

MOST_SAMPLES = 50
DEEPEST = 100
"""Messages that the deepest queue of a node holds."""
NO_TRANSITION = 200
"""An id that no transition of a lifecycle has."""
SHOWN = ('visualization_msgs/msg/MarkerArray', 'nav_msgs/msg/Path', 'sensor_msgs/msg/Image')
"""Types that a node makes only while somebody listens."""
NOT_OURS = ('/parameter_events', '/rosout', '/diagnostics', '/clock')
"""Topics that are subscribed to by ROS 2 itself or by tools."""


def our_nodes(node: Node) -> list[tuple[str, str]]:
    """Name and namespace of all nodes but those of the benchmark."""
    return [(name, namespace) for name, namespace in node.get_node_names_and_namespaces()
            if name not in (node.get_name(), other_sources.NAME)]


def type_of(name: str) -> Any:
    """type_of('sensor_msgs/msg/Image')."""
    package, folder, kind = name.split('/')
    return message_type(f'{package}.{folder}', kind)


class Topics:
    """The topics that nodes subscribe to: what is sent there rightly, and what is spoilt."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publishers: dict[str, Any] = {}
        self._samples: dict[str, list[Any]] = {}
        self._listening: dict[str, Any] = {}
        self._qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=50,
                               reliability=ReliabilityPolicy.RELIABLE)
        self.of_node: dict[str, set[str]] = {}
        self.sent: dict[str, int] = {}

    def watch(self) -> None:
        """Listen to what is shown, as a display does, or it would not be made."""
        for topic, kinds in self._node.get_topic_names_and_types():
            if kinds[0] in SHOWN:
                self._node.create_subscription(
                    type_of(kinds[0]), topic, lambda _: None, 1, raw=True)

    def discover(self) -> None:
        """Take in all topics that somebody subscribes to now."""
        for name, namespace in our_nodes(self._node):
            for topic, kinds in self._node.get_subscriber_names_and_types_by_node(
                    name, namespace):
                if topic in NOT_OURS:
                    continue
                self.of_node.setdefault(name, set()).add(topic)
                if topic not in self._samples:
                    self._listen(topic, type_of(kinds[0]))

    def _listen(self, topic: str, kind: type) -> None:
        self._samples[topic] = [kind()]
        self._listening[topic] = kind, self._node.create_subscription(
            kind, topic, partial(self._keep, topic, kind), self._qos, raw=True)

    def _keep(self, topic: str, kind: type, raw: bytes) -> None:
        if len(self._samples[topic]) < MOST_SAMPLES:
            self._samples[topic].append(deserialize_message(raw, kind))

    def stop_listening(self) -> None:
        """What comes from now on may be spoilt: open the publishers."""
        for topic, (kind, subscription) in self._listening.items():
            self._node.destroy_subscription(subscription)
            self._publishers[topic] = self._node.create_publisher(kind, topic, QoSProfile(
                history=HistoryPolicy.KEEP_LAST, depth=50,
                durability=DurabilityPolicy.TRANSIENT_LOCAL))  # which every reader takes
            self.sent[topic] = 0

    def fill_queues(self) -> None:
        """Let the middleware take for each place of a queue what it keeps for long messages."""
        for _ in range(DEEPEST):
            for topic in self._publishers:
                self._send(topic, LONGEST)

    def send(self, malformer: Malformer) -> int:
        """One message into each; returns how many."""
        return sum(self._send(topic, malformer.serialized(samples))
                   for topic, samples in self._samples.items())

    def _send(self, topic: str, message: bytes) -> bool:
        """Tell whether it was sent: of a type of fixed size rcl sends no more than that."""
        try:
            self._publishers[topic].publish(message)
        except RuntimeError:
            return False
        self.sent[topic] += 1
        return True


class Requests:
    """The services that nodes offer; one request of each is under way at a time."""

    def __init__(self, node: Node) -> None:
        offered = {name: dict(node.get_service_names_and_types_by_node(name, namespace))
                   for name, namespace in our_nodes(node)}
        self.of_node = {name: set(services) for name, services in offered.items()}
        self._clients = {service: node.create_client(type_of(kinds[0]), service)
                         for services in offered.values() for service, kinds in services.items()}
        self._waiting: dict[str, Future] = {}
        self.sent = dict.fromkeys(sorted(self._clients), 0)
        self.internal_errors: set[str] = set()

    def send(self, malformer: Malformer) -> int:
        """One request to each that has answered the last; returns how many."""
        count = 0
        for service, client in self._clients.items():
            if service in self._waiting:
                continue
            request = malformer.message_of(client.srv_type.Request())
            if isinstance(request, ChangeState.Request) and not request.transition.label:
                request.transition.id = NO_TRANSITION  # others would rightly end the node
            self._waiting[service] = client.call_async(request)
            self.sent[service] += 1
            count += 1
        return count

    def wait(self, ear: Ear, timeout_sec: float) -> None:
        """Until all have answered, or so long."""
        ear.until(lambda: all(future.done() for future in self._waiting.values()), timeout_sec)
        for service, future in list(self._waiting.items()):
            if future.done():
                del self._waiting[service]
                message = getattr(future.result(), 'message', '')
                if 'internal error' in message:
                    self.internal_errors.add(f'{service}: {message}')

    @property
    def unanswered(self) -> list[str]:
        """Services that owe an answer."""
        return sorted(self._waiting)


class Heard:
    """What nodes say on /diagnostics that they met: kind of problem → how often."""

    def __init__(self, node: Node) -> None:
        self.problems: dict[str, Counter[str]] = {}
        self.messages: dict[str, str] = {}
        self.last_sec: dict[str, float] = {}
        """When a node spoke last (monotonic)."""
        node.create_subscription(DiagnosticArray, '/diagnostics', self._take, 100)

    def _take(self, msg: DiagnosticArray) -> None:
        for status in msg.status:
            node = status.name.rpartition(' ')[2].rpartition('/')[2]
            self.last_sec[node] = time.monotonic()
            self.problems[node] = Counter({
                item.key.removeprefix('problem '): int(item.value)
                for item in status.values if item.key.startswith('problem ')})
            self.messages[node] = status.message
