"""Rooms2D behind Gymnasium's interface; importing this module registers it as ENV_ID."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from spatial_rag_core.data.rooms.room_zones import WIND_LIMIT_M_S
from spatial_rag_core.data.rooms.rooms2d import Observation, Rooms2D, Rooms2DConfig
from spatial_rag_core.data.rooms.scene_picture import Scene
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.spatial.heading import heading_of

import gymnasium as gym
from gymnasium import spaces
import numpy as np
from numpy.typing import NDArray

ENV_ID = 'SpatialRag/Rooms2D-v0'
DEFAULT_RATE_HZ = 5.0

_EPISODE_STEPS = 1500  # five minutes
_VISIT_RADIUS_M = 1.0
_ENOUGH = 0.95
_ROUNDING = 1e-3
_OPTIONS = 'map_seed', 'change_seed'

Arrays = dict[str, NDArray[Any]]


class Rooms2DEnv(gym.Env[Arrays, NDArray[np.float32]]):
    """
    A robot that is to get about everywhere in rooms that it does not know.

    Action: float32 [2], forward speed [m/s] and turn rate [rad/s] to aim for.  The default
    configuration drives at 5 Hz and limits both to 1, the range that Gymnasium recommends.
    Observation: rgb, uint8 [size, size, 3]; depth, float32 [size, size, 1] [m]; proprio,
    float32 [2], speed made good forward [m/s] and turn rate [rad/s].
    Reward: share of the map's floor that has come within 1 m of the robot for the first time.
    The episode ends when that is 95 % of it; ENV_ID cuts it after 1500 steps.
    info: pose, float64 [7], x, y, z [m] and quaternion x, y, z, w in the map frame; map_seed;
    time_sec; room, the number of the room, 0 in a door.
    reset takes the options map_seed (else drawn by lot) and change_seed, as Rooms2DConfig.
    """

    metadata: dict[str, Any] = {'render_modes': ['rgb_array'], 'render_fps': DEFAULT_RATE_HZ}  # noqa: RUF012

    def __init__(self, config: Rooms2DConfig | None = None,
                 render_mode: str | None = None) -> None:
        if render_mode not in (None, *self.metadata['render_modes']):
            raise ConfigurationError(
                f"render_mode must be 'rgb_array' or None, got {render_mode!r}")
        self.config = config or Rooms2DConfig(rate_hz=DEFAULT_RATE_HZ, max_turn_rate_rad_s=1.0)
        self.render_mode = render_mode
        self.metadata = {**self.metadata, 'render_fps': self.config.rate_hz}
        self.action_space = _box(self.config.max_speed_m_s, self.config.max_turn_rate_rad_s)
        self.observation_space = _observation_space(self.config)
        self._world: Rooms2D | None = None

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None,
              ) -> tuple[Arrays, dict[str, Any]]:
        """Start at rest in an open place; raises ConfigurationError for an unknown option."""
        super().reset(seed=seed)
        chosen = {'map_seed': int(self.np_random.integers(2**31)),
                  'change_seed': self.config.change_seed, **(options or {})}
        if unknown := sorted(set(chosen) - set(_OPTIONS)):
            raise ConfigurationError(f'reset takes the options {", ".join(_OPTIONS)}, got '
                                     f'{", ".join(unknown)}')
        config = replace(self.config, seed=chosen['map_seed'], change_seed=chosen['change_seed'])
        if self._world is None or self._world.config != config:
            self._world = Rooms2D(config)
        seen = self._world.reset(int(self.np_random.integers(2**31)))
        self._is_new = self._world.room_map.cells > 0
        self._floor_cells = int(self._is_new.sum())
        self._path = [seen.pose.position[:2]]
        self._visit(seen)
        return _arrays(seen), self._info(seen)

    def step(self, action: NDArray[np.float32],
             ) -> tuple[Arrays, float, bool, bool, dict[str, Any]]:
        """Drive for 1 / rate_hz seconds; raises ActionError for an action that is none."""
        seen = self.world.step(action)
        self._path.append(seen.pose.position[:2])
        reward = self._visit(seen)
        is_over = self._is_new.sum() <= (1.0 - _ENOUGH) * self._floor_cells
        return _arrays(seen), reward, bool(is_over), False, self._info(seen)

    def render(self) -> NDArray[np.uint8] | None:
        """Draw the map with what it hides, the robot and its way; None without a render_mode."""
        if self.render_mode is None:
            return None
        scene, pose = Scene(self.world.room_map), self.world.pose
        scene.draw_path(self._path)
        scene.draw_robot((pose.position.x, pose.position.y), heading_of(pose))
        return scene.pixels()

    @property
    def world(self) -> Rooms2D:
        """The world of this episode; raises ConfigurationError before the first reset."""
        if self._world is None:
            raise ConfigurationError('the episode has not begun; call reset() first')
        return self._world

    def _visit(self, seen: Observation) -> float:
        xs, ys = self.world.room_map.cell_centers
        x, y, _ = seen.pose.position
        found = self._is_new & ((xs - x)**2 + (ys - y)**2 <= _VISIT_RADIUS_M**2)
        self._is_new &= ~found
        return float(found.sum()) / self._floor_cells

    def _info(self, seen: Observation) -> dict[str, Any]:
        x, y, _ = seen.pose.position
        return {'pose': np.array((*seen.pose.position, *seen.pose.orientation)),
                'map_seed': self.world.config.seed, 'time_sec': seen.time_sec,
                'room': self.world.room_map.room_at(x, y)}


def _observation_space(config: Rooms2DConfig) -> spaces.Space[Any]:
    size = config.image_size_px
    return spaces.Dict({
        'rgb': spaces.Box(0, 255, (size, size, 3), np.uint8),
        'depth': spaces.Box(0.0, config.far_limit_m, (size, size, 1), np.float32),
        'proprio': _box(config.max_speed_m_s + WIND_LIMIT_M_S + _ROUNDING,
                        config.max_turn_rate_rad_s + _ROUNDING)})


def _box(speed_m_s: float, turn_rate_rad_s: float) -> spaces.Box[np.float32]:
    limits = np.array((speed_m_s, turn_rate_rad_s), np.float32)
    return spaces.Box(-limits, limits, dtype=np.float32)


def _arrays(seen: Observation) -> Arrays:
    return {'rgb': seen.rgb, 'depth': seen.depth_m[:, :, None], 'proprio': seen.proprio}


if ENV_ID not in gym.registry:
    gym.register(ENV_ID, f'{__name__}:{Rooms2DEnv.__name__}', max_episode_steps=_EPISODE_STEPS)
