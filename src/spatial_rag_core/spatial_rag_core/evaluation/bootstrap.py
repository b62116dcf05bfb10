"""
Intervals of relative errors, resampled over seeds and test maps.

Every seed is measured on the same test maps, so the two are crossed, not nested: each replicate
draws seeds and maps, both with replacement, and a pair of variants is measured on the same draw
(Owen, "The pigeonhole bootstrap", Annals of Applied Statistics 1, 2007).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.result_sums import MapResult
from spatial_rag_core.evaluation.results import CellResult

import numpy as np
from numpy.typing import NDArray

REPLICATES = 4000
LEVEL = 0.95
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """An estimate and the ends of its 95 % interval; an end may be infinite."""

    estimate: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Sample:
    """A statistic of the data as measured, and of each replicate [B]; NaN where it has none."""

    value: float
    draws: Numbers

    def interval(self) -> Interval:
        """Percentiles of the replicates; they are draws themselves, so that infinite ones may."""
        known = self.draws[~np.isnan(self.draws)]
        if not len(known):
            return Interval(self.value, math.nan, math.nan)
        ends = ((1 - LEVEL) / 2, (1 + LEVEL) / 2)
        low, high = np.quantile(known, ends, method='inverted_cdf').tolist()
        return Interval(self.value, low, high)

    def __sub__(self, other: Sample) -> Sample:
        return Sample(self.value - other.value, self.draws - other.draws)

    def __truediv__(self, other: Sample) -> Sample:
        with np.errstate(divide='ignore', invalid='ignore'):
            value = float(np.float64(self.value) / other.value)
            return Sample(value, self.draws / other.draws)

    def __mul__(self, factor: float) -> Sample:
        return Sample(self.value * factor, self.draws * factor)

    def lower(self, other: Sample) -> Sample:
        """Whichever of two is lower as measured, in every replicate."""
        return self if self.value <= other.value else other

    def each(self, function: Callable[[Numbers], Numbers]) -> Sample:
        """Apply a function of arrays to the value and to every replicate."""
        return Sample(float(function(np.array([self.value]))[0]), function(self.draws))


@dataclass(frozen=True, eq=False)
class ErrorTable:
    """Sums of one variant, by seed and map: error and copy_last [S, M], 0 where not measured."""

    seeds: tuple[int, ...]
    maps: tuple[str, ...]
    error: Numbers
    copy_last: Numbers

    @classmethod
    def of(cls, measured: Iterable[tuple[int, Iterable[MapResult]]], group: str, step: int,
           ) -> ErrorTable:
        """Put (seed, results of its maps) side by side, for one group and steps ahead."""
        sums: dict[tuple[int, str], tuple[float, float]] = {}
        for seed, maps in measured:
            for one in maps:
                found = one.groups.get(group)
                if found is None:
                    continue
                if found.copy_last.get(step, 0.0) > 0:
                    sums[seed, one.map_id] = found.error[step], found.copy_last[step]
        seeds, names = sorted({seed for seed, _ in sums}), sorted({name for _, name in sums})
        table = np.zeros((2, len(seeds), len(names)))
        for (seed, name), pair in sums.items():
            table[:, seeds.index(seed), names.index(name)] = pair
        return cls(tuple(seeds), tuple(names), table[0], table[1])

    @classmethod
    def of_cells(cls, cells: Iterable[CellResult], group: str, step: int) -> ErrorTable:
        """Do so with cells of one variant and size."""
        return cls.of(((cell.seed, cell.maps) for cell in cells), group, step)

    def only(self, seeds: Sequence[int], maps: Sequence[str]) -> ErrorTable:
        """Restrict it to seeds and maps that it has."""
        rows = [self.seeds.index(seed) for seed in seeds]
        columns = [self.maps.index(name) for name in maps]
        pick = np.ix_(rows, columns)
        return ErrorTable(tuple(seeds), tuple(maps), self.error[pick], self.copy_last[pick])

    def __len__(self) -> int:
        return len(self.seeds)


def relative_errors(tables: Sequence[ErrorTable], replicates: int = REPLICATES,
                    seed: int = 0) -> list[Sample]:
    """
    Return the relative error of each table, on the seeds and maps that all of them have.

    Relative error: the sum of errors over maps by that of copy-last, averaged over seeds (each
    has latents, and so a scale, of its own). Raises ConfigurationError where they share none.
    """
    seeds = sorted(set.intersection(*(set(table.seeds) for table in tables)))
    maps = sorted(set.intersection(*(set(table.maps) for table in tables)))
    if not seeds or not maps:
        raise ConfigurationError(
            f'{len(tables)} tables share {len(seeds)} seeds and {len(maps)} maps, at least one of '
            'each is needed; run the missing cells')
    drawn = np.random.default_rng(seed)
    weights = [np.concatenate([np.ones((1, n)), drawn.multinomial(n, np.full(n, 1 / n),
                                                                  replicates)])
               for n in (len(seeds), len(maps))]
    return [_relative_error(table.only(seeds, maps), *weights) for table in tables]


def _relative_error(table: ErrorTable, by_seed: Numbers, by_map: Numbers) -> Sample:
    error, copy_last = by_map @ table.error.T, by_map @ table.copy_last.T  # [1 + B, S]
    known = copy_last > 0
    ratio = np.where(known, error, 0.0) / np.where(known, copy_last, 1.0)
    weight = (by_seed * known).sum(axis=1)
    with np.errstate(invalid='ignore', divide='ignore'):
        means = (by_seed * ratio).sum(axis=1) / weight
    return Sample(float(means[0]), means[1:])
