"""Sums of squared errors over the windows of a map, from which relative errors are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
import math
from typing import Any

from spatial_rag_core.errors import ConfigurationError

import numpy as np
from numpy.typing import ArrayLike

Sums = Mapping[int, float]
"""Steps ahead → a sum over windows."""


@dataclass(frozen=True)
class GroupSums:
    """
    Sums over the windows of one group of places of one map, by steps ahead.

    error: squared latent error of the prediction.  copy_last: of copying the last latent.
    """

    windows: int
    error: Sums
    copy_last: Sums

    def __post_init__(self) -> None:
        if self.windows < 0:
            raise ConfigurationError(f'windows must be >= 0, got {self.windows}')
        for name in ('error', 'copy_last'):
            _check_sums(name, getattr(self, name))
        if set(self.error) != set(self.copy_last):
            raise ConfigurationError('error and copy_last must have the same steps ahead, got '
                                     f'{[*self.error]}, {[*self.copy_last]}')

    @classmethod
    def of(cls, steps_ahead: Iterable[int], error: ArrayLike, copy_last: ArrayLike) -> GroupSums:
        """Sum arrays [N windows, H steps ahead] of squared errors."""
        steps = [int(step) for step in steps_ahead]

        def summed(values: ArrayLike) -> dict[int, float]:
            total = np.asarray(values, np.float64).reshape(-1, len(steps)).sum(axis=0)
            return dict(zip(steps, total.tolist(), strict=True))
        return cls(len(np.asarray(error)), summed(error), summed(copy_last))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> GroupSums:
        """Read what JSON holds."""
        return cls(int(values['windows']), *(
            {int(step): float(total) for step, total in values[name].items()}
            for name in ('error', 'copy_last')))


@dataclass(frozen=True)
class MapResult:
    """
    One test map: 'all', 'revisited' and 'novel' places, a group may be absent.

    In an AdaptationResult the groups are named after its CONDITIONS.
    """

    map_id: str
    groups: Mapping[str, GroupSums]

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> MapResult:
        """Read what JSON holds."""
        return cls(str(values['map_id']), {str(name): GroupSums.from_values(group)
                                           for name, group in values['groups'].items()})


def _check_sums(name: str, sums: Sums) -> None:
    for step, total in sums.items():
        if step < 1 or not math.isfinite(total) or total < 0:
            raise ConfigurationError(f'{name} must be finite sums >= 0 at steps > 0, got {total} '
                                     f'at step {step}; look for a model that diverged')


def calibration_pairs(predicted: ArrayLike, observed: ArrayLike, groups: int = 10,
                      ) -> tuple[tuple[float, float], ...]:
    """
    Sort predictions by their predicted sigma, and return RMS sigma and RMS error of each group.

    predicted: sigma, observed: error, of any equal shape, for instance [N, z_dim].
    """
    sigma, error = (np.asarray(values, np.float64).ravel() for values in (predicted, observed))
    if len(sigma) != len(error):
        raise ConfigurationError(f'predicted and observed must be as many, got {len(sigma)}, '
                                 f'{len(error)}')
    parts = [part for part in np.array_split(np.argsort(sigma, kind='stable'), groups)
             if len(part)]
    return tuple((float(np.sqrt(np.mean(sigma[part] ** 2))),
                  float(np.sqrt(np.mean(error[part] ** 2)))) for part in parts)
