"""A driver without a goal: smooth random speeds and turns."""

from __future__ import annotations

import math

from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.records import Pose
from spatial_rag_core.spatial.heading import heading_of

import numpy as np
from numpy.typing import NDArray

_MEMORY_SEC = 1.5
_SPEED_MEAN, _SPEED_SPREAD = 0.7, 0.25  # of the cruising speed
_TURN_SPREAD_RAD_S = 0.6
_ESCAPE_RAD_S = 1.5
_ROOM_M = 0.25
_NEAR_M, _FAR_M = 0.2, 0.6
_ASIDE_RAD = 0.8


class RandomWalkPolicy:
    """
    Speed and turn rate wander about their means (an Ornstein-Uhlenbeck process).

    Before an obstacle, or a door that opens the other way, it turns until the way is free.
    cruise_m_s: most speed [m/s].  step_sec: time from one act to the next [s].
    """

    def __init__(self, room_map: RoomMap, seed: int, cruise_m_s: float = 1.0,
                 step_sec: float = 0.2) -> None:
        self._map = room_map
        self._rng = np.random.default_rng(seed)
        self._cruise_m_s = cruise_m_s
        self._keep = math.exp(-step_sec / _MEMORY_SEC)
        self._state = self._rng.normal(size=2)
        self._escape_rad_s = 0.0

    def act(self, pose: Pose) -> NDArray[np.float32]:
        """Return the action for a pose: float32 [2], speed [m/s] and turn rate [rad/s]."""
        news = self._rng.normal(size=2) * math.sqrt(1.0 - self._keep**2)
        self._state = self._keep * self._state + news
        share = min(max(_SPEED_MEAN + _SPEED_SPREAD * self._state[0], 0.0), 1.0)
        turn_rate = _TURN_SPREAD_RAD_S * self._state[1]
        if self._is_free(pose, 0.0):
            self._escape_rad_s = 0.0
        else:
            share, turn_rate = 0.0, self._escape(pose)
        return np.array((share * self._cruise_m_s, turn_rate), np.float32)

    def _escape(self, pose: Pose) -> float:
        """Turn to the free side, and stay with it; by lot where both are free or neither is."""
        if self._escape_rad_s == 0.0:
            left, right = self._is_free(pose, _ASIDE_RAD), self._is_free(pose, -_ASIDE_RAD)
            side = 1.0 if left > right or (left == right and self._rng.random() < 0.5) else -1.0
            self._escape_rad_s = side * _ESCAPE_RAD_S
        return self._escape_rad_s

    def _is_free(self, pose: Pose, aside_rad: float) -> bool:
        heading = heading_of(pose) + aside_rad
        x, y, _ = pose.position
        return all(self._map.lets_pass(x, y, far * math.cos(heading), far * math.sin(heading),
                                       _ROOM_M) for far in (_NEAR_M, _FAR_M))
