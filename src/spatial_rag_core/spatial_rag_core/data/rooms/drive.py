"""How a robot's drive follows its commands, on firm and on slippery ground."""

from __future__ import annotations

import math

_SLIDE_SEC = 0.3


class Drive:
    """
    Speed and turn rate follow a command with a first-order lag.

    Where grip is below 1 the lag is 1 / grip times as long, and what a turn leaves of the
    momentum carries on sideways and dies with a time constant of (1 / grip - 1)·0.3 s.
    speed, slide: velocity forward and to the left [m/s].  turn_rate: to the left [rad/s].
    """

    def __init__(self, response_sec: float, step_sec: float, max_speed_m_s: float,
                 max_turn_rate_rad_s: float) -> None:
        self._response_sec = response_sec
        self._step_sec = step_sec
        self._limits = max_speed_m_s, max_turn_rate_rad_s
        self.speed = self.slide = self.turn_rate = 0.0

    def stop(self) -> None:
        """Stand still."""
        self.speed = self.slide = self.turn_rate = 0.0

    def follow(self, speed: float, turn_rate: float, grip: float) -> None:
        """Aim for a command for one step, cut to the limits."""
        share = _share(self._step_sec * grip, self._response_sec)
        self.turn_rate += (_cut(turn_rate, self._limits[1]) - self.turn_rate) * share
        self._carry_on(grip)
        self.speed += (_cut(speed, self._limits[0]) - self.speed) * share
        self.slide = _cut(self.slide, math.sqrt(max(0.0, self._limits[0]**2 - self.speed**2)))

    def _carry_on(self, grip: float) -> None:
        """Keep the momentum's direction while the body turns below it."""
        if grip >= 1.0:
            self.slide = 0.0
            return
        turned = self.turn_rate * self._step_sec
        forward = self.speed * math.cos(turned) + self.slide * math.sin(turned)
        left = self.slide * math.cos(turned) - self.speed * math.sin(turned)
        self.speed = forward
        self.slide = left * (1.0 - _share(self._step_sec, _SLIDE_SEC * (1.0 / grip - 1.0)))


def _share(step_sec: float, constant_sec: float) -> float:
    return 1.0 - math.exp(-step_sec / constant_sec) if constant_sec > 0.0 else 1.0


def _cut(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))
