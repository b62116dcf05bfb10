"""Predictions without learning: a memory's latent as it is."""

from __future__ import annotations

from spatial_rag_core.evaluation.open_loop import Predictor
from spatial_rag_core.models.imagination import Bank, Imagination, Rollout
from spatial_rag_core.models.relative_pose import bank_features, moved, pose_distances
from spatial_rag_core.training.windows import Windows

import torch

_REACH_M2 = 9.0


def nearest_memory(reckoning: Imagination) -> Predictor:
    """
    The latent of the memory nearest to where the actions lead, else the last latent.

    reckoning: its dead reckoning says where that is; nothing else of it is used.
    """
    def predict(batch: Windows) -> Rollout:
        bank = batch.bank
        features = bank_features(bank.pose)
        position = batch.z.new_zeros(len(batch.z), 3)
        rotation = torch.eye(3).expand(len(batch.z), 3, 3)
        found = []
        for step in range(batch.actions.shape[1]):
            way = reckoning.transition.dead_reckoning(batch.actions[:, step])
            position, rotation = moved(position, rotation, way)
            distance = pose_distances(position, rotation, features)
            found.append(_pick(distance.masked_fill(~bank.mask, torch.inf), bank, batch))
        return _rollout(torch.stack(found, dim=1), batch)
    return predict


def best_memory(batch: Windows) -> Rollout:
    """The memory, or the last latent, that turns out nearest to the truth: a bound."""
    steps = batch.z[:, 1:]  # [B, T, z_dim]
    apart = torch.cdist(steps, batch.bank.z).masked_fill(~batch.bank.mask[:, None], torch.inf)
    best = apart.min(dim=2)
    memories = batch.bank.z.gather(1, best.indices.unsqueeze(2).expand_as(steps))
    last = batch.z[:, :1].expand_as(steps)
    is_better = best.values < (steps - last).norm(dim=2)
    return _rollout(torch.where(is_better.unsqueeze(2), memories, last), batch)


def _pick(distance: torch.Tensor, bank: Bank, batch: Windows) -> torch.Tensor:
    nearest = distance.min(dim=1)
    memory = bank.z[torch.arange(len(bank.z)), nearest.indices]
    return torch.where((nearest.values < _REACH_M2).unsqueeze(1), memory, batch.z[:, 0])


def _rollout(z: torch.Tensor, batch: Windows) -> Rollout:
    """Of latents alone; all else says nothing."""
    size, steps = z.shape[:2]
    return Rollout(z, z.new_zeros(size, steps, 3), torch.eye(3).expand(size, steps, 3, 3),
                   z.new_zeros(size, steps), torch.zeros(size, steps, 0, dtype=torch.int64),
                   z.new_zeros(size, steps, 0))
