"""With which share of the examples one model reaches what another reaches with all of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.bootstrap import Interval, Numbers, Sample

import numpy as np

_ROUNDING = 1e-12  # of a mean, in units of relative error


@dataclass(frozen=True)
class ExamplesSaved:
    """
    The share of examples that is needed; saved is what is left of one.

    share.estimate is infinite where the target is not reached with any size that was measured,
    so is an end of the interval.  not_reached: the share of replicates without a crossing.
    at_most: the smallest size reaches it already, so the share is an upper bound.
    target: the error that is to be reached.
    """

    share: Interval
    not_reached: float
    at_most: bool
    target: float

    @property
    def reached(self) -> bool:
        """Whether the curve as measured comes down to the target."""
        return math.isfinite(self.share.estimate)

    @property
    def saved(self) -> Interval:
        """1 − share: its low end belongs to the high end of the share."""
        return Interval(1 - self.share.estimate, 1 - self.share.high, 1 - self.share.low)


def examples_saved(sizes: Sequence[float], errors: Sequence[Sample], target: Sample,
                   full_size: float) -> ExamplesSaved:
    """
    Find where a learning curve comes down to the target, over log2 of the examples.

    sizes: examples, ascending, with an error each.  target: the other model's error with
    full_size examples, on the same replicates. The curve is made monotone first (isotonic
    regression), then is linear between its points; it is not continued beyond them.
    """
    if len(sizes) != len(errors) or not len(sizes) or list(sizes) != sorted(set(sizes)):
        raise ConfigurationError(f'sizes must ascend with one error each, got {[*sizes]} and '
                                 f'{len(errors)} errors')
    curves = np.stack([np.concatenate([[one.value], one.draws]) for one in errors], axis=1)
    targets = np.concatenate([[target.value], target.draws])
    log_sizes = np.log2(np.asarray(sizes, np.float64))
    shares = 2.0 ** (crossings(log_sizes, falling(curves), targets) - math.log2(full_size))
    known = shares[1:][~np.isnan(shares[1:])]
    return ExamplesSaved(
        Sample(float(shares[0]), shares[1:]).interval(),
        not_reached=float(np.mean(np.isinf(known))) if len(known) else math.nan,
        at_most=bool(shares[0] <= sizes[0] / full_size * (1 + 1e-12)),
        target=target.value)


def falling(curves: Numbers) -> Numbers:
    """
    Return the nearest curves [B, N] that never rise: isotonic regression, by its min-max form.

    (Robertson, Wright, Dykstra: Order Restricted Statistical Inference, 1988, theorem 1.4.4.)
    """
    count = curves.shape[1]
    total = np.concatenate([np.zeros((len(curves), 1)), np.cumsum(curves, axis=1)], axis=1)
    fitted = np.full_like(curves, np.inf)
    for first in range(count):
        spans = np.arange(1, count - first + 1)
        means = (total[:, first + 1:] - total[:, [first]]) / spans  # of first..last, by last
        best = np.maximum.accumulate(means[:, ::-1], axis=1)[:, ::-1]
        fitted[:, first:] = np.minimum(fitted[:, first:], best)
    return fitted


def crossings(x: Numbers, curves: Numbers, targets: Numbers) -> Numbers:
    """Return where falling curves [B, N] over x come down to targets [B]: inf where never."""
    below = curves <= targets[:, None] + _ROUNDING
    right = np.argmax(below, axis=1)
    left, rows = np.maximum(right - 1, 0), np.arange(len(curves))
    high, low = curves[rows, left], curves[rows, right]
    with np.errstate(invalid='ignore', divide='ignore'):
        way = np.where(high > low, np.minimum((high - targets) / (high - low), 1.0), 0.0)
    found = x[left] + way * (x[right] - x[left])
    found = np.where(below.any(axis=1), np.where(right == 0, x[0], found), np.inf)
    return np.where(np.isnan(curves).any(axis=1) | np.isnan(targets), np.nan, found)
