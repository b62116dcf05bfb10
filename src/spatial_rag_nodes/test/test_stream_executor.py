"""While messages come, services are waited for now and then only, and still answered soon."""

from __future__ import annotations

from collections.abc import Iterator
import time
from typing import Any

from spatial_rag_msgs.srv import PauseWriting
from spatial_rag_nodes.stream_executor import StreamExecutor

import pytest
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.service import Service
from std_msgs.msg import Float32MultiArray

pytestmark = pytest.mark.ros


class Counting(StreamExecutor):
    """Notes of each turn whether the service was waited for."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.turns: list[bool] = []

    def can_execute(self, entity: Any) -> bool:
        found = super().can_execute(entity)
        if isinstance(entity, Service) and entity.srv_type is PauseWriting:
            self.turns.append(found)
        return found


class Subject:
    """A node that asks itself, and sends itself messages, each as soon as the last has come."""

    def __init__(self, context: Any) -> None:
        self.executor = Counting(context=context)
        self.node: Node = rclpy.create_node('busy', context=context)
        self.executor.add_node(self.node)
        self.heard = 0
        self.is_busy = False
        self.node.create_service(PauseWriting, 'ask', self._answer)
        self.client = self.node.create_client(PauseWriting, 'ask')
        self.publisher = self.node.create_publisher(Float32MultiArray, 'stream', 10)
        self.node.create_subscription(
            Float32MultiArray, 'stream', self._hear, QoSProfile(depth=10))

    def _answer(self, _: Any, response: PauseWriting.Response) -> PauseWriting.Response:
        response.message = 'paused'
        return response

    def _hear(self, _: Float32MultiArray) -> None:
        self.heard += 1
        if self.is_busy:
            self.publisher.publish(Float32MultiArray())

    def ask(self) -> Any:
        asked = self.client.call_async(PauseWriting.Request())
        self.executor.spin_until_future_complete(asked, timeout_sec=20.0)
        return asked.result()


@pytest.fixture
def subject(ros_domain: int) -> Iterator[Subject]:
    context = rclpy.Context()
    rclpy.init(context=context, args=[], domain_id=ros_domain)
    subject = Subject(context)
    assert subject.client.wait_for_service(timeout_sec=20.0)
    while not subject.publisher.get_subscription_count():
        subject.executor.spin_once(timeout_sec=0.1)
    yield subject
    subject.node.destroy_node()
    context.try_shutdown()


def test_a_request_is_answered_where_nothing_else_comes(subject: Subject) -> None:
    for _ in range(3):
        assert subject.ask().message == 'paused'


def test_a_request_is_answered_though_messages_never_stop_coming(subject: Subject) -> None:
    subject.is_busy = True
    subject.publisher.publish(Float32MultiArray())
    for _ in range(20):
        assert subject.ask().message == 'paused'
    assert subject.heard > 20


def test_most_turns_of_a_stream_do_not_wait_for_services(subject: Subject) -> None:
    assert subject.ask().message == 'paused'
    subject.is_busy = True
    subject.publisher.publish(Float32MultiArray())
    subject.executor.turns.clear()
    while subject.heard < 500:
        subject.executor.spin_once(timeout_sec=20.0)
    assert 0 < sum(subject.executor.turns) < 0.5 * len(subject.executor.turns)


def test_where_nothing_comes_any_more_it_waits_for_all(subject: Subject) -> None:
    subject.publisher.publish(Float32MultiArray())
    while not subject.heard:
        subject.executor.spin_once(timeout_sec=1.0)
    for _ in range(10):  # until a wait lasts to its end
        begin = time.monotonic()
        subject.executor.spin_once(timeout_sec=1.0)
        if time.monotonic() - begin > 0.9:
            break
    assert subject.executor.turns[-1]
