"""What the experiment on retrieval does: which models, on how many maps, how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from spatial_rag_core.data.generate_plan import GenerateConfig
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.training.dynamics_config import DynamicsConfig
from spatial_rag_core.training.map_memory import FenceConfig
from spatial_rag_core.training.training_config import TrainingConfig

TURNED: Mapping[str, Mapping[str, Any]] = {
    'no_agreement': {'agreement': False}, 'no_pointer': {'pointer': False},
    'no_displacement': {'displacement': False}, 'no_state': {'carry_state': False},
    'with_action': {'memory_action': True}}
"""The model with memory, one field of its transition turned: off, or on if it is off."""

LONGER = {'none_twice': 2, 'none_four': 4, 'memory_four': 4}
"""Trainings with so many times the steps: when does a model get no better?"""

COMPARED = ('memory', *LONGER, 'none', 'none_long', 'plain', 'pose_only', 'latent_only')
"""Trained variants that every experiment compares."""

CONTROLS_OF: Mapping[str, tuple[str, ...]] = {
    'memory': ('memory_empty', 'memory_wrong_map', 'memory_shuffled', 'memory_random'),
    'memory_four': ('memory_four_empty', 'memory_four_wrong_map')}
"""A model with memory, given other memories than the robot's own."""

CONTROLS = tuple(name for names in CONTROLS_OF.values() for name in names)

UNTRAINED = ('knn', 'oracle')
"""Predictions without a model: a memory's latent as it is."""

EVERYWHERE = ('memory', 'none', *CONTROLS_OF['memory'])

LONG_HISTORY = 12
_HIDDEN_WITHOUT_MEMORY = 278  # as many parameters as with memory, to within 1 %


@dataclass(frozen=True)
class GainConfig:
    """
    The experiment; raises ConfigurationError for a value out of its range.

    sizes: training maps, ascending.  seeds: each draws other maps and other weights.
    horizons: steps ahead.  test_every: moments between two test windows.  tour_steps: moments of
    the drives through a changed map.  ablations: whether each field is tried by turning it.
    """

    sizes: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64, 128)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    horizons: tuple[int, ...] = (1, 5, 15, 50)
    valid_maps: int = 12
    test_maps: int = 20
    test_every: int = 16
    steps_per_drive: int = 900
    tour_steps: int = 900
    perception_steps: int = 400
    dynamics_steps: int = 1000
    adaptation_maps: int = 8
    finetune_steps: tuple[int, ...] = (10, 30, 100, 300)
    finetune_rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3)
    ablations: bool = True
    training: TrainingConfig = field(default_factory=TrainingConfig)
    quick: bool = False

    def __post_init__(self) -> None:
        if list(self.sizes) != sorted(set(self.sizes)) or not self.sizes or self.sizes[0] < 1:
            raise ConfigurationError(f'sizes must ascend from 1 on, got {self.sizes}')
        if not self.seeds:
            raise ConfigurationError('seeds must name at least one')

    @classmethod
    def short(cls) -> GainConfig:
        """Minutes instead of hours, one seed: to see that it runs, and which way it points."""
        return cls(sizes=(4, 16, 64), seeds=(0,), valid_maps=6, test_maps=8,
                   perception_steps=300, dynamics_steps=500, adaptation_maps=4,
                   finetune_steps=(10, 100), finetune_rates=(3e-4, 1e-3), ablations=False,
                   quick=True)

    @property
    def episodes(self) -> GenerateConfig:
        """The data: one drive through each map; test maps are asked about its second half."""
        return GenerateConfig(
            maps=self.sizes[-1], valid_maps=self.valid_maps, test_maps=self.test_maps,
            steps=self.steps_per_drive, with_depth=False)

    @property
    def facts(self) -> dict[str, Any]:
        """What the results depend on beside sizes and seeds, as JSON can say it."""
        facts = asdict(self)
        for name in ('sizes', 'seeds', 'horizons', 'quick'):
            del facts[name]
        return {**facts, 'transitions': {variant: asdict(self.transition(variant))
                                         for variant in self.trained}}

    @property
    def sizes_of(self) -> dict[str, tuple[int, ...]]:
        """Which variants are tried at which sizes: most controls at the largest alone."""
        return {variant: self.sizes if variant in EVERYWHERE else self.sizes[-1:]
                for variant in (*self.trained, *CONTROLS, *UNTRAINED)}

    @property
    def trained(self) -> tuple[str, ...]:
        """Variants with a training of their own."""
        return (*COMPARED, *self.ablated)

    @property
    def ablated(self) -> tuple[str, ...]:
        """Variants that turn one field."""
        return tuple(TURNED) if self.ablations else ()

    @property
    def test_fence(self) -> FenceConfig:
        """Memories for fifty steps: all within reach of the drive."""
        return replace(self.training.dynamics.fence, reach_m=14.0, most=512)

    def transition(self, variant: str) -> TransitionConfig:
        """The structure of a trained variant."""
        full = self.training.transition
        match variant:
            case 'none' | 'none_long' | 'none_twice' | 'none_four':
                return replace(full, memory=False, hidden_dim=_HIDDEN_WITHOUT_MEMORY)
            case 'plain':
                return full.plain()
            case 'pose_only':
                return replace(full, memory_pose=False, memory_action=False, pointer=False,
                               agreement=False)
            case 'latent_only':
                return replace(full, lookup='latent')
        return replace(full, **TURNED.get(variant, {}))

    def dynamics(self, variant: str) -> DynamicsConfig:
        """How a trained variant is trained."""
        steps = self.dynamics_steps * LONGER.get(variant, 1)
        base = replace(self.training.dynamics, training_steps=steps)
        return replace(base, history=LONG_HISTORY) if variant == 'none_long' else base
