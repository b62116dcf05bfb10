"""A simulated robot that drives through rooms and sees them; deterministic, without ROS."""

from __future__ import annotations

from dataclasses import dataclass
import math

from spatial_rag_core.data.raycast import Raycaster, WALL_HEIGHT_M
from spatial_rag_core.data.room_map import RoomMap
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import as_action, Pose, Position, Quaternion

import numpy as np
from numpy.typing import ArrayLike, NDArray

ACTION_DIM = 2
PROPRIO_DIM = 2


@dataclass(frozen=True)
class Rooms2DConfig:
    """
    A robot and its world; raises ConfigurationError for a value out of its range.

    seed: draws the map.  size_m: side of the square map.
    rate_hz: steps per simulated second.  response_sec: time constant of the drive.
    far_limit_m: the depth picture shows nothing farther than this.
    """

    seed: int = 0
    size_m: float = 16.0
    image_size_px: int = 64
    field_of_view_deg: float = 90.0
    camera_height_m: float = 1.0
    far_limit_m: float = 20.0
    rate_hz: float = 20.0
    robot_radius_m: float = 0.2
    max_speed_m_s: float = 1.0
    max_turn_rate_rad_s: float = 2.0
    response_sec: float = 0.2

    def __post_init__(self) -> None:
        _require('seed', self.seed, 0, 2**63 - 1)
        _require('size_m', self.size_m, 8.0, 64.0)
        _require('image_size_px', self.image_size_px, 8, 1024)
        _require('field_of_view_deg', self.field_of_view_deg, 10.0, 150.0)
        _require('camera_height_m', self.camera_height_m, 0.1, WALL_HEIGHT_M - 0.1)
        _require('far_limit_m', self.far_limit_m, 1.0, 1000.0)
        _require('rate_hz', self.rate_hz, 1.0, 1000.0)
        _require('robot_radius_m', self.robot_radius_m, 0.05, 0.4)
        _require('max_speed_m_s', self.max_speed_m_s, 0.01, 10.0)
        _require('max_turn_rate_rad_s', self.max_turn_rate_rad_s, 0.01, 10.0)
        _require('response_sec', self.response_sec, 0.0, 10.0)


@dataclass(frozen=True, eq=False)
class Observation:
    """
    What the robot perceives at one moment.

    rgb: uint8 [size, size, 3].  depth_m: distance along the optical axis of the same pixels,
    float32 [size, size] [m], floor and ceiling included, at most far_limit_m.
    pose: in the map frame, z = 0; x is forward at heading 0, turns to the left are positive.
    proprio: float32 [2]: speed made good forward [m/s], turn rate [rad/s].
    time_sec: simulated time since the start [s].
    """

    rgb: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    pose: Pose
    proprio: NDArray[np.float32]
    time_sec: float


class Rooms2D:
    """
    A disc-shaped robot with a camera in a RoomMap.

    An action is float32 [2]: forward speed [m/s] and turn rate [rad/s] to aim for, cut to the
    limits of the configuration; the drive follows with a first-order lag.
    """

    def __init__(self, config: Rooms2DConfig | None = None) -> None:
        self.config = config or Rooms2DConfig()
        self.room_map = RoomMap.from_seed(self.config.seed, self.config.size_m)
        self._camera = Raycaster(self.room_map, self.config.image_size_px,
                                 self.config.field_of_view_deg, self.config.camera_height_m,
                                 self.config.far_limit_m)
        lag = self.config.response_sec * self.config.rate_hz
        self._follow = 1.0 - math.exp(-1.0 / lag) if lag > 0 else 1.0
        self.reset()

    def reset(self) -> Observation:
        """Return to the start: at rest in the first room, at time 0."""
        self._x, self._y = map(float, self.room_map.viewpoints[0, 0])
        self._heading = self._speed = self._turn_rate = 0.0
        self._steps = 0
        return self.observe()

    @property
    def pose(self) -> Pose:
        """Where the robot is, in the map frame."""
        half = self._heading / 2
        return Pose(Position(self._x, self._y),
                    Quaternion(0.0, 0.0, math.sin(half), math.cos(half)))

    @property
    def time_sec(self) -> float:
        """Simulated time since the start [s]."""
        return self._steps / self.config.rate_hz

    def step(self, action: ArrayLike) -> Observation:
        """Drive for 1 / rate_hz seconds and look; raises ActionError as as_action does."""
        self.advance(action)
        return self.observe()

    def advance(self, action: ArrayLike) -> None:
        """Drive for 1 / rate_hz seconds without looking; raises ActionError."""
        speed, turn_rate = as_action(action, ACTION_DIM).tolist()
        limits = self.config.max_speed_m_s, self.config.max_turn_rate_rad_s
        self._speed += (_cut(speed, limits[0]) - self._speed) * self._follow
        self._turn_rate += (_cut(turn_rate, limits[1]) - self._turn_rate) * self._follow
        self._drive(1.0 / self.config.rate_hz)
        self._steps += 1

    def observe(self) -> Observation:
        """Look from where the robot is."""
        rgb, depth_m = self._camera.render(self._x, self._y, self._heading)
        proprio = np.array((self._speed, self._turn_rate), np.float32)
        return Observation(rgb, depth_m, self.pose, proprio, self.time_sec)

    def _drive(self, duration_sec: float) -> None:
        """Move along the arc's chord; a wall takes away the part of the motion that it bars."""
        middle = self._heading + 0.5 * self._turn_rate * duration_sec
        self._heading = math.remainder(self._heading + self._turn_rate * duration_sec, math.tau)
        distance = self._speed * duration_sec
        forward = math.cos(middle), math.sin(middle)
        before = self._x, self._y
        # Short moves, so that even a fast robot cannot jump through a wall.
        moves = max(1, math.ceil(abs(distance) / (0.5 * self.config.robot_radius_m)))
        for _ in range(moves):
            self._move(distance * forward[0] / moves, distance * forward[1] / moves)
        moved = self._x - before[0], self._y - before[1]
        self._speed = (moved[0] * forward[0] + moved[1] * forward[1]) / duration_sec

    def _move(self, dx: float, dy: float) -> None:
        radius_m = self.config.robot_radius_m
        if self.room_map.is_clear(self._x + dx, self._y + dy, radius_m):
            self._x, self._y = self._x + dx, self._y + dy
        elif self.room_map.is_clear(self._x + dx, self._y, radius_m):
            self._x += dx
        elif self.room_map.is_clear(self._x, self._y + dy, radius_m):
            self._y += dy


def _cut(value: float, limit: float) -> float:
    return max(-limit, min(limit, value))


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f'{name} must lie between {low} and {high}, got {value}')
