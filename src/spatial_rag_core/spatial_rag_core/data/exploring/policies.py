"""Ways to explore a RoomMap; none leaves the ground, so none jumps from place to place."""

from __future__ import annotations

from typing import Protocol

from spatial_rag_core.data.exploring.frontier import FrontierPolicy
from spatial_rag_core.data.exploring.patrol import PatrolPolicy
from spatial_rag_core.data.exploring.random_walk import RandomWalkPolicy
from spatial_rag_core.data.exploring.wander import WanderPolicy
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Pose

import numpy as np
from numpy.typing import NDArray

POLICIES = 'loops', 'frontier', 'patrol', 'random_walk'
"""Names that make_policy takes."""


class Policy(Protocol):
    """Decides from where the robot is; the same poses lead to the same actions."""

    def act(self, pose: Pose) -> NDArray[np.float32]:
        """Return the action for a pose: float32 [2], speed [m/s] and turn rate [rad/s]."""


def make_policy(name: str, room_map: RoomMap, seed: int, cruise_m_s: float = 1.0,
                step_sec: float = 0.2) -> Policy:
    """
    Return a policy by its name; raises ConfigurationError for a name that is none of POLICIES.

    cruise_m_s: speed on the straight [m/s].  step_sec: time from one act to the next [s].
    """
    if name == 'loops':
        return WanderPolicy(room_map, seed, cruise_m_s)
    if name == 'frontier':
        return FrontierPolicy(room_map, seed, cruise_m_s)
    if name == 'patrol':
        return PatrolPolicy(room_map, seed, cruise_m_s)
    if name == 'random_walk':
        return RandomWalkPolicy(room_map, seed, cruise_m_s, step_sec)
    raise ConfigurationError(f'policy must be one of {", ".join(POLICIES)}, got {name!r}')
