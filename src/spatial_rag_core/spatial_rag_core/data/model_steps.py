"""From the moments of a recording to the steps of a world model."""

from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.records import Vector

import numpy as np

_TOLERANCE = 0.05


def moments_per_step(rate_hz: float, step_sec: float) -> int:
    """Return rate_hz · step_sec; raises ConfigurationError where that is no whole number."""
    every = round(rate_hz * step_sec)
    if every < 1 or abs(rate_hz * step_sec - every) > _TOLERANCE * every:
        raise ConfigurationError(
            f'{rate_hz:g} moments a second do not make steps of {step_sec:g} s, those of the '
            f'model; collect, or read with --rate-hz, at {max(every, 1) / step_sec:g} Hz')
    return every


def step_actions(actions: Vector, every: int) -> Vector:
    """Return the mean action of the `every` moments from each on, fewer at the end, [T, A]."""
    sums = np.concatenate([np.zeros((1, actions.shape[1])),
                           np.cumsum(actions, axis=0, dtype=np.float64)])
    ends = np.minimum(np.arange(len(actions)) + every, len(actions))
    means = (sums[ends] - sums[:-1]) / (ends - np.arange(len(actions)))[:, None]
    return np.asarray(means, np.float32)
