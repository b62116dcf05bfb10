"""What a transition looks like; each part that makes memory worth something is one field."""

from __future__ import annotations

from dataclasses import dataclass, replace
import math
from typing import Literal

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.spatial.pose_arrays import POSE_CHANNELS

Lookup = Literal['pose', 'latent', 'once']


@dataclass(frozen=True)
class TransitionConfig:
    """
    What a transition looks like; raises ConfigurationError for a value out of its range.

    memory: False is a model that never looks anything up.
    memory_pose, memory_action: whether each memory also brings its relative pose, its action.
    pointer: whether the output may be a memory's latent, corrected.
    agreement: whether what memories show of the present pose is first compared with what is seen.
    displacement: whether the way is learned from state and memories, else from the action alone.
    carry_state: whether the GRU's state goes on from step to step, else it starts from rest.
    uncertainty: whether it says how wrong it expects to be.
    lookup: how a rollout chooses among a bank: 'pose' at each imagined pose; 'latent' at each
    imagined latent; 'once' by latent at the start.  topk: memories of a choice.
    reach_m: memories farther from the pose of the choice are none [m].
    hidden_dim, attention_dim: widths of the GRU, and of attention and agreement.
    """

    z_dim: int = 32
    action_dim: int = 2
    hidden_dim: int = 192
    attention_dim: int = 128
    attention_heads: int = 4
    memory: bool = True
    memory_pose: bool = True
    memory_action: bool = False
    pointer: bool = True
    agreement: bool = True
    displacement: bool = True
    carry_state: bool = True
    uncertainty: bool = True
    lookup: Lookup = 'pose'
    topk: int = 8
    reach_m: float = 3.0

    def __post_init__(self) -> None:
        for name in ('z_dim', 'action_dim', 'hidden_dim', 'attention_dim', 'attention_heads',
                     'topk', 'reach_m'):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigurationError(f'{name} must be > 0, got {getattr(self, name)}')
        if self.attention_dim % self.attention_heads:
            raise ConfigurationError(
                f'attention_dim must be a multiple of attention_heads ({self.attention_heads}), '
                f'got {self.attention_dim}')
        if self.lookup not in ('pose', 'latent', 'once'):
            raise ConfigurationError(
                f"lookup must be 'pose', 'latent' or 'once', got {self.lookup!r}")

    def plain(self) -> TransitionConfig:
        """Return the bare formula, as wide: latents as keys and values, looked up once."""
        return replace(self, memory_pose=False, memory_action=False, pointer=False,
                       agreement=False, displacement=False, carry_state=False,
                       uncertainty=False, lookup='once')

    @property
    def extra_channels(self) -> int:
        """Numbers that one memory brings beside its latent."""
        return self.memory_pose * POSE_CHANNELS + self.memory_action * self.action_dim
