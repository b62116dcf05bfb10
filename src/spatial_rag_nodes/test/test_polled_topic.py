"""A topic that is looked at: messages wait in the middleware, and wake nobody."""

from __future__ import annotations

from typing import Any

from spatial_rag_nodes import qos
from spatial_rag_nodes.polled_topic import PolledTopic

import pytest
from std_msgs.msg import Float32MultiArray

pytestmark = pytest.mark.ros


@pytest.fixture
def ends(lab: Any) -> tuple[Any, PolledTopic]:
    """A publisher in the test's own node, and what looks at its topic, three messages deep."""
    topic = PolledTopic(lab.probe.node, Float32MultiArray, '/polled', qos.stream(3))
    return lab.probe.publisher(Float32MultiArray, '/polled'), topic


def numbers(topic: PolledTopic) -> list[float]:
    return [taken.message().data[0] for taken in topic.newest_first()]


def test_the_newest_come_first_and_no_more_than_its_depth(ends: Any, lab: Any) -> None:
    publisher, topic = ends
    assert numbers(topic) == []
    for number in range(5):
        publisher.publish(Float32MultiArray(data=[float(number)]))
    lab.probe.until(lambda: numbers(topic)[:1] == [4.0])
    assert numbers(topic) == [4.0, 3.0, 2.0]


def test_what_was_taken_stays_and_tells_when_it_was_sent(ends: Any, lab: Any) -> None:
    publisher, topic = ends
    for number in range(2):
        publisher.publish(Float32MultiArray(data=[float(number)]))
        lab.probe.until(lambda number=number: numbers(topic)[:1] == [float(number)])
    newer, older = topic.newest_first()
    assert newer.sent_ns > older.sent_ns > 1_600_000_000 * 10 ** 9
    assert numbers(topic) == [1.0, 0.0]


def test_the_executor_leaves_it_alone(ends: Any, lab: Any) -> None:
    """Its node is spun all the while, and would call a callback that does nothing."""
    publisher, topic = ends
    publisher.publish(Float32MultiArray(data=[7.0]))
    lab.probe.spin(0.5)
    assert numbers(topic) == [7.0]
