"""How recordings become episodes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from spatial_rag_core.data.collecting.assembly_config import AssemblyConfig
from spatial_rag_core.data.collecting.episode_run import RunLabels
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.streams.motion import BodyAxes

ActionSource = Literal['auto', 'topic', 'motion']
PoseSource = Literal['auto', 'topic', 'tf']
DEFAULT_ACTION_DIM = 2


@dataclass(frozen=True)
class CollectConfig:
    """
    How recordings become episodes; see AssemblyConfig for what is not told here.

    remap: recorded topic → name of the contract (see bag_roles).  pose_source 'auto' takes the
    pose topic where there is one, else the transforms from map_frame to base_frame.
    action_source 'auto' takes the action topic where there is one, else the past motion.
    action_dim None: that of the recorded actions, else 2.  map_id None: each recording is a map of
    its own, named as its file.
    """

    remap: Mapping[str, str] = field(default_factory=dict)
    rate_hz: float = 20.0
    image_size: int = 64
    action_dim: int | None = None
    action_source: ActionSource = 'auto'
    pose_axes: BodyAxes = 'body'
    map_id: str | None = None
    robot: str = ''
    max_gap_sec: float = 0.25
    max_episode_sec: float = 120.0
    min_episode_sec: float = 1.0
    with_depth: bool = True
    pose_source: PoseSource = 'auto'
    map_frame: str = 'map'
    base_frame: str = 'base_link'

    def __post_init__(self) -> None:
        if self.pose_source not in ('auto', 'topic', 'tf'):
            raise ConfigurationError("pose_source must be 'auto', 'topic' or 'tf', got "
                                     f'{self.pose_source!r}')
        if self.action_source not in ('auto', 'topic', 'motion'):
            raise ConfigurationError("action_source must be 'auto', 'topic' or 'motion', got "
                                     f'{self.action_source!r}')
        self.assembly(self.action_dim or DEFAULT_ACTION_DIM, 'topic', '')

    def assembly(self, action_dim: int, action_source: Literal['topic', 'motion'],
                 name: str) -> AssemblyConfig:
        """Return how the episodes of a recording of that name are made."""
        return AssemblyConfig(
            self.rate_hz, self.image_size, action_dim, action_source, self.pose_axes,
            self.max_gap_sec, self.max_episode_sec, self.min_episode_sec,
            labels=RunLabels(name if self.map_id is None else self.map_id, self.robot, name))
