"""Batches of windows for training and for validation."""

from __future__ import annotations

from collections.abc import Iterator

from spatial_rag_core.training.dynamics_config import DynamicsConfig
from spatial_rag_core.training.windows import Rows, Windows, WindowSet

import numpy as np
import torch
from torch import distributed
from torch.utils.data import IterableDataset


class TrainingBatches(IterableDataset[Windows]):
    """
    Random windows without end, some without memories, some with those of another place.

    Each process of a training on several devices draws its own.
    """

    def __init__(self, windows: WindowSet, config: DynamicsConfig, seed: int) -> None:
        self._windows, self._config, self._seed = windows, config, seed

    def __iter__(self) -> Iterator[Windows]:
        rank = distributed.get_rank() if distributed.is_initialized() else 0
        rng = np.random.default_rng([self._seed, rank])
        while True:
            yield self._draw(rng)

    def _draw(self, rng: np.random.Generator) -> Windows:
        config = self._config
        chosen = rng.integers(len(self._windows), size=config.batch_size)
        lot = rng.random(config.batch_size)
        is_wrong = lot < config.wrong_map_share
        is_none = lot > 1.0 - config.no_memory_share
        others = np.where(is_wrong, self._of_other_maps(chosen, rng), chosen)
        batch = self._windows.batch(chosen, others)
        mask = batch.bank.mask & torch.from_numpy(~is_none)[:, None]
        if rng.random() < config.no_history_share:
            batch = batch._replace(history_z=batch.history_z[:, :0],
                                   history_a=batch.history_a[:, :0])
        return batch._replace(bank=batch.bank._replace(mask=mask))

    def _of_other_maps(self, chosen: Rows, rng: np.random.Generator) -> Rows:
        """
        Return windows of other maps; where there is but one map, ones that begin no later.

        A later one of the same map may remember what the chosen window is to foresee.
        """
        maps = self._windows.maps  # ascending
        first = np.searchsorted(maps, maps[chosen])
        own = np.searchsorted(maps, maps[chosen], side='right') - first
        others = len(maps) - own
        drawn = first + own + rng.integers(np.maximum(others, 1))
        earlier = rng.integers(chosen + 1)
        return np.where(others > 0, drawn % len(maps), earlier)


def fixed_batches(windows: WindowSet, batch_size: int) -> Iterator[Windows]:
    """All windows in order."""
    for start in range(0, len(windows), batch_size):
        yield windows.batch(np.arange(start, min(start + batch_size, len(windows))))
