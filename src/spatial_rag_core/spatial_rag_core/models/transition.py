"""One step of the world model: latent, action and retrieved memories to the next latent."""

from __future__ import annotations

from dataclasses import dataclass

from spatial_rag_core.errors import ConfigurationError

import torch
from torch import nn
from torch.nn import functional

POSE_CHANNELS = 4
"""A memory's pose relative to the robot: dx, dy [m], sin and cos of the turn."""


@dataclass(frozen=True)
class TransitionConfig:
    """
    What a transition looks like; raises ConfigurationError for a value out of its range.

    memory_pose, memory_action: whether each memory also brings its relative pose, its action.
    """

    z_dim: int = 32
    action_dim: int = 2
    hidden_dim: int = 128
    attention_heads: int = 4
    memory_pose: bool = False
    memory_action: bool = False

    def __post_init__(self) -> None:
        for name in ('z_dim', 'action_dim', 'hidden_dim', 'attention_heads'):
            if getattr(self, name) < 1:
                raise ConfigurationError(f'{name} must be > 0, got {getattr(self, name)}')
        if self.hidden_dim % self.attention_heads:
            raise ConfigurationError(
                f'hidden_dim must be a multiple of attention_heads ({self.attention_heads}), '
                f'got {self.hidden_dim}')

    @property
    def memory_channels(self) -> int:
        """Numbers that one memory brings."""
        return (self.z_dim + self.memory_pose * POSE_CHANNELS
                + self.memory_action * self.action_dim)


class Transition(nn.Module):
    """
    GRU, attention over memories, gate, residual.

    `a = action_proj(a_t); h = gru([z_t ‖ a]); m = attention(q=h, k=retrieved, v=retrieved);
    g = sigmoid(gate([h ‖ m])); z_{t+1} = mlp(g·m + (1-g)·h) + z_t`; the GRU starts from rest.
    """

    def __init__(self, config: TransitionConfig) -> None:
        super().__init__()
        hidden = config.hidden_dim
        self.action_dim = config.action_dim
        self.memory_pose = config.memory_pose
        self.memory_action = config.memory_action
        self.action_proj = nn.Linear(config.action_dim, hidden // 4 or 1)
        self.gru = nn.GRUCell(config.z_dim + (hidden // 4 or 1), hidden)
        self.attention = MemoryAttention(hidden, config.memory_channels, config.attention_heads)
        self.gate = nn.Linear(2 * hidden, hidden)
        self.mlp = nn.Sequential(nn.Linear(hidden, hidden), nn.ReLU(),
                                 nn.Linear(hidden, config.z_dim))

    def forward(self, z: torch.Tensor, a: torch.Tensor, retrieved: torch.Tensor,
                mask: torch.Tensor, memory_pose: torch.Tensor | None = None,
                memory_action: torch.Tensor | None = None) -> torch.Tensor:
        """
        Return the next latent [B, z_dim].

        z: [B, z_dim].  a: [B, action_dim].  retrieved: [B, K, z_dim]; K may be 0.
        mask: bool [B, K], True for a real memory; what other slots hold does not matter.
        memory_pose: [B, K, 4] = dx, dy [m], sin dθ, cos dθ.  memory_action: [B, K, action_dim].
        """
        h = self.gru(torch.cat([z, self.action_proj(a)], dim=1))  # [B, hidden]
        memories = self._memories(retrieved, mask, memory_pose, memory_action)
        m = self.attention(h, memories, mask)  # [B, hidden]
        g = torch.sigmoid(self.gate(torch.cat([h, m], dim=1)))
        z_next: torch.Tensor = self.mlp(g * m + (1.0 - g) * h) + z
        return z_next

    def _memories(self, retrieved: torch.Tensor, mask: torch.Tensor,
                  memory_pose: torch.Tensor | None,
                  memory_action: torch.Tensor | None) -> torch.Tensor:
        parts = [retrieved]
        batch, k = retrieved.shape[0], retrieved.shape[1]
        if self.memory_pose:
            # All zeros is no rotation (sin² + cos² is 1), so it says "pose not known".
            parts.append(retrieved.new_zeros(batch, k, 4) if memory_pose is None
                         else memory_pose)
        if self.memory_action:
            parts.append(retrieved.new_zeros(batch, k, self.action_dim)
                         if memory_action is None else memory_action)
        # Filled, not multiplied: a masked slot may hold NaN.
        return torch.cat(parts, dim=2).masked_fill(~mask.unsqueeze(2), 0.0)


class MemoryAttention(nn.Module):
    """
    Multi-head attention of one query over the memories and one learned null memory.

    The null memory is always there: softmax stays finite without any memory, and the model can
    learn to look away from memories that do not help.
    """

    def __init__(self, hidden_dim: int, memory_channels: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden_dim, hidden_dim)
        self.key = nn.Linear(memory_channels, hidden_dim)
        self.value = nn.Linear(memory_channels, hidden_dim)
        self.out = nn.Linear(hidden_dim, hidden_dim)
        self.null_key = nn.Parameter(0.02 * torch.randn(1, 1, hidden_dim))
        self.null_value = nn.Parameter(torch.zeros(1, 1, hidden_dim))

    def forward(self, h: torch.Tensor, memories: torch.Tensor,
                mask: torch.Tensor) -> torch.Tensor:
        """h: [B, hidden_dim].  memories: [B, K, channels].  mask: [B, K].  → [B, hidden_dim]."""
        null = self.null_key.expand(len(h), -1, -1)
        key = torch.cat([null, self.key(memories)], dim=1)  # [B, 1 + K, hidden_dim]
        null = self.null_value.expand(len(h), -1, -1)
        value = torch.cat([null, self.value(memories)], dim=1)
        attend = functional.pad(mask, [1, 0], value=True)  # [B, 1 + K]
        m = functional.scaled_dot_product_attention(
            self._split(self.query(h).unsqueeze(1)), self._split(key), self._split(value),
            attn_mask=attend[:, None, None, :])  # [B, heads, 1, hidden_dim / heads]
        y: torch.Tensor = self.out(m.flatten(1))
        return y

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        split = x.view(x.shape[0], x.shape[1], self.heads, -1)
        return split.transpose(1, 2)  # [B, heads, n, hidden_dim / heads]
