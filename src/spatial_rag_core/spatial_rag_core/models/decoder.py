"""Latents to pictures, for people to look at and for reconstruction losses."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

_CHANNELS = (96, 64, 48, 32)
_BLOCK = 4


class Decoder(nn.Module):
    """
    A seed of image_size/32 pixels a side, doubled three times by transposed convolutions.

    The last convolution paints blocks of 4x4 pixels at once (Shi et al. 2016, arXiv:1609.05158):
    as good as two more doublings, and cheaper to train.
    """

    def __init__(self, z_dim: int, image_size: int) -> None:
        super().__init__()
        self.side = image_size // 32
        self.seed = nn.Linear(z_dim, _CHANNELS[0] * self.side ** 2)
        layers: list[nn.Module] = []
        for channels_in, channels_out in pairwise(_CHANNELS):
            layers += [nn.ReLU(), nn.ConvTranspose2d(channels_in, channels_out, 4, 2, 1)]
        self.net = nn.Sequential(
            *layers, nn.ReLU(), nn.Conv2d(_CHANNELS[-1], 3 * _BLOCK ** 2, 3, 1, 1),
            nn.PixelShuffle(_BLOCK), nn.Sigmoid())

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        """Map z [B, z_dim] to RGB [B, 3, image_size, image_size] in 0..1."""
        seed = self.seed(z).view(z.shape[0], -1, self.side, self.side)
        rgb: torch.Tensor = self.net(seed)
        return rgb
