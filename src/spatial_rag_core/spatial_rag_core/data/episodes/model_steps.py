"""From the moments of a recording to the steps of a world model."""

from __future__ import annotations

import math

from spatial_rag_core.data.episodes.episode import Episode
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
            f'model; {_remedy(math.floor(rate_hz * step_sec) / step_sec, 1.0 / step_sec)}')
    return every


def _remedy(fitting_hz: float, least_hz: float) -> str:
    if fitting_hz < least_hz:
        return f'it takes {least_hz:g} or more; record faster'
    return (f'read or collect recordings with --rate-hz {fitting_hz:g}, give a folder pictures '
            f'at {fitting_hz:g} Hz')


def step_actions(episode: Episode, every: int) -> Vector:
    """
    Return the action of a step of `every` moments as it stands at each moment, float32 [T, A].

    Commands: the mean of those from the moment on, fewer at the end.  Past motion: the mean over
    the step that ended at the moment; a robot knows no more.  At the beginning it is the mean of
    fewer, and none but the first moment takes the first action, which may be unknown.
    """
    moments, actions = np.arange(len(episode)), episode.actions
    sums = np.concatenate([np.zeros((1, actions.shape[1])),
                           np.cumsum(actions, axis=0, dtype=np.float64)])
    if episode.actions_from == 'past motion':
        starts, ends = np.minimum(np.maximum(moments + 1 - every, 1), moments), moments + 1
    else:
        starts, ends = moments, np.minimum(moments + every, len(moments))
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts)[:, None], np.float32)
