from __future__ import annotations

import math
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.transition_config import TransitionConfig

import pytest

from .transitions import PLAIN


@pytest.mark.parametrize(('options', 'message'), [
    ({'z_dim': 0}, 'z_dim must be > 0, got 0'),
    ({'action_dim': -2}, 'action_dim must be > 0, got -2'),
    ({'hidden_dim': 0}, 'hidden_dim must be > 0, got 0'),
    ({'attention_heads': 0}, 'attention_heads must be > 0, got 0'),
    ({'topk': 0}, 'topk must be > 0, got 0'),
    ({'reach_m': -1.0}, r'reach_m must be > 0, got -1\.0'),
    ({'reach_m': math.nan}, 'reach_m must be > 0, got nan'),
    ({'reach_m': math.inf}, 'reach_m must be > 0, got inf'),
    ({'attention_dim': 10, 'attention_heads': 4}, r'multiple of attention_heads \(4\), got 10'),
    ({'lookup': 'never'}, "lookup must be 'pose', 'latent' or 'once', got 'never'"),
])
def test_an_impossible_transition_is_refused_at_birth(
        options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TransitionConfig(**options)


@pytest.mark.parametrize(('options', 'channels'), [
    ({}, 9), ({'memory_action': True}, 9 + 3), (PLAIN, 0),
    ({'memory_pose': False, 'memory_action': True}, 3)])
def test_a_memory_brings_its_pose_and_its_action_beside_its_latent(
        options: dict[str, Any], channels: int) -> None:
    assert TransitionConfig(action_dim=3, **options).extra_channels == channels
