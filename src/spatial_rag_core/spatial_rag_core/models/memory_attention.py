"""What one prediction takes out of the memories that it is given."""

# No `from __future__ import annotations` here: TorchScript wants types, not strings.
from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional


class Recollection(NamedTuple):
    """
    What attention found.

    m: [B, hidden_dim].  weights: of the memories, [B, K]; what is missing to 1 went to the null
    memory.  pointed: sum of weighted, corrected latents of memories [B, z_dim].
    """

    m: torch.Tensor
    weights: torch.Tensor
    pointed: torch.Tensor


class MemoryAttention(nn.Module):
    """
    Multi-head attention of one query over the memories and one learned null memory.

    The null memory is always there: softmax stays finite without any memory, and the model can
    learn to look away from memories that do not help.
    """

    def __init__(self, z_dim: int, hidden_dim: int, width: int, extra_channels: int, heads: int,
                 pointer: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden_dim, width)
        self.of_latent = nn.Linear(z_dim, width) if extra_channels else nn.Identity()
        self.of_extra = nn.Linear(extra_channels, width) if extra_channels else None
        self.key = nn.Linear(width if extra_channels else z_dim, width)
        self.value = nn.Linear(width if extra_channels else z_dim, width)
        self.out = nn.Linear(width, hidden_dim)
        self.null_key = nn.Parameter(0.02 * torch.randn(1, 1, width))
        self.null_value = nn.Parameter(torch.zeros(1, 1, width))
        self.correction = nn.Linear(width, z_dim) if pointer else None

    def forward(self, h: torch.Tensor, latents: torch.Tensor, extra: torch.Tensor | None,
                mask: torch.Tensor) -> Recollection:
        """
        h: [B, hidden_dim].  latents: [B, K, z_dim].  extra: [B, K, extra_channels].

        mask: bool [B, K], True for a real memory; other slots hold finite numbers.
        """
        embedded = self.of_latent(latents)
        if self.of_extra is not None and extra is not None:
            embedded = functional.relu(embedded + self.of_extra(extra))
        q = self.query(h)
        weights = self._weights(q, self.key(embedded), mask)  # [B, heads, 1 + K]
        values = self.value(embedded)  # [B, K, width]
        null = self.null_value.expand(len(h), -1, -1)
        m = self.out((weights.unsqueeze(2) @ self._split(torch.cat([null, values], dim=1)))
                     .flatten(1))
        shares = weights.mean(dim=1)[:, 1:]  # [B, K]
        return Recollection(m, shares, self._pointed(q, latents, values, shares))

    def _weights(self, q: torch.Tensor, key: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        key = torch.cat([self.null_key.expand(len(q), -1, -1), key], dim=1)
        split_q = q.view(len(q), self.heads, -1, 1)  # [B, heads, d, 1]
        scores = (self._split(key) @ split_q).squeeze(3) * split_q.shape[2] ** -0.5
        attend = functional.pad(mask, [1, 0], value=True).unsqueeze(1)  # [B, 1, 1 + K]
        weights: torch.Tensor = scores.masked_fill(~attend, -torch.inf).softmax(dim=2)
        return weights

    def _pointed(self, q: torch.Tensor, latents: torch.Tensor, values: torch.Tensor,
                 shares: torch.Tensor) -> torch.Tensor:
        if self.correction is None:
            return latents.new_zeros(len(q), latents.shape[2])
        corrected = latents + self.correction(functional.relu(values + q.unsqueeze(1)))
        pointed: torch.Tensor = (shares.unsqueeze(1) @ corrected).squeeze(1)
        return pointed

    def _split(self, x: torch.Tensor) -> torch.Tensor:
        split = x.view(x.shape[0], x.shape[1], self.heads, -1)
        return split.transpose(1, 2)  # [B, heads, n, width / heads]
