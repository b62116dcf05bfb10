"""Latents to pictures, for people to look at and for reconstruction losses."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

_CHANNELS = (96, 64, 32, 24, 16, 3)


class Decoder(nn.Module):
    """A seed of image_size/32 pixels a side, doubled five times by transposed convolutions."""

    def __init__(self, z_dim: int, image_size: int) -> None:
        super().__init__()
        self.side = image_size // 32
        self.seed = nn.Linear(z_dim, _CHANNELS[0] * self.side ** 2)
        layers: list[nn.Module] = []
        for channels_in, channels_out in pairwise(_CHANNELS):
            layers += [nn.ReLU(), nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1)]
        self.net = nn.Sequential(*layers, nn.Sigmoid())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map z [B, z_dim] to RGB [B, 3, image_size, image_size] in 0..1."""
        seed = self.seed(z).view(z.shape[0], -1, self.side, self.side)
        rgb: torch.Tensor = self.net(seed)
        return rgb
