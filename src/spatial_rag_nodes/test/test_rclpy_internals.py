"""What is relied on in rclpy, said of each: where this passes, so does the rest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from spatial_rag_msgs.srv import PauseWriting
from spatial_rag_nodes.rclpy_internals import (
    intercept_answers,
    state_of,
    take_raw,
    transitions_of,
    Unexecuted,
    wrap_callbacks,
)

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
from rclpy.exceptions import InvalidHandle
from rclpy.lifecycle import LifecycleNode
from rclpy.serialization import deserialize_message
from rclpy.task import Future
from std_msgs.msg import Float32MultiArray

pytestmark = pytest.mark.ros


@pytest.fixture
def managed(lab: Any) -> Iterator[LifecycleNode]:
    node = LifecycleNode('managed', context=lab.probe.context)
    lab.probe._executor.add_node(node)
    yield node
    node.destroy_node()


def test_the_callbacks_of_the_services_that_rclpy_brings_can_be_wrapped(
        lab: Any, managed: LifecycleNode) -> None:
    def wrap(callback: Any) -> Any:
        def serve(request: Any, response: Any) -> Any:
            callback(request, response)
            response.success = not response.success
            return response
        return serve
    wrap_callbacks(managed, ChangeState, wrap)
    answer = lab.probe.call(ChangeState, '/managed/change_state', ChangeState.Request(
        transition=Transition(label='configure')))
    assert not answer.success, 'though it succeeded'
    assert state_of(managed) == 'inactive'


def test_state_and_transitions_of_a_node_can_be_read(managed: LifecycleNode) -> None:
    assert (state_of(managed), transitions_of(managed)) == (
        'unconfigured', {'configure': 1, 'shutdown': 5})
    managed.trigger_configure()
    assert (state_of(managed), transitions_of(managed)) == (
        'inactive', {'cleanup': 2, 'activate': 3, 'shutdown': 6})


def test_what_a_plain_callback_returns_can_be_kept_and_answered_later(lab: Any) -> None:
    kept: list[tuple[Any, Any]] = []
    sends: list[Any] = []

    def make(send: Any) -> Any:
        sends.append(send)
        return lambda returned, header: kept.append((returned, header))
    service = lab.probe.node.create_service(PauseWriting, 'later', lambda *_: 'no answer yet')
    intercept_answers(service, make)
    client = lab.probe.node.create_client(PauseWriting, 'later')
    lab.probe.until(client.service_is_ready)
    asked = [client.call_async(PauseWriting.Request()) for _ in range(2)]
    lab.probe.until(lambda: len(kept) == 2)
    assert not any(future.done() for future in asked)
    assert {returned for returned, _ in kept} == {'no answer yet'}
    for number, (_, header) in reversed([*enumerate(kept)]):
        sends[0](PauseWriting.Response(message=str(number)), header)
    lab.probe.until(lambda: all(future.done() for future in asked))
    assert [future.result().message for future in asked] == ['0', '1']


def test_a_topic_in_a_group_that_is_never_executed_waits_to_be_taken(lab: Any) -> None:
    called: list[bytes] = []
    subscription = lab.probe.node.create_subscription(
        Float32MultiArray, 'waiting', called.append, 10, raw=True, callback_group=Unexecuted())
    publisher = lab.probe.publisher(Float32MultiArray, 'waiting')
    publisher.publish(Float32MultiArray(data=[7.0]))
    lab.probe.spin(0.3)
    raw, sent_ns = take_raw(subscription, Float32MultiArray)
    assert list(deserialize_message(raw, Float32MultiArray).data) == [7.0]
    assert sent_ns > 1_600_000_000 * 10 ** 9
    assert take_raw(subscription, Float32MultiArray) is None
    assert not called
    lab.probe.node.destroy_subscription(subscription)
    with pytest.raises(InvalidHandle):
        take_raw(subscription, Float32MultiArray)


def test_a_coroutine_that_waits_yields_until_its_future_is_there_and_takes_an_error_instead(
        ) -> None:
    """Step by step, without an executor: as a request is ended whose node is closing."""
    async def wait(future: Future) -> str:
        try:
            return await future
        except ValueError as error:
            return str(error)
    future = Future()
    waiting = wait(future)
    assert waiting.send(None) in (None, future)
    with pytest.raises(StopIteration) as end:
        waiting.throw(ValueError('the end'))
    assert end.value.value == 'the end'
    future.set_result('done')
    assert future.done()
    with pytest.raises(StopIteration) as end:
        wait(future).send(None)
    assert end.value.value == 'done'
