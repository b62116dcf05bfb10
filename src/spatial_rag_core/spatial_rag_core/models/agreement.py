"""Whether memories show what the robot sees where it stands."""

# No `from __future__ import annotations` here: TorchScript wants types, not strings.
import torch
from torch import nn
from torch.nn import functional


class Agreement(nn.Module):
    """
    Compares the present latent with memories of the present pose, as one vector.

    A map that changed, a wrong map and a pose that drifted show themselves before any step is
    imagined. Without memories the vector is learned: nothing is known.
    """

    def __init__(self, z_dim: int, hidden_dim: int, width: int, pose_channels: int) -> None:
        super().__init__()
        self.compare = nn.Sequential(nn.Linear(3 * z_dim + pose_channels, width), nn.ReLU())
        self.score = nn.Linear(width, 1)
        self.nothing = nn.Parameter(torch.zeros(1, 1, width))
        self.out = nn.Linear(width, hidden_dim)

    def forward(self, z: torch.Tensor, latents: torch.Tensor, pose: torch.Tensor,
                mask: torch.Tensor) -> torch.Tensor:
        """
        Return the evidence [B, hidden_dim], to be added to the state that asks the memories.

        z: [B, z_dim].  latents: [B, K, z_dim].  pose: as seen from the present [B, K, 9].
        mask: bool [B, K], True for a real memory; other slots hold finite numbers.
        """
        seen = z.unsqueeze(1).expand_as(latents)
        compared = self.compare(torch.cat([seen, latents, (seen - latents).square(), pose], 2))
        scores = functional.pad(self.score(compared).squeeze(2), [1, 0])  # [B, 1 + K]
        attend = functional.pad(mask, [1, 0], value=True)
        weights = scores.masked_fill(~attend, -torch.inf).softmax(dim=1)
        each = torch.cat([self.nothing.expand(len(z), -1, -1), compared], dim=1)
        evidence: torch.Tensor = self.out((weights.unsqueeze(1) @ each).squeeze(1))
        return evidence
