"""How the streams of a robot become episodes."""

from __future__ import annotations

from dataclasses import dataclass, field
import math
from typing import Literal

from spatial_rag_core.data.collecting.episode_run import RunLabels
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.motion import BodyAxes, check_motion


@dataclass(frozen=True)
class AssemblyConfig:
    """
    How episodes are made.

    rate_hz: steady rate of the frames.  image_size: side of the pictures [px].
    action_source: 'topic' takes the actions that are added, 'motion' the motion so far that the
    poses show, whose axes are pose_axes (see streams/motion.py).
    max_gap_sec: a longer time without a usable frame begins a new episode; in a shorter one the
    nearest frame is repeated, and counted.  max_episode_sec, min_episode_sec: longer ones are
    cut, shorter ones left out.
    """

    rate_hz: float = 20.0
    image_size: int = 64
    action_dim: int = 2
    action_source: Literal['topic', 'motion'] = 'motion'
    pose_axes: BodyAxes = 'body'
    max_gap_sec: float = 0.25
    max_episode_sec: float = 120.0
    min_episode_sec: float = 1.0
    pose_tolerance_sec: float = 0.1
    action_timeout_sec: float = 1.0
    depth_tolerance_sec: float = 0.02
    labels: RunLabels = field(default_factory=RunLabels)

    def __post_init__(self) -> None:
        for name in ('rate_hz', 'max_episode_sec', 'image_size', 'action_dim'):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationError(f'{name} must be > 0, got {getattr(self, name)}')
        for name in ('max_gap_sec', 'min_episode_sec', 'depth_tolerance_sec'):
            if not 0 <= getattr(self, name) < math.inf:
                raise ConfigurationError(f'{name} must be >= 0 s, got {getattr(self, name)}')
        if self.action_source not in ('topic', 'motion'):
            raise ConfigurationError("action_source must be 'topic' or 'motion', got "
                                     f'{self.action_source!r}')
        if self.action_source == 'motion':
            check_motion(self.action_dim, self.pose_axes)

    @property
    def min_frames(self) -> int:
        """Frames of the shortest episode: two at least, for one action leads somewhere."""
        return max(2, math.ceil(self.min_episode_sec * self.rate_hz))

    @property
    def max_frames(self) -> int:
        """Frames of the longest episode."""
        return max(2, round(self.max_episode_sec * self.rate_hz))


def meaning_of_actions(action_source: str) -> dict[str, str]:
    """
    What the recipe of a file tells of actions that are derived from the motion, if any may be.

    Files of before 2026-11-23 do not tell it: theirs are the motion to come.
    """
    return {'derived_actions': 'past motion'} if action_source in ('auto', 'motion') else {}
