from __future__ import annotations

from spatial_rag_core.streams.stamp_order import StampOrder, Step

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
