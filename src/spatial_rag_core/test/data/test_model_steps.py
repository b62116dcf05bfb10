from __future__ import annotations

from spatial_rag_core.data.model_steps import moments_per_step, step_actions
from spatial_rag_core.errors import ConfigurationError

import numpy as np
import pytest


def test_a_step_of_many_moments_takes_the_mean_of_their_actions() -> None:
    actions = np.random.default_rng(0).normal(size=(11, 2)).astype(np.float32)
    expected = [actions[moment:moment + 4].mean(axis=0) for moment in range(11)]
    np.testing.assert_allclose(step_actions(actions, 4), expected, atol=1e-6)
    np.testing.assert_array_equal(step_actions(actions, 1), actions)


@pytest.mark.parametrize(('rate_hz', 'step_sec', 'moments'), [
    (5.0, 0.2, 1), (20.0, 0.2, 4), (29.97, 0.2, 6), (10.0, 1.0, 10)])
def test_a_step_is_a_whole_number_of_moments(rate_hz: float, step_sec: float,
                                             moments: int) -> None:
    assert moments_per_step(rate_hz, step_sec) == moments


@pytest.mark.parametrize(('rate_hz', 'remedy'), [(12.0, 'at 10 Hz'), (1.0, 'at 5 Hz')])
def test_a_rate_that_does_not_divide_the_step_names_one_that_does(rate_hz: float,
                                                                  remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=f'{rate_hz:g} moments a second .* {remedy}'):
        moments_per_step(rate_hz, 0.2)
