"""Streams that wait for each other, on a clock that the test sets."""

from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import as_action
from spatial_rag_core.streams import action_track, deadline_join, frame_pairing
from spatial_rag_core.streams.action_track import ActionTrack
from spatial_rag_core.streams.deadline_join import DeadlineJoin
from spatial_rag_core.streams.frame_pairing import FramePairing

import pytest

MS = 1_000_000
LEFT, RIGHT = as_action([0.0, 1.0]), as_action([0.0, -1.0])


class Clock:
    def __init__(self) -> None:
        self.now_ns = 5_000_000_000_000

    def monotonic_ns(self) -> int:
        return self.now_ns

    def pass_ms(self, duration_ms: int) -> None:
        self.now_ns += duration_ms * MS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in (action_track, deadline_join, frame_pairing):
        monkeypatch.setattr(module, 'time', clock)
    return clock


def test_the_action_that_led_to_a_frame_is_the_last_one_before_it(clock: Clock) -> None:
    track = ActionTrack()
    track.add(LEFT, 100 * MS)
    track.add(RIGHT, 150 * MS)
    assert track.leading_to(100 * MS) is None
    assert track.leading_to(101 * MS) is LEFT
    assert track.leading_to(150 * MS) is LEFT
    assert track.leading_to(151 * MS) is RIGHT
    assert track.leading_to(1150 * MS) is RIGHT
    assert track.leading_to(1151 * MS) is None  # it was no longer in force


def test_an_action_is_in_force_until_its_timeout(clock: Clock) -> None:
    track = ActionTrack(timeout_sec=0.5)
    assert track.newest() is None
    track.add(LEFT)
    clock.pass_ms(500)
    assert track.newest() is LEFT
    clock.pass_ms(1)
    assert track.newest() is None


def test_an_action_without_a_pose_stamp_leads_nowhere(clock: Clock) -> None:
    track = ActionTrack()
    track.add(LEFT, None)
    assert track.newest() is LEFT
    assert track.leading_to(1) is None


def test_where_time_is_turned_back_later_actions_are_forgotten(clock: Clock) -> None:
    track = ActionTrack()
    track.add(LEFT, 9000 * MS)
    track.add(RIGHT, 100 * MS)
    assert track.leading_to(150 * MS) is RIGHT
    assert track.leading_to(9001 * MS) is None


def test_an_item_is_taken_once_by_its_partner(clock: Clock) -> None:
    join: DeadlineJoin[str, str] = DeadlineJoin(0.02)
    join.add(1, 'a')
    assert join.take(2, 'partner') is None
    assert join.take(1, 'partner') == 'a'
    assert join.take(1, 'partner') is None
    clock.pass_ms(100)
    assert list(join.expired()) == []


def test_items_whose_time_is_up_come_out_oldest_first_and_once(clock: Clock) -> None:
    join: DeadlineJoin[str, str] = DeadlineJoin(0.02)
    join.add(1, 'a')
    join.add(2, 'b')
    clock.pass_ms(15)
    join.add(3, 'c')
    assert list(join.expired()) == []
    clock.pass_ms(5)
    assert list(join.expired()) == ['a', 'b']
    assert join.take(1, 'partner') is None
    assert len(join) == 1
    assert join.take(3, 'partner') == 'c'


def test_a_partner_may_come_before_its_item(clock: Clock) -> None:
    join: DeadlineJoin[str, str] = DeadlineJoin(0.02)
    assert join.take(1, 'early') is None
    assert join.add(1, 'a') == 'early'
    assert len(join) == 0
    assert join.add(1, 'a again') is None  # it was taken once


def test_no_more_than_a_second_or_so_of_early_partners_are_kept(clock: Clock) -> None:
    join: DeadlineJoin[str, int] = DeadlineJoin(0.02)
    for stamp in range(100):
        join.take(stamp, stamp)
    assert join.add(0, 'long gone') is None
    assert join.add(99, 'kept') == 99


def test_a_repeated_stamp_does_not_hold_up_the_others(clock: Clock) -> None:
    join: DeadlineJoin[str, str] = DeadlineJoin(0.02)
    join.add(1, 'a')
    join.add(2, 'b')
    clock.pass_ms(10)
    join.add(1, 'a again')
    clock.pass_ms(10)
    assert list(join.expired()) == ['b']
    clock.pass_ms(10)
    assert list(join.expired()) == ['a again']


def test_no_more_than_a_second_or_so_of_items_wait(clock: Clock) -> None:
    join: DeadlineJoin[int, str] = DeadlineJoin(1.0)
    for stamp in range(1000):
        join.add(stamp, stamp)
    assert len(join) == 32
    assert join.take(999, 'partner') == 999


def test_a_color_frame_takes_the_depth_nearest_in_time(clock: Clock) -> None:
    pairing: FramePairing[str, str] = FramePairing(tolerance_sec=0.02, wait_sec=0.03)
    pairing.add_depth(80 * MS, 'too old')
    pairing.add_depth(95 * MS, 'before')
    pairing.add_depth(103 * MS, 'nearest')
    assert pairing.add_color(101 * MS, 'color')
    assert pairing.take() == ('color', 'nearest')
    assert pairing.take() is None


def test_a_color_frame_waits_for_its_depth(clock: Clock) -> None:
    pairing: FramePairing[str, str] = FramePairing(tolerance_sec=0.02, wait_sec=0.03)
    pairing.add_color(100 * MS, 'color')
    pairing.add_depth(79 * MS, 'of another moment')
    clock.pass_ms(29)
    assert pairing.take() is None
    pairing.add_depth(120 * MS, 'depth')
    assert pairing.take() == ('color', 'depth')


def test_a_color_frame_goes_alone_once_it_has_waited(clock: Clock) -> None:
    pairing: FramePairing[str, str] = FramePairing(tolerance_sec=0.02, wait_sec=0.03)
    pairing.add_color(100 * MS, 'color')
    clock.pass_ms(30)
    assert pairing.take() == ('color', None)


def test_a_newer_color_frame_takes_the_place_of_one_that_waits(clock: Clock) -> None:
    pairing: FramePairing[str, str] = FramePairing(tolerance_sec=0.02, wait_sec=0.03)
    assert pairing.add_color(100 * MS, 'old')
    assert not pairing.add_color(150 * MS, 'new')
    pairing.add_depth(100 * MS, 'old depth')
    pairing.add_depth(150 * MS, 'new depth')
    assert pairing.take() == ('new', 'new depth')
    assert pairing.add_color(200 * MS, 'newer')


def test_frames_that_come_faster_than_the_wait_go_on_without_a_depth_camera(clock: Clock) -> None:
    pairing: FramePairing[int, str] = FramePairing(tolerance_sec=0.02, wait_sec=0.03)
    taken = []
    for number in range(60):
        pairing.add_color(number * 16 * MS, number)
        clock.pass_ms(16)
        taken.append(pairing.take())
    assert taken == [None if number % 2 == 0 else (number, None) for number in range(60)]


@pytest.mark.parametrize('timeout_sec', [0.0, -1.0])
def test_a_timeout_must_be_positive(timeout_sec: float) -> None:
    with pytest.raises(ConfigurationError, match=f'action_timeout_sec .*> 0 s, got {timeout_sec}'):
        ActionTrack(timeout_sec)
    with pytest.raises(ConfigurationError, match=f'retrieval_timeout_sec .*, got {timeout_sec}'):
        DeadlineJoin(timeout_sec)
