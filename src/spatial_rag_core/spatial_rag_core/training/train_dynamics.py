"""One training of a transition, from windows to a network."""

from __future__ import annotations

from typing import NamedTuple

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.imagination import Imagination
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.training.dynamics import DynamicsModule, fit_dead_reckoning
from spatial_rag_core.training.dynamics_config import DynamicsConfig
from spatial_rag_core.training.fitting import fit, FitFigures, FitOptions, Schedule
from spatial_rag_core.training.window_batches import fixed_batches, TrainingBatches
from spatial_rag_core.training.windows import Windows, WindowSet

import torch
from torch.utils.data import DataLoader, Dataset

_VALIDATION_BATCH = 128


class TrainedDynamics(NamedTuple):
    """A network in evaluation mode, and how its training went."""

    network: Imagination
    figures: FitFigures


def train_dynamics(transition: TransitionConfig, config: DynamicsConfig, windows: WindowSet,
                   validation: WindowSet, seed: int,
                   options: FitOptions | None = None) -> TrainedDynamics:
    """
    Train on `windows`, stop by `validation`, which is of other maps.

    Raises TrainingError for windows of another size than the transition, and see fit.
    """
    for each in (windows, validation):
        _check(each, transition)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = DynamicsModule(transition, config)
        fit_dead_reckoning(module.network, windows)
        batches = DataLoader(TrainingBatches(windows, config, seed), batch_size=None)
        fixed = DataLoader(_Fixed(validation), batch_size=None)
        figures = fit(module, batches, fixed,
                      Schedule(config.training_steps, config.validate_every, config.patience,
                               'valid/relative_error'), options or FitOptions())
    return TrainedDynamics(module.network.eval().requires_grad_(False), figures)


def _check(windows: WindowSet, transition: TransitionConfig) -> None:
    z_dim, action_dim = (getattr(windows.tracks[0], name).shape[1] for name in ('z', 'actions'))
    if (z_dim, action_dim) != (transition.z_dim, transition.action_dim):
        raise TrainingError(
            f'latents of {z_dim} and actions of {action_dim} numbers, the transition takes '
            f'{transition.z_dim} and {transition.action_dim}; set Z_DIM={z_dim} and '
            f'ACTION_DIM={action_dim}')


class _Fixed(Dataset[Windows]):
    """The validation windows, made once."""

    def __init__(self, windows: WindowSet) -> None:
        self._batches = list(fixed_batches(windows, _VALIDATION_BATCH))

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Windows:
        return self._batches[index]
