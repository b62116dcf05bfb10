"""Many steps ahead: at each imagined pose, look up again what was seen there."""

# No `from __future__ import annotations` here: TorchScript wants types, not strings.
from typing import NamedTuple

from spatial_rag_core.models.relative_pose import (
    bank_features,
    moved,
    pose_distances,
    seen_from,
)
from spatial_rag_core.models.transition import Retrieved, Transition
from spatial_rag_core.models.transition_config import TransitionConfig

import torch
from torch import nn


class Bank(NamedTuple):
    """
    Memories that a rollout may choose from.

    z: [B, N, z_dim].  mask: bool [B, N], True for a real memory.  pose: [B, N, 9] as seen from
    the start, see pose_arrays.py.  action: what led there, [B, N, action_dim].
    """

    z: torch.Tensor
    mask: torch.Tensor
    pose: torch.Tensor
    action: torch.Tensor


class Rollout(NamedTuple):
    """
    An imagined future of T steps.

    z: [B, T, z_dim].  position: [B, T, 3] [m] and rotation: [B, T, 3, 3], in the frame of the
    start.  log_variance: [B, T].  chosen: rows of the bank, int64 [B, T, K]; weights: attention
    of each [B, T, K], 0 where there was none.
    """

    z: torch.Tensor
    position: torch.Tensor
    rotation: torch.Tensor
    log_variance: torch.Tensor
    chosen: torch.Tensor
    weights: torch.Tensor


class Imagination(nn.Module):
    """Rolls a transition out over a sequence of actions."""

    def __init__(self, config: TransitionConfig) -> None:
        super().__init__()
        self.transition = Transition(config)
        self.lookup = config.lookup
        self.topk = config.topk
        self.reach_m = config.reach_m

    def forward(self, z: torch.Tensor, actions: torch.Tensor, bank: Bank,
                hidden: torch.Tensor | None = None) -> Rollout:
        """
        Imagine one step for each action.

        z: [B, z_dim].  actions: [B, T, action_dim].  hidden: from Transition.warm_up.
        """
        bank = self._usable(bank)
        features = bank_features(bank.pose)
        position = z.new_zeros(len(z), 3)
        rotation = torch.eye(3, dtype=z.dtype, device=z.device).expand(len(z), 3, 3)
        zs: list[torch.Tensor] = []
        positions: list[torch.Tensor] = []
        rotations: list[torch.Tensor] = []
        log_variances: list[torch.Tensor] = []
        choices: list[torch.Tensor] = []
        weights: list[torch.Tensor] = []
        chosen = torch.zeros(len(z), 0, dtype=torch.int64, device=z.device)
        mask = torch.zeros(len(z), 0, dtype=torch.bool, device=z.device)
        evidence = z.new_zeros(len(z), self.transition.hidden_dim)
        for index in range(actions.shape[1]):
            a = actions[:, index]
            h = self.transition.advance(z, a, hidden)
            foreseen = self.transition.foresee(h, a)
            there, turned = moved(position, rotation, foreseen)
            if index == 0 or self.lookup != 'once':
                chosen, mask = self._choose(bank, features, there, turned, z)
            if index == 0:
                evidence = self.transition.weigh(
                    z, _rows(bank.z, chosen), _rows(bank.pose, chosen), mask)
            step = self.transition.recall(
                z, h, evidence, foreseen, _retrieved(bank, chosen, mask, there, turned))
            position, rotation = moved(position, rotation, step.displacement)
            z, hidden = step.z, step.hidden
            zs.append(z)
            positions.append(position)
            rotations.append(rotation)
            log_variances.append(step.log_variance)
            choices.append(chosen)
            weights.append(step.weights)
        return Rollout(torch.stack(zs, 1), torch.stack(positions, 1), torch.stack(rotations, 1),
                       torch.stack(log_variances, 1), torch.stack(choices, 1),
                       torch.stack(weights, 1))

    def _usable(self, bank: Bank) -> Bank:
        """Zeros where there is no memory, whatever the slots held; nothing for no attention."""
        if self.transition.attention is None:
            return Bank(bank.z[:, :0], bank.mask[:, :0], bank.pose[:, :0], bank.action[:, :0])
        hole = ~bank.mask.unsqueeze(2)
        return Bank(bank.z.masked_fill(hole, 0.0), bank.mask, bank.pose.masked_fill(hole, 0.0),
                    bank.action.masked_fill(hole, 0.0))

    def _choose(self, bank: Bank, features: torch.Tensor, position: torch.Tensor,
                rotation: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the topk best memories, and which of them count, [B, K] each."""
        apart = (bank.pose[:, :, :3] - position.unsqueeze(1)).square().sum(dim=2)
        mask = bank.mask & (apart <= self.reach_m ** 2)
        if self.lookup == 'pose':
            distance = pose_distances(position, rotation, features)
        else:
            distance = (bank.z - z.unsqueeze(1)).square().sum(dim=2)
        k = min(self.topk, bank.z.shape[1])
        distance = distance.masked_fill(~mask, torch.inf)
        chosen = torch.topk(distance, k, dim=1, largest=False).indices
        return chosen, mask.gather(1, chosen)


def _retrieved(bank: Bank, chosen: torch.Tensor, mask: torch.Tensor, position: torch.Tensor,
               rotation: torch.Tensor) -> Retrieved:
    """Rows `chosen` [B, K] of the bank as seen from a pose."""
    return Retrieved(_rows(bank.z, chosen), mask,
                     seen_from(position, rotation, _rows(bank.pose, chosen)),
                     _rows(bank.action, chosen))


def _rows(x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Rows `chosen` [B, K] of x [B, N, C] → [B, K, C]."""
    return x.gather(1, chosen.unsqueeze(2).expand(-1, -1, x.shape[2]))
