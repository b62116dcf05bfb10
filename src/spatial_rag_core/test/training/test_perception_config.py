from __future__ import annotations

from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.training.perception_config import PerceptionConfig

import pytest


@pytest.mark.parametrize(('options', 'message'), [
    ({'training_steps': 0}, 'training_steps must be > 0, got 0'),
    ({'temperature': -0.1}, 'temperature must be > 0, got -0.1'),
    ({'place_weight': -1.0}, 'place_weight must be >= 0, got -1.0'),
    ({'batch_size': 7}, 'batch_size must be an even number >= 4, got 7'),
    ({'maps_per_batch': 0}, 'maps_per_batch must lie in 1 … 64'),
    ({'batch_size': 8, 'maps_per_batch': 5}, 'maps_per_batch must lie in 1 … 4'),
    ({'drop_inputs': 1.5}, r'drop_inputs must lie in \[0, 1\], got 1.5'),
])
def test_a_value_out_of_range_is_refused_at_birth(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        PerceptionConfig(**options)


def test_few_pictures_are_seen_a_limited_number_of_times() -> None:
    config = PerceptionConfig(training_steps=1000, passes_at_most=10, batch_size=128)
    assert config.steps_for(1280) == 100
    assert config.steps_for(10 ** 6) == 1000
    assert config.steps_for(1) == 1
