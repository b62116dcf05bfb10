"""Small transitions and what they are given."""

from __future__ import annotations

from typing import Any

from spatial_rag_core.models.imagination import Bank, Imagination
from spatial_rag_core.models.transition import Transition
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.spatial.pose_arrays import poses_seen_from

import numpy as np
import torch

from ..spatial.naive_poses import random_poses

Z, A, K, B, HIDDEN, HEADS = 6, 2, 5, 3, 16, 2
PLAIN: dict[str, Any] = {
    'memory_pose': False, 'memory_action': False, 'pointer': False, 'agreement': False,
    'displacement': False, 'carry_state': False, 'uncertainty': False, 'lookup': 'once'}
FULL: dict[str, Any] = {'memory_action': True}
VARIANTS: dict[str, dict[str, Any]] = {
    'full': FULL, 'plain': PLAIN, 'no memory': {'memory': False},
    'by latent': {'lookup': 'latent'}, 'once': {'lookup': 'once'},
    'no pose': {'memory_pose': False}, 'no action': {'memory_action': False},
    'no pointer': {'pointer': False}, 'no agreement': {'agreement': False},
    'no displacement': {'displacement': False},
    'from rest': {'carry_state': False}, 'sure': {'uncertainty': False}}


def make(**options: Any) -> Transition:
    return imagination(**options).transition


def imagination(**options: Any) -> Imagination:
    torch.manual_seed(0)
    config = TransitionConfig(**{
        'z_dim': Z, 'action_dim': A, 'hidden_dim': HIDDEN, 'attention_dim': HIDDEN,
        'attention_heads': HEADS, **FULL, **options})
    return Imagination(config).eval().requires_grad_(False)


def poses(batch: int, k: int, seed: int = 0) -> torch.Tensor:
    """Poses within a few metres as seen from the start [B, K, 9]."""
    start = np.array([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    seen = poses_seen_from(start, random_poses(batch * k, seed, spread_m=1.0))
    return torch.from_numpy(seen).view(batch, k, 9)


def inputs(k: int = K, seed: int = 1, batch: int = B) -> dict[str, torch.Tensor]:
    """Arguments of Transition.forward, all but the state."""
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)
    return {'z': draw(batch, Z), 'a': draw(batch, A), 'retrieved': draw(batch, k, Z),
            'mask': torch.ones(batch, k, dtype=torch.bool),
            'memory_pose': poses(batch, k, seed), 'memory_action': draw(batch, k, A)}


def bank_of(given: dict[str, torch.Tensor]) -> Bank:
    return Bank(given['retrieved'], given['mask'], given['memory_pose'], given['memory_action'])


def actions(steps: int, batch: int = B, seed: int = 5) -> torch.Tensor:
    return torch.randn(batch, steps, A, generator=torch.Generator().manual_seed(seed))
