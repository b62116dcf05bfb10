"""What is relied on in rclpy, said of each: where this passes, so does the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import re
import threading
from typing import Any

from spatial_rag_msgs.srv import PauseWriting
import spatial_rag_nodes
from spatial_rag_nodes.rclpy_internals import (
    before_destroy,
    end_spinning,
    intercept_answers,
    overrides_of,
    state_of,
    take_raw,
    take_requests,
    transitions_of,
    Unexecuted,
    wrap_callbacks,
)

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
import pytest
import rclpy
from rclpy.exceptions import InvalidHandle
from rclpy.executors import SingleThreadedExecutor
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
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


def test_requests_that_wait_can_be_taken_and_answered_without_the_callback(lab: Any) -> None:
    called: list[Any] = []
    service = lab.probe.node.create_service(
        PauseWriting, 'waiting', lambda *both: called.append(both), callback_group=Unexecuted())
    client = lab.probe.node.create_client(PauseWriting, 'waiting')
    lab.probe.until(client.service_is_ready)
    asked = [client.call_async(PauseWriting.Request()) for _ in range(2)]
    headers: list[Any] = []
    lab.probe.until(lambda: headers.extend(take_requests(service)) or len(headers) == 2)
    assert list(take_requests(service)) == []
    for header in headers:
        service.send_response(PauseWriting.Response(message='refused'), header)
    lab.probe.until(lambda: all(future.done() for future in asked))
    assert {future.result().message for future in asked} == {'refused'}
    assert not called


def test_something_can_be_done_before_a_service_goes(lab: Any) -> None:
    service = lab.probe.node.create_service(PauseWriting, 'going', lambda *_: None)
    said: list[str] = []
    before_destroy(service, lambda: said.append(service.service_name))
    lab.probe.node.destroy_service(service)
    assert said == ['/going']
    assert service not in list(lab.probe.node.services)


def test_an_error_from_another_thread_comes_out_of_spinning(lab: Any) -> None:
    executor = SingleThreadedExecutor(context=lab.probe.context)
    node = rclpy.create_node('spun', context=lab.probe.context)
    executor.add_node(node)
    threading.Timer(0.1, end_spinning, (node, KeyError('the end'))).start()
    with pytest.raises(KeyError, match='the end'):
        executor.spin()
    node.destroy_node()


def test_what_is_set_for_a_node_can_be_listed_though_it_has_no_such_parameter(lab: Any) -> None:
    node = rclpy.create_node('told', context=lab.probe.context, parameter_overrides=[
        Parameter('not_mine', value=1)])
    assert overrides_of(node) == ['not_mine']
    node.destroy_node()


def test_no_other_module_reaches_into_what_rclpy_keeps_to_itself() -> None:
    private = re.compile(r'\b(node|_node|executor|service|client|publisher|subscription|context)'
                         r'(\(\))?\._[a-z]')
    package = Path(spatial_rag_nodes.__file__).parent
    found = [f'{path.name}: {line.strip()}' for path in sorted(package.glob('*.py'))
             if path.name != 'rclpy_internals.py'
             for line in path.read_text().splitlines() if private.search(line)]
    assert not found


def test_a_topic_in_a_group_that_is_never_executed_waits_to_be_taken(lab: Any) -> None:
    called: list[bytes] = []
    subscription = lab.probe.node.create_subscription(
        Float32MultiArray, 'waiting', called.append, 10, raw=True, callback_group=Unexecuted())
    publisher = lab.probe.publisher(Float32MultiArray, 'waiting')
    publisher.publish(Float32MultiArray(data=[7.0]))
    taken: list[Any] = []
    lab.probe.until(lambda: taken.append(take_raw(subscription, Float32MultiArray)) or taken[-1])
    raw, sent_ns = taken[-1]
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
