"""How far a robot has moved and turned since its last memory, in spite of noise."""

from __future__ import annotations

from collections.abc import Callable
import math
from typing import Generic, TypeVar

from spatial_rag_core.records import Pose, Position, Quaternion

T = TypeVar('T')

_ROUNDING = 0.999
"""Steps of just the least travel or turn must not fail by the rounding of their sum."""


class PoseChange:
    """How far the robot has moved and turned from an anchor, whatever the noise of its poses."""

    def __init__(self, pose: Pose) -> None:
        self.place = _Smooth(pose.position, math.dist, _middle)
        self.heading = _Smooth(pose.orientation, _angle_deg, _halfway)

    def follow(self, pose: Pose, least_travel_m: float, least_turn_deg: float) -> None:
        """Take in the next pose; the two tell how large a step counts, see _Smooth."""
        self.place.follow(pose.position, least_travel_m)
        self.heading.follow(pose.orientation, least_turn_deg)

    def anchor(self) -> None:
        """Measure from here."""
        self.place.anchor()
        self.heading.anchor()


class _Smooth(Generic[T]):
    """
    A place [m] or a heading [deg] without noise, and how far it is from an anchor.

    The smooth value goes half the way to each new one (an exponential mean: noise shrinks to
    58 %). What is twice the least step away, or has gone twice that far in two moments, is no
    noise and is taken as it is. In slower motion it lags by one moment, always, so that the
    distances between memories come out right.
    """

    def __init__(self, value: T, distance: Callable[[T, T], float],
                 halfway: Callable[[T, T], T]) -> None:
        self._distance, self._halfway = distance, halfway
        self._value = self._anchor = self._last = self._last_but_one = value

    def anchor(self) -> None:
        """Measure from here."""
        self._anchor = self._value

    def has_moved(self, least: float) -> bool:
        """Whether it is at least so far from the anchor; 0 never is."""
        return least > 0.0 and self._distance(self._value, self._anchor) >= least * _ROUNDING

    def follow(self, value: T, least: float) -> None:
        """Take in the next value; least: how far a step goes that counts."""
        is_leap = max(self._distance(value, self._value),
                      self._distance(value, self._last_but_one)) >= 2 * least * _ROUNDING
        self._value = value if is_leap else self._halfway(self._value, value)
        self._last_but_one, self._last = self._last, value


def _middle(first: Position, second: Position) -> Position:
    return Position(*((a + b) / 2 for a, b in zip(first, second, strict=True)))


def _angle_deg(first: Quaternion, second: Quaternion) -> float:
    """Angle of the rotation between the two [deg]; by their chord, which is exact near 0."""
    sign = _sign(first, second)
    chord = math.hypot(*(a - sign * b for a, b in zip(first, second, strict=True)))
    return math.degrees(4 * math.asin(min(1.0, chord / 2)))


def _halfway(first: Quaternion, second: Quaternion) -> Quaternion:
    """The rotation in the middle."""
    sign = _sign(first, second)
    total = [a + sign * b for a, b in zip(first, second, strict=True)]
    norm = math.hypot(*total)
    return Quaternion(*(value / norm for value in total))


def _sign(first: Quaternion, second: Quaternion) -> float:
    """Which of q and -q, one rotation, is the nearer."""
    return math.copysign(1.0, sum(a * b for a, b in zip(first, second, strict=True)))
