"""Controls: what a model is given in place of the robot's own memories."""

from __future__ import annotations

from spatial_rag_core.evaluation.open_loop import BankOf
from spatial_rag_core.models.imagination import Bank
from spatial_rag_core.training.windows import Windows, WindowSet

import numpy as np
from numpy.typing import NDArray
import torch

Rows = NDArray[np.int64]


def no_memory(windows: WindowSet, chosen: Rows, own: Windows) -> Bank:
    """An empty bank."""
    return own.bank._replace(mask=torch.zeros_like(own.bank.mask))


def other_maps_memory(seed: int) -> BankOf:
    """The memories that a robot in another map has around it, as if they were here."""
    def bank(windows: WindowSet, chosen: Rows, own: Windows) -> Bank:
        rng = np.random.default_rng([seed, int(chosen[0])])
        maps = windows.maps
        others = np.array([rng.choice(np.flatnonzero(maps != maps[one])) for one in chosen])
        return windows.batch(chosen, others).bank
    return bank


def shuffled_memory(seed: int) -> BankOf:
    """The own memories with their latents dealt out anew: right places, wrong views."""
    def bank(windows: WindowSet, chosen: Rows, own: Windows) -> Bank:
        generator = torch.Generator().manual_seed(seed + int(chosen[0]))
        lot = torch.rand(own.bank.mask.shape, generator=generator)
        lot = lot.masked_fill(~own.bank.mask, 2.0)  # what is no memory stays behind
        order = lot.argsort(dim=1).unsqueeze(2).expand_as(own.bank.z)
        return own.bank._replace(z=own.bank.z.gather(1, order))
    return bank


def random_memory(seed: int) -> BankOf:
    """Every field of each memory taken from some moment of some map, each from another one."""
    def bank(windows: WindowSet, chosen: Rows, own: Windows) -> Bank:
        rng = np.random.default_rng([seed, int(chosen[0])])
        drawn = [windows.batch(chosen, rng.integers(len(windows), size=len(chosen))).bank
                 for _ in range(3)]
        size = min(part.z.shape[1] for part in drawn)
        mask = torch.stack([part.mask[:, :size] for part in drawn]).all(dim=0)
        return Bank(drawn[0].z[:, :size], mask, drawn[1].pose[:, :size],
                    drawn[2].action[:, :size])
    return bank
