"""When chunks are sent, and how much of them."""

from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.view.chunk_schedule import Chunk, ChunkSchedule

import pytest


def sent_over(schedule: ChunkSchedule, start: float, end: float, size: int = 1000,
              empty: tuple[int, ...] = ()) -> list[tuple[float, int]]:
    """Times and numbers of all that is sent, ten times a second."""
    found = []
    for tick in range(round(start * 10), round(end * 10)):
        for chunk in schedule.due(tick / 10):
            schedule.sent(chunk, size, chunk.number in empty)
            found.append((tick / 10, chunk.number))
    return found


def numbers(sent: list[tuple[float, int]]) -> list[int]:
    return [number for _, number in sent]


def test_what_changed_is_sent_once() -> None:
    schedule = ChunkSchedule(100_000.0, 1000.0)
    schedule.changed('memories', {3, 1, 2})
    assert schedule.waiting == 3
    assert numbers(sent_over(schedule, 0, 5)) == [1, 2, 3]
    schedule.changed('memories', {2})
    assert numbers(sent_over(schedule, 5, 10)) == [2]
    assert schedule.waiting == 0


def test_no_more_is_sent_than_may_be_and_nothing_is_lost() -> None:
    schedule = ChunkSchedule(10_000.0, 1000.0)
    schedule.changed('memories', range(200))
    sent = sent_over(schedule, 0, 30)
    assert numbers(sent) == list(range(200))
    for start in range(30):
        within = [number for at, number in sent if start <= at < start + 1]
        assert len(within) * 1000 <= 2 * 10_000
    assert 19.0 < sent[-1][0] < 21.0


def test_a_chunk_larger_than_a_seconds_share_is_sent_too() -> None:
    schedule = ChunkSchedule(1000.0, 1000.0)
    schedule.changed('memories', [0, 1])
    assert numbers(sent_over(schedule, 0, 20, size=5000)) == [0, 1]


def test_who_is_new_gets_everything() -> None:
    schedule = ChunkSchedule(100_000.0, 1000.0)
    schedule.changed('memories', range(5))
    sent_over(schedule, 0, 5)
    schedule.all_changed()
    assert numbers(sent_over(schedule, 5, 10)) == [0, 1, 2, 3, 4]


def test_everything_is_sent_again_in_turn() -> None:
    schedule = ChunkSchedule(100_000.0, 10.0)
    schedule.changed('memories', range(5))
    assert numbers(sent_over(schedule, 0, 9.9)) == [0, 1, 2, 3, 4]
    schedule.changed('memories', [1])
    assert numbers(sent_over(schedule, 9.9, 15)) == [1, 0, 2, 3, 4]


def test_an_empty_chunk_is_sent_once_and_never_again() -> None:
    schedule = ChunkSchedule(100_000.0, 1.0)
    schedule.changed('memories', range(3))
    sent_over(schedule, 0, 1)
    schedule.changed('memories', [1])
    assert numbers(sent_over(schedule, 1, 5, empty=(1,))).count(1) == 1
    schedule.all_changed()
    assert set(numbers(sent_over(schedule, 5, 10))) == {0, 2}
    schedule.changed('memories', [1])
    assert numbers(sent_over(schedule, 10, 15)).count(1) > 1, 'it holds something again'


def test_what_is_repeated_takes_the_turn_of_nothing_that_changed() -> None:
    schedule = ChunkSchedule(2000.0, 1.0)
    schedule.changed('memories', range(20))
    sent_over(schedule, 0, 30)
    schedule.changed('cells', [0])
    schedule.changed('memories', [19])
    first, second = sent_over(schedule, 30, 33)[:2]
    assert {first[1], second[1]} == {0, 19}
    assert first[0] == 30.0


@pytest.mark.parametrize('values', [(0.0, 1.0), (1.0, 0.0), (float('nan'), 1.0)])
def test_a_rate_of_nothing_is_refused(values: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match='must be > 0'):
        ChunkSchedule(*values)


def test_layers_are_told_apart() -> None:
    schedule = ChunkSchedule(1e6, 1000.0)
    schedule.changed('cells', [0])
    schedule.changed('memories', [0])
    schedule.due(0.0)
    chunks = []
    for now in (0.0, 1.0):
        for chunk in schedule.due(now):
            schedule.sent(chunk, 10)
            chunks.append(chunk)
    assert chunks == [Chunk('cells', 0), Chunk('memories', 0)]
