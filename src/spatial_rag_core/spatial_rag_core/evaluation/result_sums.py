"""Sums of squared errors over the windows of a map, from which relative errors are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
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
    pixel_…: the same of decoded pictures; may be empty.
    """

    windows: int
    error: Sums
    copy_last: Sums
    pixel_error: Sums = field(default_factory=dict)
    pixel_copy_last: Sums = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.windows < 0:
            raise ConfigurationError(f'windows must be >= 0, got {self.windows}')
        for name in ('error', 'copy_last', 'pixel_error', 'pixel_copy_last'):
            _check_sums(name, getattr(self, name))
        for one, other in (('error', 'copy_last'), ('pixel_error', 'pixel_copy_last')):
            if set(getattr(self, one)) != set(getattr(self, other)):
                raise ConfigurationError(f'{one} and {other} must have the same steps ahead, got '
                                         f'{[*getattr(self, one)]}, {[*getattr(self, other)]}')

    @classmethod
    def of(cls, steps_ahead: Iterable[int], error: ArrayLike, copy_last: ArrayLike,
           pixel_error: ArrayLike | None = None, pixel_copy_last: ArrayLike | None = None,
           ) -> GroupSums:
        """Sum arrays [N windows, H steps ahead] of squared errors."""
        steps = [int(step) for step in steps_ahead]

        def summed(values: ArrayLike | None) -> dict[int, float]:
            if values is None:
                return {}
            total = np.asarray(values, np.float64).reshape(-1, len(steps)).sum(axis=0)
            return dict(zip(steps, total.tolist(), strict=True))
        return cls(len(np.asarray(error)), summed(error), summed(copy_last),
                   summed(pixel_error), summed(pixel_copy_last))

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> GroupSums:
        """Read what JSON holds."""
        sums = {name: {int(step): float(total) for step, total in values.get(name, {}).items()}
                for name in ('pixel_error', 'pixel_copy_last')}
        for name in ('error', 'copy_last'):
            sums[name] = {int(step): float(total) for step, total in values[name].items()}
        return cls(int(values['windows']), **sums)


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
