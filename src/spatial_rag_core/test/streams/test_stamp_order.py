from __future__ import annotations

from spatial_rag_core.streams.stamp_order import JumpsAhead, StampOrder, Step

import pytest

NOW = 1_760_000_000_000_000_000
MS = 1_000_000


@pytest.mark.parametrize(('stamp_ns', 'step', 'newest_ns'), [
    (NOW + 1, Step.FORWARD, NOW + 1),
    (NOW + 3600_000 * MS, Step.FORWARD, NOW + 3600_000 * MS),
    (NOW, Step.REPEATED, NOW),
    (NOW - 1, Step.LATE, NOW),
    (NOW - 500 * MS + 1, Step.LATE, NOW),
    (NOW - 500 * MS, Step.JUMPED_BACK, NOW - 500 * MS),
    (0, Step.JUMPED_BACK, 0),
])
def test_a_stamp_is_classified_against_the_newest(
        stamp_ns: int, step: Step, newest_ns: int) -> None:
    order = StampOrder()
    assert order.follow(NOW) is Step.FORWARD
    assert order.follow(stamp_ns) is step
    assert order.newest_ns == newest_ns


def test_after_a_jump_time_runs_from_there() -> None:
    order = StampOrder()
    assert [order.follow(stamp) for stamp in (NOW, 0, 50 * MS, 20 * MS)] == [
        Step.FORWARD, Step.JUMPED_BACK, Step.FORWARD, Step.LATE]


@pytest.mark.parametrize(('ahead_ms', 'later_ms', 'jump_sec'), [
    (50, 50, 0.0),  # a picture after the other
    (60_000, 60_000, 0.0),  # a camera that was switched off for a minute
    (2_000, 200, 0.0),  # a recording played ten times as fast
    (50, 5_000, 0.0),  # a picture that came late
    (-60_000, 50, 0.0),  # back is StampOrder's
    (10_049, 50, 0.0), (10_050, 50, 10.0), (3_600_050, 50, 3600.0)])
def test_time_was_set_ahead_where_a_stamp_is_farther_on_than_it_came_later(
        ahead_ms: int, later_ms: int, jump_sec: float) -> None:
    jumps = JumpsAhead()
    assert jumps.follow(NOW, 7 * MS) == 0.0
    assert jumps.follow(NOW + ahead_ms * MS, (7 + later_ms) * MS) == jump_sec
    assert jumps.follow(NOW + (ahead_ms + 50) * MS, (57 + later_ms) * MS) == 0.0
