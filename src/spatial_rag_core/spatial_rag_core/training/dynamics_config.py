"""How a transition is trained."""

from __future__ import annotations

from dataclasses import dataclass, field

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.training.map_memory import FenceConfig


@dataclass(frozen=True)
class DynamicsConfig:
    """
    Optimisation of the transition; raises ConfigurationError for a value out of its range.

    horizon: imagined steps of a training window.  history: steps before it that warm up the GRU.
    training_steps, batch_size, learning_rate (highest), weight_decay: of AdamW; the rate rises
    for a tenth of the steps and falls to zero by a cosine.  validate_every: steps between two
    looks at maps not trained on; patience: looks without a better one, then it ends.
    no_memory_share, wrong_map_share: windows whose memories are taken away, or are another map's.
    displacement_weight, uncertainty_weight: of their losses beside the latent's.
    """

    horizon: int = 15
    history: int = 2
    training_steps: int = 4000
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    validate_every: int = 250
    patience: int = 6
    no_memory_share: float = 0.15
    wrong_map_share: float = 0.25
    no_history_share: float = 0.1
    displacement_weight: float = 1.0
    uncertainty_weight: float = 0.05
    fence: FenceConfig = field(default_factory=FenceConfig)

    def __post_init__(self) -> None:
        for name in ('horizon', 'training_steps', 'batch_size', 'learning_rate',
                     'validate_every', 'patience'):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f'{name} must be > 0, got {getattr(self, name)}')
        for name in ('history', 'weight_decay', 'displacement_weight', 'uncertainty_weight'):
            if getattr(self, name) < 0:
                raise ConfigurationError(f'{name} must be >= 0, got {getattr(self, name)}')
        for name in ('no_memory_share', 'wrong_map_share', 'no_history_share'):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ConfigurationError(f'{name} must lie in [0, 1], got {getattr(self, name)}')
        if self.no_memory_share + self.wrong_map_share > 1.0:
            raise ConfigurationError(
                'no_memory_share and wrong_map_share must not exceed 1 together, got '
                f'{self.no_memory_share} and {self.wrong_map_share}')
