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

    Keys and values are linear in what is known of a memory, so the one query is brought to the
    memories, and their weighted sum to the values, and not every memory to both: q.(K e) is
    (K'q).e, and the sum of w(V e) is V(sum of w e).  Neither has a bias: that of a key would
    shift all scores but the null memory's, whose key is learned; that of a value is the output's.
    """

    def __init__(self, z_dim: int, hidden_dim: int, width: int, extra_channels: int, heads: int,
                 pointer: bool) -> None:
        super().__init__()
        self.heads = heads
        embed = pointer or extra_channels > 0
        channels = width if embed else z_dim
        self.query = nn.Linear(hidden_dim, width)
        self.of_latent = nn.Linear(z_dim, width) if embed else None
        self.of_extra = nn.Linear(extra_channels, width) if extra_channels else None
        self.key = nn.Linear(channels, width, bias=False)
        self.value = nn.Linear(channels, width, bias=False)
        self.out = nn.Linear(width, hidden_dim)
        self.null_key = nn.Parameter(0.02 * torch.randn(width))
        self.null_value = nn.Parameter(torch.zeros(width))
        self.correction = nn.Linear(width, z_dim) if pointer else None

    def forward(self, h: torch.Tensor, latents: torch.Tensor, extra: torch.Tensor | None,
                mask: torch.Tensor) -> Recollection:
        """
        h: [B, hidden_dim].  latents: [B, K, z_dim].  extra: [B, K, extra_channels].

        mask: bool [B, K], True for a real memory; other slots hold finite numbers.
        """
        known = self._known(latents, extra)  # [B, K, C]
        q = self.query(h)
        weights = self._weights(self._by_head(q), known, mask)  # [B, heads, 1 + K]
        found = weights[:, :, 1:] @ known  # [B, heads, C]
        value = self.value.weight.view(self.heads, -1, known.shape[2])
        values = torch.einsum('bhc,hdc->bhd', found, value)
        null = weights[:, :, :1] * self._by_head(self.null_value)
        shares = weights.mean(dim=1)[:, 1:]  # [B, K]
        return Recollection(self.out((values + null).flatten(1)), shares,
                            self._pointed(q, latents, known, shares))

    def _known(self, latents: torch.Tensor, extra: torch.Tensor | None) -> torch.Tensor:
        known = latents
        if self.of_latent is not None:
            known = self.of_latent(latents)
            if self.of_extra is not None and extra is not None:
                known = known + self.of_extra(extra)
            known = functional.relu(known)
        return known

    def _weights(self, q: torch.Tensor, known: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        key = self.key.weight.view(self.heads, -1, known.shape[2])
        scores = torch.einsum('bhd,hdc->bhc', q, key) @ known.transpose(1, 2)  # [B, heads, K]
        null = (q * self._by_head(self.null_key)).sum(dim=2, keepdim=True)
        scores = torch.cat([null, scores], dim=2) * q.shape[2] ** -0.5
        attend = functional.pad(mask, [1, 0], value=True).unsqueeze(1)  # [B, 1, 1 + K]
        weights: torch.Tensor = scores.masked_fill(~attend, -torch.inf).softmax(dim=2)
        return weights

    def _pointed(self, q: torch.Tensor, latents: torch.Tensor, known: torch.Tensor,
                 shares: torch.Tensor) -> torch.Tensor:
        if self.correction is None:
            return latents.new_zeros(len(q), latents.shape[2])
        corrected = latents + self.correction(functional.relu(known + q.unsqueeze(1)))
        pointed: torch.Tensor = (shares.unsqueeze(1) @ corrected).squeeze(1)
        return pointed

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(-1, self.heads, x.shape[-1] // self.heads)
