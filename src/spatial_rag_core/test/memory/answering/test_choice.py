from __future__ import annotations

from spatial_rag_core.memory.answering.choice import chosen, newest, pool_size
from spatial_rag_core.records import Hit, Memory, MemoryQuery, Pose, Position

import numpy as np

HERE = Pose(Position(0.0, 0.0))


def hit(number: int, x: float, timestamp: float) -> Hit:
    return Hit(Memory(str(number), np.zeros(2, np.float32), Pose(Position(x, 0.0)), '',
                      timestamp, 'model'), abs(x), abs(x))


def ids(hits: list[Hit]) -> list[int]:
    return [int(one.memory.id) for one in hits]


def test_a_newer_view_of_a_place_stands_for_the_older_ones() -> None:
    hits = [hit(0, 0.0, 0.0), hit(1, 0.1, 500.0), hit(2, 2.0, 0.0)]
    assert ids(newest(hits)) == [1, 2]


def test_views_of_one_pass_all_count() -> None:
    hits = [hit(n, 0.1 * n, float(n)) for n in range(5)]
    assert ids(newest(hits)) == [0, 1, 2, 3, 4]


def test_a_place_passed_ten_times_still_gives_all_that_are_wanted() -> None:
    hits = sorted((hit(100 * lap + n, 0.1 * n, 1000.0 * lap + n)
                   for lap in range(10) for n in range(30)), key=lambda one: one.distance)
    query = MemoryQuery(k=8, pose=HERE, rank_by='pose', newest_only=True)
    found = chosen(hits[:pool_size(query)], query)
    assert [number // 100 for number in ids(found)] == [9] * 8


def test_without_newest_only_the_nearest_are_the_answer() -> None:
    hits = [hit(0, 0.0, 0.0), hit(1, 0.1, 500.0), hit(2, 2.0, 0.0)]
    query = MemoryQuery(k=2, pose=HERE, rank_by='pose')
    assert ids(chosen(hits[:pool_size(query)], query)) == [0, 1]
    assert pool_size(query) == 2
