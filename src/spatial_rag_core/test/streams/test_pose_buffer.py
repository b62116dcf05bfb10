from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError, PoseError
from spatial_rag_core.records import Pose, Position, Quaternion
from spatial_rag_core.streams.pose_buffer import interpolate, PoseBuffer
from spatial_rag_core.streams.stamp_order import Step

from hypothesis import given, settings
from hypothesis import strategies as st
import pytest

MS = 1_000_000
SECOND = 1000 * MS


def yawed(angle: float) -> Quaternion:
    return Quaternion(0.0, 0.0, math.sin(angle / 2), math.cos(angle / 2))


def yaw(pose: Pose) -> float:
    return 2 * math.atan2(pose.orientation.z, pose.orientation.w)


def screw(stamp_ns: int) -> Pose:
    """Straight ahead at 1.5 m/s, climbing at 0.25 m/s, turning at 0.8 rad/s."""
    t = stamp_ns / 1e9
    return Pose(Position(1.5 * t, -3.0, 0.25 * t), yawed(0.8 * t))


def screw_buffer(stamps: range, **options: float) -> PoseBuffer:
    buffer = PoseBuffer(**options)
    for stamp in stamps:
        buffer.insert(stamp, screw(stamp))
    return buffer


def same(a: Pose, b: Pose, tolerance: float = 1e-9) -> bool:
    dot = sum(p * q for p, q in zip(a.orientation, b.orientation, strict=True))
    return math.dist(a.position, b.position) < tolerance and 1 - abs(dot) < tolerance


def test_between_two_poses_the_answer_is_the_true_motion() -> None:
    buffer = screw_buffer(range(0, 2 * SECOND, 100 * MS))
    for stamp in range(0, 1900 * MS, 7 * MS + 13):
        assert same(buffer.at(stamp), screw(stamp))
        assert buffer.brackets(stamp)


def test_a_turn_takes_the_short_way_whatever_the_signs_of_its_quaternions() -> None:
    start = Pose(Position(0.0, 0.0), yawed(3.0))
    end = Pose(Position(0.0, 0.0), Quaternion(*(-v for v in yawed(2 * math.pi - 3.0))))
    middle = interpolate(start, end, 0.5)  # from 172° to 188°: through 180°, not through 0°
    assert abs(yaw(middle)) == pytest.approx(math.pi, abs=1e-9)


@settings(derandomize=True, deadline=None, database=None)
@given(st.floats(-3.1, 3.1), st.floats(-3.1, 3.1), st.floats(0.0, 1.0), st.booleans())
def test_the_turn_is_even(start: float, turn: float, fraction: float, flipped: bool) -> None:
    end = yawed(start + turn)
    if flipped:
        end = Quaternion(*(-v for v in end))
    at = interpolate(Pose(Position(0, 0), yawed(start)), Pose(Position(0, 0), end), fraction)
    assert same(at, Pose(Position(0, 0), yawed(start + fraction * turn)), 1e-7)


def test_without_a_pose_the_error_says_to_look_at_the_topic() -> None:
    with pytest.raises(PoseError, match='no pose has arrived; is the pose topic connected'):
        PoseBuffer().at(0)


@pytest.mark.parametrize('stamp', [-101 * MS, 201 * MS])
def test_beyond_the_tolerance_the_error_names_gap_and_limit(stamp: int) -> None:
    buffer = screw_buffer(range(0, 101 * MS, 100 * MS))
    with pytest.raises(PoseError, match=r'0\.101 s away, more than pose_tolerance_sec 0\.1; '):
        buffer.at(stamp)


def test_at_the_ends_the_nearest_pose_is_taken_within_the_tolerance() -> None:
    buffer = screw_buffer(range(0, 101 * MS, 100 * MS))
    assert same(buffer.at(-100 * MS), screw(0))
    assert same(buffer.at(200 * MS), screw(100 * MS))


def test_in_a_gap_of_the_poses_only_its_edges_are_known() -> None:
    buffer = screw_buffer(range(0, SECOND + 1, SECOND))
    assert same(buffer.at(90 * MS), screw(90 * MS))
    assert same(buffer.at(910 * MS), screw(910 * MS))
    with pytest.raises(PoseError, match=r'0\.500 s away'):
        buffer.at(500 * MS)


def test_a_latent_is_bracketed_by_a_pose_at_or_after_it() -> None:
    buffer = screw_buffer(range(0, 101 * MS, 50 * MS))
    assert not PoseBuffer().brackets(0)
    assert [buffer.brackets(stamp) for stamp in (0, 99 * MS, 100 * MS, 101 * MS)] == [
        True, True, True, False]
    assert buffer.brackets(-100 * MS)
    assert not buffer.brackets(-101 * MS)  # of a time that the poses have not reached yet


def test_the_history_is_bounded() -> None:
    buffer = screw_buffer(range(0, 60 * SECOND, 10 * MS), history_sec=2.0)
    assert buffer.newest_ns == 60 * SECOND - 10 * MS
    assert buffer.oldest_ns == 58 * SECOND - 10 * MS
    with pytest.raises(PoseError):
        buffer.at(57 * SECOND)


def test_a_late_pose_is_left_out() -> None:
    buffer = screw_buffer(range(0, 201 * MS, 100 * MS))
    wrong = Pose(Position(99.0, 99.0))
    assert buffer.insert(150 * MS, wrong) is Step.LATE
    assert same(buffer.at(150 * MS), screw(150 * MS))


def test_a_repeated_stamp_takes_the_newer_pose() -> None:
    buffer = screw_buffer(range(0, 101 * MS, 100 * MS))
    corrected = Pose(Position(7.0, 7.0))
    assert buffer.insert(100 * MS, corrected) is Step.REPEATED
    assert buffer.at(100 * MS) == corrected


def test_where_time_is_turned_back_the_buffer_starts_anew() -> None:
    buffer = screw_buffer(range(0, 9 * SECOND, 100 * MS))
    elsewhere = Pose(Position(50.0, 50.0))
    assert buffer.insert(2 * SECOND, elsewhere) is Step.JUMPED_BACK
    assert buffer.newest_ns == buffer.oldest_ns == 2 * SECOND
    assert buffer.at(2 * SECOND + 50 * MS) == elsewhere
    with pytest.raises(PoseError):
        buffer.at(3 * SECOND)


def test_for_a_second_after_a_jump_the_moments_just_before_it_are_known() -> None:
    last = 9 * SECOND
    buffer = screw_buffer(range(0, last + 1, 100 * MS))
    buffer.insert(0, Pose(Position(50.0, 50.0)))
    assert same(buffer.at(last - 30 * MS), screw(last - 30 * MS))
    with pytest.raises(PoseError):
        buffer.at(last - 2 * SECOND)
    for stamp in range(100 * MS, 1101 * MS, 100 * MS):
        buffer.insert(stamp, Pose(Position(50.0, 50.0)))
    with pytest.raises(PoseError):
        buffer.at(last - 30 * MS)


def test_a_cleared_buffer_knows_nothing() -> None:
    buffer = screw_buffer(range(0, SECOND, 100 * MS))
    buffer.clear()
    assert buffer.newest_ns is buffer.oldest_ns is None
    with pytest.raises(PoseError, match='no pose has arrived'):
        buffer.at(0)


@pytest.mark.parametrize(('history', 'tolerance'), [(0.0, 0.1), (1.0, -0.1), (math.nan, 0.1)])
def test_spans_that_make_no_sense_are_refused(history: float, tolerance: float) -> None:
    with pytest.raises(ConfigurationError, match=f'got {history} s and {tolerance} s'):
        PoseBuffer(history, tolerance)
