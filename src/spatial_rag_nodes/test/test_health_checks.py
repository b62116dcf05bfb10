"""What a node finds wrong once a second: the message names the remedy, and ends with its cause."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from spatial_rag_core.streams.metrics import LatencyWindow, RateWindow
from spatial_rag_core.streams.stamp_order import StampOrder
from spatial_rag_nodes import health_checks
from spatial_rag_nodes.health_checks import (
    Drops,
    FIRST_SEC,
    low_disk,
    Silence,
    SILENT_SEC,
    TimeJumps,
    TooSlow,
)

import pytest
from std_msgs.msg import Float32MultiArray

from .fake_clock import Clock, clock_of

pytestmark = pytest.mark.ros


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return clock_of(health_checks, monkeypatch)


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


class Reports(list):
    """Stands for the health: what it is told."""

    def report(self, kind: str, message: str) -> None:
        assert kind == 'time jump'
        self.append(message)


def test_time_that_jumps_is_told_whichever_way_it_goes(clock: Clock) -> None:
    reports, order = Reports(), StampOrder()
    time_jumps = TimeJumps(reports, 'pictures')  # type: ignore[arg-type]

    def come(stamp_sec: float, later_sec: float) -> None:
        clock.now += later_sec
        stamp_ns = round(stamp_sec * 1e9)
        time_jumps.follow(stamp_ns, order.follow(stamp_ns))
    come(100.0, 0.0)
    come(100.1, 0.1)
    come(160.1, 60.0)
    assert reports == [], 'a camera that was switched off for a minute'
    come(3760.2, 0.1)
    come(3760.3, 0.1)
    come(60.0, 0.1)
    assert reports == [
        'pictures: time jumped 3600 s ahead (a clock that was set, or a recording that was cut); '
        'going on from there',
        'pictures: time ran backwards (a looped bag or a reset clock); going on from there']


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
