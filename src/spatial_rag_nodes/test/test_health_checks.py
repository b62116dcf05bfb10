"""What a node finds wrong once a second: the message names the remedy, and ends with its cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_nodes import health_checks
from spatial_rag_nodes.health_checks import (
    Drops,
    FIRST_SEC,
    low_disk,
    Silence,
    SILENT_SEC,
    TooSlow,
)

import pytest
from std_msgs.msg import Float32MultiArray

pytestmark = pytest.mark.ros


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def monotonic_ns(self) -> int:
        return round(self.now * 1e9)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(health_checks, 'time', clock)
    return clock


def message(found: Any) -> str:
    return '' if found is None else found.message


def test_a_topic_is_silent_two_seconds_after_its_last_message(lab: Any, clock: Clock) -> None:
    camera = Silence(lab.probe.node, 'camera', 'picture', 'start the camera driver')
    clock.now += FIRST_SEC - 0.1
    assert camera() is None, 'the first one may take a while'
    camera.heard()
    clock.now += SILENT_SEC - 0.1
    assert camera() is None
    clock.now += 0.2
    assert message(camera()) == ('no picture on /camera for 2 s: nobody publishes it; '
                                 'start the camera driver')
    camera.heard()
    assert camera() is None


def test_a_topic_that_is_published_in_vain_is_told_so(lab: Any, clock: Clock) -> None:
    lab.probe.node.create_publisher(Float32MultiArray, 'camera', 1)
    lab.probe.until(lambda: lab.probe.node.count_publishers('/camera') == 1)
    camera = Silence(lab.probe.node, 'camera', 'picture', 'start the camera driver')
    clock.now += FIRST_SEC
    assert 'publishers: 1; do they still run, and does their quality of service fit?' in (
        message(camera()))


def test_what_flows_too_slowly_is_told_until_it_does_not_flow(clock: Clock) -> None:
    latency_ms, rate = LatencyWindow(), RateWindow()
    slow = TooSlow(latency_ms, rate, lambda: 0.05, 'a search', 'lower k')
    for _ in range(100):
        latency_ms.add(10.0)
        rate.tick(clock.monotonic_ns())
        clock.now += 0.02
    assert slow() is None
    for _ in range(3):
        latency_ms.add(80.0)
    assert message(slow()) == ('a search took 80 ms (p99), more than latency_budget_sec allows '
                               '(50 ms): lower k')
    clock.now += 10.0
    assert slow() is None


def test_drops_are_told_for_the_second_in_which_they_were() -> None:
    count = 5
    drops = Drops(lambda: count, 'pictures were dropped', 'lower publish_rate')
    count += health_checks.MOST_DROPS
    assert drops() is None
    count += 7
    assert message(drops()) == '7 pictures were dropped in the last second: lower publish_rate'
    assert drops() is None


class Usage(NamedTuple):
    free: float


@pytest.mark.parametrize(('free_mb', 'level'), [(500, None), (499, b'\x01'), (49, b'\x02')])
def test_a_disk_that_fills_is_a_warning_and_at_last_an_error(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free_mb: int,
        level: bytes | None) -> None:
    monkeypatch.setattr(health_checks.shutil, 'disk_usage', lambda _: Usage(free_mb * 1e6))
    found = low_disk(tmp_path / 'memory.db', 500.0)
    assert (None if found is None else found.level) == level
    assert level is None or f'{free_mb} MB are left' in message(found)
