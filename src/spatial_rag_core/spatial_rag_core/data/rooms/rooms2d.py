"""A simulated robot that drives through rooms and sees them; deterministic, without ROS."""

from __future__ import annotations

from dataclasses import dataclass
import math

from spatial_rag_core.data.rooms.drive import Drive
from spatial_rag_core.data.rooms.raycast import Raycaster, WALL_HEIGHT_M
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.data.rooms.room_zones import HiddenTraits
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
    slippery_zones, windy_zones, one_way_doors: how many of each; no picture shows them.
    change_seed: which RoomMap.changed of the map; none for the map as drawn.
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
    slippery_zones: int = 3
    windy_zones: int = 3
    one_way_doors: int = 2
    change_seed: int | None = None

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
        _require('slippery_zones', self.slippery_zones, 0, 1000)
        _require('windy_zones', self.windy_zones, 0, 1000)
        _require('one_way_doors', self.one_way_doors, 0, 1000)
        _require('change_seed', self.change_seed or 0, 0, 2**63 - 1)

    def make_map(self) -> RoomMap:
        """Return the map that this configuration describes."""
        hidden = HiddenTraits(self.slippery_zones, self.windy_zones, self.one_way_doors)
        room_map = RoomMap.from_seed(self.seed, self.size_m, hidden)
        return room_map if self.change_seed is None else room_map.changed(self.change_seed)


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
    limits of the configuration; the drive follows with a lag, worse on slippery ground, and the
    wind of the place moves the robot besides.
    """

    def __init__(self, config: Rooms2DConfig | None = None) -> None:
        self.config = config or Rooms2DConfig()
        self.room_map = self.config.make_map()
        self._camera = Raycaster(self.room_map, self.config.image_size_px,
                                 self.config.field_of_view_deg, self.config.camera_height_m,
                                 self.config.far_limit_m)
        self._step_sec = 1.0 / self.config.rate_hz
        self._drive = Drive(self.config.response_sec, self._step_sec, self.config.max_speed_m_s,
                            self.config.max_turn_rate_rad_s)
        self.reset()

    def reset(self, start_seed: int | None = None) -> Observation:
        """
        Return to time 0, at rest: in the first room with heading 0.

        A start_seed draws another start: an open place of any room, and any heading.
        """
        place, self._heading = self.room_map.viewpoints[0, 0], 0.0
        if start_seed is not None:
            rng = np.random.default_rng((start_seed, 3))
            place = rng.choice(self.room_map.viewpoints.reshape(-1, 2))
            self._heading = float(rng.uniform(-math.pi, math.pi))
        self._x, self._y = map(float, place)
        self._drive.stop()
        self._made_good_m_s = 0.0
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
        grip, wind = self.room_map.ground.at(self._x, self._y)
        self._drive.follow(speed, turn_rate, grip)
        self._advance(wind)
        self._steps += 1

    def observe(self) -> Observation:
        """Look from where the robot is."""
        rgb, depth_m = self._camera.render(self._x, self._y, self._heading)
        proprio = np.array((self._made_good_m_s, self._drive.turn_rate), np.float32)
        return Observation(rgb, depth_m, self.pose, proprio, self.time_sec)

    def _advance(self, wind: tuple[float, float]) -> None:
        """Move along the arc's chord, then with the wind; what bars the way costs momentum."""
        drive, step_sec = self._drive, self._step_sec
        turned = drive.turn_rate * step_sec
        forward_x = math.cos(self._heading + 0.5 * turned)
        forward_y = math.sin(self._heading + 0.5 * turned)
        self._heading = math.remainder(self._heading + turned, math.tau)
        made_x, made_y = self._travel(drive.speed * forward_x - drive.slide * forward_y,
                                      drive.speed * forward_y + drive.slide * forward_x)
        drive.speed = made_x * forward_x + made_y * forward_y
        drive.slide = made_y * forward_x - made_x * forward_y
        drift_x, drift_y = self._travel(*wind)
        self._made_good_m_s = drive.speed + drift_x * forward_x + drift_y * forward_y

    def _travel(self, vx: float, vy: float) -> tuple[float, float]:
        """Move at a velocity for one step; return the velocity made good, all [m/s]."""
        if vx == vy == 0.0:
            return 0.0, 0.0
        x, y = self._x, self._y
        # Short moves, so that even a fast robot cannot jump through a wall.
        distance = math.hypot(vx, vy) * self._step_sec
        moves = max(1, math.ceil(distance / (0.5 * self.config.robot_radius_m)))
        for _ in range(moves):
            self._move(vx * self._step_sec / moves, vy * self._step_sec / moves)
        return (self._x - x) / self._step_sec, (self._y - y) / self._step_sec

    def _move(self, dx: float, dy: float) -> None:
        """Move if nothing bars the way, else along one axis, so that walls can be slid along."""
        for step_x, step_y in ((dx, dy), (dx, 0.0), (0.0, dy)):
            if self.room_map.lets_pass(self._x, self._y, step_x, step_y,
                                       self.config.robot_radius_m):
                self._x, self._y = self._x + step_x, self._y + step_y
                return


def _require(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise ConfigurationError(f'{name} must lie between {low} and {high}, got {value}')
