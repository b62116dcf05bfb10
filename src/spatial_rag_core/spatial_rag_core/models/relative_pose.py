"""Poses of memories as a network sees them (see pose_arrays.py), and as the robot moves."""

from __future__ import annotations

import torch

DISPLACEMENT_CHANNELS = 6
"""Translation in the robot's frame [m] (3), rotation vector [rad] (3)."""


def rotation_of(rotation_vector: torch.Tensor) -> torch.Tensor:
    """Rotation matrices [B, 3, 3] of axis times angle [rad] [B, 3], by Rodrigues' formula."""
    squared = (rotation_vector * rotation_vector).sum(dim=1)  # [B]
    is_tiny = squared < 1e-8
    angle = torch.where(is_tiny, torch.ones_like(squared), squared).sqrt()
    # Near zero the series, as 0/0 has no gradient; and 1 - cos(angle) would lose its digits.
    along = torch.where(is_tiny, 1.0 - squared / 6.0, torch.sin(angle) / angle)
    half = torch.sin(0.5 * angle) / angle
    across = torch.where(is_tiny, 0.5 - squared / 24.0, 2.0 * half * half)
    x, y, z = rotation_vector.unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    eye = torch.eye(3, dtype=rotation_vector.dtype, device=rotation_vector.device)
    return eye + along[:, None, None] * cross + across[:, None, None] * (cross @ cross)


def moved(position: torch.Tensor, rotation: torch.Tensor, displacement: torch.Tensor,
          ) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Pose after a displacement [B, 6] in the robot's own frame.

    position: [B, 3] [m]; rotation: [B, 3, 3], robot to where it started.
    """
    step = (rotation @ displacement[:, :3].unsqueeze(2)).squeeze(2)
    return position + step, rotation @ rotation_of(displacement[:, 3:])


def seen_from(position: torch.Tensor, rotation: torch.Tensor, poses: torch.Tensor) -> torch.Tensor:
    """Poses [B, K, 9] given from the start, as seen from a pose; rows of zeros stay zeros."""
    known = (poses[:, :, 3:] != 0.0).any(dim=2, keepdim=True)
    turned = (poses[:, :, :3] - position.unsqueeze(1)) @ rotation  # each row: R^T (t - p)
    first, second = poses[:, :, 3:6] @ rotation, poses[:, :, 6:] @ rotation
    return torch.cat([turned, first, second], dim=2).masked_fill(~known, 0.0)


def bank_features(poses: torch.Tensor) -> torch.Tensor:
    """What pose_distances reads, once for each bank [B, N, 9] → [B, N, 13]."""
    translation, first, second = poses[:, :, :3], poses[:, :, 3:6], poses[:, :, 6:]
    third = torch.cross(first, second, dim=2)
    squared = (translation * translation).sum(dim=2, keepdim=True)
    return torch.cat([translation, first, second, third, squared], dim=2)


def pose_distances(position: torch.Tensor, rotation: torch.Tensor, features: torch.Tensor,
                   ) -> torch.Tensor:
    """
    |dp|^2 + 3 (1 - cos angle) [m^2] between a pose and each of a bank's, [B, N].

    As a query that ranks by pose, see MemoryQuery.
    """
    # cos angle = (trace(R^T R_i) - 1) / 2, and the trace is the sum of products of the columns.
    columns = rotation.transpose(1, 2).flatten(1)  # [B, 9]
    ones = torch.ones_like(position[:, :1])
    weights = torch.cat([-2.0 * position, -1.5 * columns, ones], dim=1)
    constant = (position * position).sum(dim=1, keepdim=True) + 4.5
    return (features @ weights.unsqueeze(2)).squeeze(2) + constant
