"""Figures of frames in order of time, and how sure they are where neighbours are alike."""

from __future__ import annotations

import math

from spatial_rag_core.evaluation.bootstrap import Interval, REPLICATES

import numpy as np
from numpy.typing import NDArray

LEAST_BLOCKS = 5  # the extremes of 5 hold the truth 15 times in 16, those of 3 only 3 in 4

Numbers = NDArray[np.float64]
Blocks = NDArray[np.int64]
"""[n]: equal for frames that are not independent of each other."""


def interval_note(count: int, of: str) -> str:
    """Tell where the intervals are from, or why there are none; of: what a block holds."""
    blocks = f'{count} block{"s" * (count != 1)} of {of}'
    if count < LEAST_BLOCKS:
        return f'no intervals: {blocks}, it takes {LEAST_BLOCKS}; give a longer recording'
    return f'in brackets: 95 % intervals, bootstrap over {blocks}'


def block_mean(values: Numbers, blocks: Blocks, seed: int = 0) -> Interval:
    """Return the mean of values [n] and its 95 % interval; see block_ratio."""
    return block_ratio(values, np.ones(len(values)), blocks, seed)


def block_ratio(values: Numbers, scales: Numbers, blocks: Blocks, seed: int = 0) -> Interval:
    """
    Return the sum of values [n] by that of scales [n], with its 95 % interval.

    The interval is of a bootstrap over whole blocks; with fewer than LEAST_BLOCKS its ends are
    NaN, and all is NaN where the scales are 0.  Source: Kuensch 1989, The jackknife and the
    bootstrap for general stationary observations, Annals of Statistics 17.
    """
    if not scales.sum() > 0:
        return Interval(math.nan, math.nan, math.nan)
    _, block_of = np.unique(blocks, return_inverse=True)
    sums = np.stack([np.bincount(block_of, weights=part) for part in (values, scales)])  # [2, m]
    ratio = float(values.sum() / scales.sum())
    count = sums.shape[1]
    if count < LEAST_BLOCKS:
        return Interval(ratio, math.nan, math.nan)
    drawn = np.random.default_rng(seed).integers(0, count, (REPLICATES, count))
    above, below = sums[:, drawn].sum(axis=2)
    low, high = np.percentile(above[below > 0] / below[below > 0], (2.5, 97.5))
    return Interval(ratio, float(low), float(high))
