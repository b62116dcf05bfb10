"""What the monitor hears, and when it asks."""

from collections.abc import Callable, Iterator
import time
from typing import Any

import pytest

monitor_module = pytest.importorskip('spatial_rag_bringup.stack_monitor',
                                     reason='rclpy is absent: no ROS and no wheels of it')
from spatial_rag_msgs.msg import LatentStamped  # noqa: E402
from spatial_rag_msgs.srv import MemoryStats  # noqa: E402

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue  # noqa: E402
from rclpy.executors import SingleThreadedExecutor  # noqa: E402
from sensor_msgs.msg import Image  # noqa: E402


class Watch:
    """A monitor in the probe's context that works only when it is let."""

    def __init__(self, probe: Any) -> None:
        self.monitor = monitor_module.StackMonitor('', False, probe.context)
        self.figures = self.monitor.figures
        self._executor = SingleThreadedExecutor(context=probe.context)
        self._executor.add_node(self.monitor)

    def spin(self) -> None:
        self._executor.spin_once(timeout_sec=0.02)

    def close(self) -> None:
        self._executor.shutdown()
        self.monitor.destroy_node()


@pytest.fixture
def watch(probe: Any) -> Iterator[Watch]:
    watch = Watch(probe)
    yield watch
    watch.close()


@pytest.fixture
def questions(probe: Any, watch: Watch) -> list[Any]:
    """What the memory was asked; it answers 600000, 600001 … while the probe spins."""
    asked: list[Any] = []

    def answer(request: Any, response: Any) -> Any:
        asked.append(request)
        response.journal_count = 600_000 + len(asked) - 1
        return response
    probe.node.create_service(MemoryStats, '/spatial_rag/memory_stats', answer)
    wait(watch.monitor._stats.service_is_ready, watch.spin)
    return asked


def wait(condition: Callable[[], bool], *steps: Callable[[], Any]) -> None:
    end = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end
        for step in steps:
            step()


@pytest.mark.ros
def test_a_memory_that_takes_its_time_is_asked_once_and_its_answer_taken(
        probe: Any, watch: Watch, questions: list[Any]) -> None:
    assert not watch.monitor.is_asking
    for _ in range(20):
        watch.monitor.ask_stats()
        watch.spin()
    assert watch.monitor.is_asking
    wait(lambda: watch.figures.memories_now is not None, watch.spin, lambda: probe.spin(0.02))
    assert (watch.figures.memories_before, watch.figures.memories_now) == (600_000, 600_000)
    assert len(questions) == 1
    watch.monitor.ask_stats()
    wait(lambda: watch.figures.memories_now == 600_001, watch.spin, lambda: probe.spin(0.02))
    assert watch.figures.memories_before == 600_000


@pytest.mark.ros
def test_a_question_that_nobody_answered_is_asked_anew(
        probe: Any, watch: Watch, questions: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    watch.monitor.ask_stats()
    monkeypatch.setattr(monitor_module, 'QUESTION_TIMEOUT_SEC', 0.0)
    watch.monitor.ask_stats()
    wait(lambda: len(questions) == 2, lambda: probe.spin(0.02))
    wait(lambda: watch.figures.memories_now is not None, watch.spin)
    assert watch.figures.memories_now == 600_001


@pytest.mark.ros
def test_a_monitor_that_stalls_measures_what_the_publishers_did(
        probe: Any, watch: Watch) -> None:
    pictures = probe.publisher(Image, '/camera/image_raw')
    latents = probe.publisher(LatentStamped, '/spatial_rag/latent')
    picture, latent = Image(), LatentStamped()
    picture.header.stamp.sec = latent.header.stamp.sec = 7
    pictures.publish(picture)
    probe.spin(0.05)
    latents.publish(latent)
    probe.spin(0.5)
    durations = watch.figures.image_to_latent.durations_ms
    wait(lambda: len(durations) == 1, watch.spin)
    assert 50.0 <= durations[0] < 400.0


def test_the_time_of_arrival_is_taken_where_the_middleware_tells_no_other() -> None:
    assert monitor_module.published_ns({'source_timestamp': 5}) == 5
    before = time.time_ns()
    assert before <= monitor_module.published_ns({'source_timestamp': 0}) <= time.time_ns()


@pytest.mark.parametrize(('name', 'namespace', 'node'), [
    ('spatial_rag: encoder', '/', 'encoder'),
    ('spatial_rag: fleet/robot1/encoder', '/fleet/robot1', 'encoder'),
    ('spatial_rag: encoder', '/robot1', None), ('spatial_rag: robot1/encoder', '/', None),
    ('spatial_rag: robot2/encoder', '/robot1', None), ('camera: encoder', '/', None),
    ('encoder', '/', None)])
def test_only_nodes_of_the_own_namespace_are_heard(
        name: str, namespace: str, node: str | None) -> None:
    assert monitor_module.node_of(name, namespace) == node


@pytest.mark.ros
def test_diagnostics_of_other_stacks_and_drivers_are_not_counted(
        probe: Any, watch: Watch) -> None:
    publisher = probe.publisher(DiagnosticArray, '/diagnostics')
    array = DiagnosticArray(status=[
        DiagnosticStatus(name=name, values=[KeyValue(key='errors', value='3')])
        for name in ('spatial_rag: robot1/encoder', 'camera: errors', 'spatial_rag: encoder')])
    publisher.publish(array)
    wait(lambda: bool(watch.monitor.nodes_seen), watch.spin)
    assert watch.monitor.nodes_seen == {'encoder'}
    assert watch.figures.errors == 3
