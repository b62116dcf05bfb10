"""Pictures, and optionally depth and proprioception, to latents."""

from dataclasses import dataclass

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.resnet18 import ResNet18Backbone

import torch
from torch import nn

ARCHITECTURES = ('tiny', 'resnet18')
FEATURE_CHANNELS = 512
IMAGE_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's pictures, RGB in 0..1; published ResNet weights expect it."""
IMAGE_STD = (0.229, 0.224, 0.225)

_POOLED_SIDE = 2
_PROPRIO_CHANNELS = 32


@dataclass(frozen=True)
class EncoderConfig:
    """
    What an encoder looks like; raises ConfigurationError for a value out of its range.

    image_size: side of the square picture [px], a multiple of 32.  proprio_dim: numbers of
    proprioception, 0 for none.
    """

    architecture: str = 'tiny'
    z_dim: int = 32
    image_size: int = 64
    use_depth: bool = False
    proprio_dim: int = 0

    def __post_init__(self) -> None:
        if self.architecture not in ARCHITECTURES:
            raise ConfigurationError(
                f'architecture must be one of {ARCHITECTURES}, got {self.architecture!r}')
        if self.z_dim < 1:
            raise ConfigurationError(f'z_dim must be > 0, got {self.z_dim}')
        if self.image_size < 32 or self.image_size % 32:
            raise ConfigurationError(
                f'image_size must be a positive multiple of 32 px, got {self.image_size}')
        if self.proprio_dim < 0:
            raise ConfigurationError(
                f'proprio_dim must be >= 0 (0: none), got {self.proprio_dim}')


class Encoder(nn.Module):
    """A backbone for RGB, the optional branches, and a head; TinyEncoder and ResNet18Encoder."""

    # No `from __future__ import annotations` here: TorchScript wants types, not strings.
    image_mean: torch.Tensor
    image_std: torch.Tensor

    def __init__(self, config: EncoderConfig, backbone: nn.Module) -> None:
        super().__init__()
        self.register_buffer('image_mean', torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1))
        self.register_buffer('image_std', torch.tensor(IMAGE_STD).view(1, 3, 1, 1))
        self.backbone = backbone
        self.depth_branch = DepthBranch() if config.use_depth else None
        self.proprio_branch = ProprioBranch(config.proprio_dim) if config.proprio_dim else None
        # A 2x2 grid, not one mean: where in the picture a thing stands tells where the robot is.
        self.pool = nn.AdaptiveAvgPool2d(_POOLED_SIDE)
        width = FEATURE_CHANNELS * _POOLED_SIDE ** 2
        if self.proprio_branch is not None:
            width += _PROPRIO_CHANNELS
        self.head = nn.Linear(width, config.z_dim)

    def features(self, rgb: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """
        Map a picture to its feature map [B, 512, H/32, W/32].

        rgb: [B, 3, H, W] in 0..1.  depth: [B, 1, H, W] [m]; 0 or NaN where unknown.
        """
        features: torch.Tensor = self.backbone((rgb - self.image_mean) / self.image_std)
        if self.depth_branch is not None:
            if depth is None:
                depth = torch.zeros_like(rgb[:, :1])
            features = features + self.depth_branch(depth)
        return features

    def pooled(self, rgb: torch.Tensor, depth: torch.Tensor | None = None,
               proprio: torch.Tensor | None = None) -> torch.Tensor:
        """Return what the head sees, [B, width]; arguments as for forward."""
        pooled: torch.Tensor = self.pool(self.features(rgb, depth)).flatten(1)
        if self.proprio_branch is not None:
            pooled = torch.cat([pooled, self.proprio_branch(proprio, rgb)], dim=1)
        return pooled

    def forward(self, rgb: torch.Tensor, depth: torch.Tensor | None = None,
                proprio: torch.Tensor | None = None) -> torch.Tensor:
        """
        Map a picture to its latent [B, z_dim].

        rgb: [B, 3, H, W] in 0..1.  depth: [B, 1, H, W] [m], 0 or NaN where unknown.
        proprio: [B, proprio_dim], a row of NaN where unknown.
        """
        z: torch.Tensor = self.head(self.pooled(rgb, depth, proprio))
        return z


class TinyEncoder(Encoder):
    """
    Five convolutions, 1.5 MB: for a CPU at 20 Hz.

    It begins with blocks of 2x2 pixels as channels, which halves the cost of full resolution.
    """

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, nn.Sequential(
            nn.PixelUnshuffle(2),
            *(_halve(i, o) for i, o in ((12, 32), (32, 64), (64, 128), (128, 128))),
            nn.Conv2d(128, FEATURE_CHANNELS, 1, bias=False),
            nn.BatchNorm2d(FEATURE_CHANNELS), nn.ReLU()))


class ResNet18Encoder(Encoder):
    """ResNet-18 with a projection head; `backbone` takes torchvision's published weights."""

    def __init__(self, config: EncoderConfig) -> None:
        super().__init__(config, ResNet18Backbone())


class DepthBranch(nn.Module):
    """Depth to a map that is added to the picture's features."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            *(_halve(i, o) for i, o in ((2, 8), (8, 16), (16, 32), (32, 64), (64, 64))),
            nn.Conv2d(64, FEATURE_CHANNELS, 1))

    def forward(self, depth: torch.Tensor) -> torch.Tensor:
        """Map depth [B, 1, H, W] [m] to [B, 512, H/32, W/32]."""
        # REP 117 and 118: NaN, 0 and -inf say nothing, +inf says "far"; nearness suits them all.
        valid = depth > 0.0
        nearness = torch.where(valid, 1.0 / (1.0 + depth), 0.0)
        y: torch.Tensor = self.net(torch.cat([nearness, valid.to(nearness.dtype)], dim=1))
        return y


class ProprioBranch(nn.Module):
    """Proprioception, or a flag that says there is none, to a short vector."""

    def __init__(self, proprio_dim: int) -> None:
        super().__init__()
        self.proprio_dim = proprio_dim
        self.net = nn.Sequential(nn.Linear(proprio_dim + 1, _PROPRIO_CHANNELS), nn.ReLU())

    def forward(self, proprio: torch.Tensor | None, rgb: torch.Tensor) -> torch.Tensor:
        """Map proprio [B, proprio_dim], None or rows of NaN where unknown, to [B, 32]."""
        if proprio is None:
            proprio = torch.full([len(rgb), self.proprio_dim], torch.nan, dtype=rgb.dtype,
                                 device=rgb.device)
        known = proprio.isfinite().all(dim=1, keepdim=True)  # [B, 1]
        values = torch.where(known, proprio, 0.0)
        y: torch.Tensor = self.net(torch.cat([values, known.to(values.dtype)], dim=1))
        return y


def _halve(channels_in: int, channels_out: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels_in, channels_out, 3, 2, 1, bias=False),
                         nn.BatchNorm2d(channels_out), nn.ReLU())
