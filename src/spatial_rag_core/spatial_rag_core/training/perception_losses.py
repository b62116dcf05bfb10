"""What a latent must do: show the picture, know the place, and waste no number."""

from __future__ import annotations

import torch
from torch.nn import functional


def picture_error(shown: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Mean squared error of pictures [B, 3, H, W] in 0..1."""
    return (shown - true).square().mean()


def edge_error(shown: torch.Tensor, true: torch.Tensor) -> torch.Tensor:
    """Absolute error of differences between pixels side by side and one above the other."""
    error = shown - true
    return error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()


def place_contrast(z: torch.Tensor, sameness: torch.Tensor, temperature: float) -> torch.Tensor:
    """
    How far the neighbours that latents choose are from those that poses choose.

    z: [B, z_dim].  sameness: [B, B], 0 for what is no neighbour at all.  The cross-entropy of
    InfoNCE with several weighted positives (Khosla et al. 2020, Supervised Contrastive Learning,
    arXiv:2004.11362), on half the mean squared distance, which is what the memory ranks
    latents by.
    """
    squared = z.square().sum(dim=1)
    distance = squared[:, None] + squared[None] - 2.0 * (z @ z.T)
    itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
    score = (-0.5 * distance / (z.shape[1] * temperature)).masked_fill(itself, -torch.inf)
    surprise = -functional.log_softmax(score, dim=1).masked_fill(itself, 0.0)  # [B, B]
    weight = sameness.sum(dim=1)
    of_each = (sameness * surprise).sum(dim=1) / weight.clamp(min=1e-12)
    return of_each.sum() / (weight > 0.0).sum().clamp(min=1)


def shared_variance(z: torch.Tensor) -> torch.Tensor:
    """
    Sum of squared covariances of different numbers, per number, of z [B, z_dim].

    Bardes et al. 2022, VICReg, arXiv:2105.04906; its variance term is the normalisation of z.
    """
    centred = z - z.mean(dim=0)
    covariance = centred.T @ centred / max(1, len(z) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / z.shape[1]
