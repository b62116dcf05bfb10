"""One step of the world model: latent, action and retrieved memories to the next latent."""

# No `from __future__ import annotations` here: TorchScript wants types, not strings.
from typing import NamedTuple

from spatial_rag_core.models.agreement import Agreement
from spatial_rag_core.models.memory_attention import MemoryAttention
from spatial_rag_core.models.relative_pose import (
    DISPLACEMENT_CHANNELS,
    rotation_of,
    seen_from,
)
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.spatial.pose_arrays import POSE_CHANNELS

import torch
from torch import nn


class Retrieved(NamedTuple):
    """
    K memories for one step; K may be 0.

    z: [B, K, z_dim].  mask: bool [B, K], True for a real memory; other slots hold finite numbers.
    pose: as seen from where the step leads [B, K, 9].  action: what led there [B, K, action_dim].
    """

    z: torch.Tensor
    mask: torch.Tensor
    pose: torch.Tensor
    action: torch.Tensor | None


class Step(NamedTuple):
    """
    One imagined step.

    z: next latents [B, z_dim].  hidden: GRU state [B, hidden_dim].  displacement: to the next
    pose, in the frame of the one before, [B, 6] (m, rad).  log_variance: of the latent's error,
    mean over its numbers, [B].  weights: attention of the memories [B, K].
    """

    z: torch.Tensor
    hidden: torch.Tensor
    displacement: torch.Tensor
    log_variance: torch.Tensor
    weights: torch.Tensor


class Transition(nn.Module):
    """
    GRU, attention over memories, gate, residual; then what makes memory worth its place.

    `a = action_proj(a_t); h = gru([z_t ‖ a]); m = attention(q=h, k=retrieved, v=retrieved);
    g = sigmoid(gate([h ‖ m])); z_{t+1} = mlp(g·m + (1-g)·h) + z_t`. With config.pointer, of this
    and of what the memories show where the robot will be, each gets a learned share.
    """

    def __init__(self, config: TransitionConfig) -> None:
        super().__init__()
        hidden, z_dim, action_dim = config.hidden_dim, config.z_dim, config.action_dim
        self.hidden_dim = hidden
        self.action_dim = action_dim
        self.reach_m = config.reach_m
        self.memory_pose = config.memory_pose
        self.memory_action = config.memory_action
        self.carry_state = config.carry_state
        self.action_proj = nn.Linear(action_dim, hidden // 4 or 1)
        self.gru = nn.GRUCell(z_dim + (hidden // 4 or 1), hidden)
        width = config.attention_dim
        self.attention = MemoryAttention(
            z_dim, hidden, width, config.extra_channels, config.attention_heads,
            config.pointer) if config.memory else None
        self.agreement = Agreement(z_dim, hidden, width, POSE_CHANNELS) if (
            config.memory and config.agreement) else None
        self.gate = nn.Linear(2 * hidden, hidden) if config.memory else None
        self.mlp = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, z_dim))
        self.point = nn.Linear(hidden, 1) if config.memory and config.pointer else None
        self.dead_reckoning = nn.Linear(action_dim, DISPLACEMENT_CHANNELS)
        self.foreseen = nn.Linear(hidden, DISPLACEMENT_CHANNELS) if config.displacement else None
        self.displacement = nn.Linear(hidden, DISPLACEMENT_CHANNELS) if (
            config.displacement) else None
        self.log_variance = nn.Sequential(nn.Linear(hidden + 1, 32), nn.ReLU(),
                                          nn.Linear(32, 1)) if config.uncertainty else None

    def warm_up(self, history_z: torch.Tensor, history_a: torch.Tensor) -> torch.Tensor:
        """GRU state after C latents [B, C, z_dim] and their actions [B, C, action_dim]."""
        hidden = history_z.new_zeros(len(history_z), self.hidden_dim)
        if self.carry_state:
            for index in range(history_z.shape[1]):
                hidden = self.advance(history_z[:, index], history_a[:, index], hidden)
        return hidden

    def forward(self, z: torch.Tensor, a: torch.Tensor, retrieved: torch.Tensor,
                mask: torch.Tensor, memory_pose: torch.Tensor | None = None,
                memory_action: torch.Tensor | None = None,
                hidden: torch.Tensor | None = None) -> Step:
        """
        Imagine one step.

        z: [B, z_dim].  a: [B, action_dim].  retrieved: [B, K, z_dim]; K may be 0.
        mask: bool [B, K], True for a real memory; what other slots hold does not matter.
        memory_pose: [B, K, 9], as seen from the robot now, see pose_arrays.py; a model that
        reads poses does not look beyond reach_m of where the step leads, as in a rollout.
        memory_action: [B, K, action_dim].  hidden: [B, hidden_dim], None: at rest.
        """
        h = self.advance(z, a, hidden)
        foreseen = self.foresee(h, a)
        # Filled, not multiplied: a masked slot may hold NaN.
        latents = retrieved.masked_fill(~mask.unsqueeze(2), 0.0)
        if memory_pose is None:
            memory_pose = latents.new_zeros(latents.shape[0], latents.shape[1], 9)
        memory_pose = memory_pose.masked_fill(~mask.unsqueeze(2), 0.0)
        there = seen_from(foreseen[:, :3], rotation_of(foreseen[:, 3:]), memory_pose)
        if self.memory_pose:
            mask = mask & (there[:, :, :3].square().sum(dim=2) <= self.reach_m ** 2)
        evidence = self.weigh(z, latents, memory_pose, mask)
        if memory_action is not None:
            memory_action = memory_action.masked_fill(~mask.unsqueeze(2), 0.0)
        return self.recall(z, h, evidence, foreseen,
                           Retrieved(latents, mask, there, memory_action))

    def advance(self, z: torch.Tensor, a: torch.Tensor,
                hidden: torch.Tensor | None) -> torch.Tensor:
        """GRU state after one more moment [B, hidden_dim]; arguments as for forward."""
        if not self.carry_state:
            hidden = None
        h: torch.Tensor = self.gru(torch.cat([z, self.action_proj(a)], dim=1), hidden)
        return h

    def foresee(self, h: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        """Where the action leads, before any memory is looked at, [B, 6]."""
        displacement: torch.Tensor = self.dead_reckoning(a)
        if self.foreseen is not None:
            displacement = displacement + self.foreseen(h)
        return displacement

    def weigh(self, z: torch.Tensor, latents: torch.Tensor, memory_pose: torch.Tensor,
              mask: torch.Tensor) -> torch.Tensor:
        """How far memories agree with the present latent, [B, hidden_dim]; see Agreement."""
        if self.agreement is None:
            return z.new_zeros(len(z), self.hidden_dim)
        if not self.memory_pose:
            memory_pose = torch.zeros_like(memory_pose)
        evidence: torch.Tensor = self.agreement(z, latents, memory_pose, mask)
        return evidence

    def recall(self, z: torch.Tensor, h: torch.Tensor, evidence: torch.Tensor,
               foreseen: torch.Tensor, retrieved: Retrieved) -> Step:
        """Finish a step that has got as far as h; evidence from weigh, foreseen from foresee."""
        fused, weights = h, torch.zeros_like(retrieved.mask, dtype=h.dtype)
        pointed = torch.zeros_like(z)
        if self.attention is not None and self.gate is not None:
            asking = h + evidence
            found = self.attention(asking, retrieved.z, self._extra(retrieved), retrieved.mask)
            g = torch.sigmoid(self.gate(torch.cat([asking, found.m], dim=1)))
            fused, weights, pointed = g * found.m + (1.0 - g) * h, found.weights, found.pointed
        z_next = self.mlp(fused) + z
        if self.point is not None:
            share = torch.sigmoid(self.point(fused))  # [B, 1]
            remembered = weights.sum(dim=1, keepdim=True)
            z_next = (1.0 - share * remembered) * z_next + share * pointed
        displacement = foreseen
        if self.displacement is not None:
            displacement = displacement + self.displacement(fused)
        return Step(z_next, h, displacement, self._log_variance(fused, weights), weights)

    def _log_variance(self, fused: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        if self.log_variance is None:
            return fused.new_zeros(len(fused))
        seen = torch.cat([fused, weights.sum(dim=1, keepdim=True)], dim=1)
        y: torch.Tensor = self.log_variance(seen.detach()).squeeze(1)
        return y

    def _extra(self, retrieved: Retrieved) -> torch.Tensor | None:
        parts: list[torch.Tensor] = []
        z, action = retrieved.z, retrieved.action
        if self.memory_pose:
            parts.append(retrieved.pose)
        if self.memory_action:
            parts.append(z.new_zeros(z.shape[0], z.shape[1], self.action_dim)
                         if action is None else action)
        return torch.cat(parts, dim=2) if len(parts) > 0 else None
