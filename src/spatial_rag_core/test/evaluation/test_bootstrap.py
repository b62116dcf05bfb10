from __future__ import annotations

from collections.abc import Iterable
import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.bootstrap import ErrorTable, Interval, relative_errors, Sample

import numpy as np
from numpy.typing import NDArray
import pytest

from .synthetic_results import cell, law, MAPS


def table(error: NDArray[np.float64], copy_last: NDArray[np.float64] | None = None,
          seeds: Iterable[int] = (), maps: Iterable[str] = ()) -> ErrorTable:
    rows, columns = error.shape
    return ErrorTable(tuple(seeds) or tuple(range(rows)),
                      tuple(maps) or tuple(f'm{column:02}' for column in range(columns)),
                      error, np.ones_like(error) if copy_last is None else copy_last)


def test_a_table_holds_the_sums_by_seed_and_map() -> None:
    cells = [cell('memory', 8, seed, noise=0.0) for seed in (2, 0)]
    found = ErrorTable.of_cells(cells, 'all', 15)
    assert found.seeds == (0, 2)
    assert len(found.maps) == MAPS
    assert found.error / found.copy_last == pytest.approx(law(-0.10, 8))


def test_a_group_that_no_map_has_makes_an_empty_table() -> None:
    assert ErrorTable.of_cells([cell('memory', 8, 0)], 'elsewhere', 15).seeds == ()
    with pytest.raises(ConfigurationError, match='share 0 seeds'):
        relative_errors([ErrorTable.of_cells([], 'all', 15)])


def test_the_estimate_is_the_mean_over_seeds_of_the_ratio_of_sums() -> None:
    error, copy_last = np.array([[1.0, 3.0], [4.0, 8.0]]), np.array([[2.0, 8.0], [10.0, 20.0]])
    found = relative_errors([table(error, copy_last)])[0]
    assert found.value == pytest.approx((4 / 10 + 12 / 30) / 2)


def test_replicates_are_what_a_plain_loop_over_the_draws_gives() -> None:
    dice = np.random.default_rng(1)
    error, copy_last = dice.uniform(1, 2, (3, 4)), dice.uniform(2, 4, (3, 4))
    found = relative_errors([table(error, copy_last)], replicates=20, seed=5)[0]
    drawn = np.random.default_rng(5)
    by_seed = drawn.multinomial(3, [1 / 3] * 3, 20)
    by_map = drawn.multinomial(4, [1 / 4] * 4, 20)
    for number in range(20):
        seeds, maps = (np.repeat(np.arange(len(one)), one)
                       for one in (by_seed[number], by_map[number]))
        ratios = [error[seed, maps].sum() / copy_last[seed, maps].sum() for seed in seeds]
        assert found.draws[number] == pytest.approx(np.mean(ratios))


def test_the_same_data_give_the_same_interval() -> None:
    error = np.random.default_rng(0).uniform(0, 1, (5, 20))
    first, second = (relative_errors([table(error)])[0].interval() for _ in range(2))
    assert first == second
    assert first != relative_errors([table(error)], seed=1)[0].interval()


def effects(dice: np.random.Generator, seeds: float, maps: float) -> NDArray[np.float64]:
    """Errors whose truth is 1, of 8 seeds on 20 maps."""
    return (1 + seeds * dice.normal(size=(8, 1)) + maps * dice.normal(size=(1, 20))
            + 0.02 * dice.normal(size=(8, 20)))


@pytest.mark.parametrize(('seeds', 'maps'), [(0.05, 0.0), (0.0, 0.1), (0.05, 0.1)])
def test_an_interval_holds_the_truth_about_as_often_as_it_says(seeds: float, maps: float) -> None:
    dice = np.random.default_rng(3)
    inside = 0
    for _ in range(150):
        found = relative_errors([table(effects(dice, seeds, maps))], 400)[0].interval()
        inside += found.low <= 1.0 <= found.high
    assert 0.82 <= inside / 150 <= 1.0  # a percentile interval of 8 seeds is a little narrow


def test_both_levels_count() -> None:
    dice = np.random.default_rng(0)
    widths = [found.high - found.low for found in (
        relative_errors([table(effects(dice, seeds, maps))])[0].interval()
        for seeds, maps in ((0.0, 0.0), (0.2, 0.0), (0.0, 0.4)))]
    assert widths[0] < 0.25 * min(widths[1:])


def test_a_pair_is_told_apart_where_maps_differ_more_than_variants() -> None:
    error = effects(np.random.default_rng(0), 0.05, 0.5)
    worse, better = relative_errors([table(error), table(error - 0.05)])
    gap = (worse - better).interval()
    assert gap.low > 0.04
    assert worse.interval().low < better.interval().estimate
    ratio = (better / worse).interval()
    assert ratio.high < 1.0


def test_variants_are_compared_on_what_both_have() -> None:
    error = np.array([[1.0, 2.0], [3.0, 4.0]])
    wide = table(np.array([[5.0, 1.0, 2.0], [5.0, 3.0, 4.0]]), maps=('a', 'm00', 'm01'))
    first, second = relative_errors([wide, table(error)])
    assert first.value == second.value
    assert np.array_equal(first.draws, second.draws)


def test_a_map_without_the_group_does_not_count() -> None:
    error, copy_last = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[2.0, 0.0], [2.0, 0.0]])
    found = relative_errors([table(error, copy_last)])[0]
    assert found.value == 0.5
    assert np.isnan(found.draws).any()  # a draw of the other map alone
    assert found.interval() == Interval(0.5, 0.5, 0.5)


def test_an_interval_may_end_at_infinity_but_not_between() -> None:
    draws = np.array([0.5] * 90 + [math.inf] * 10)
    assert Sample(0.5, draws).interval() == Interval(0.5, 0.5, math.inf)
    assert math.isnan(Sample(0.5, np.full(3, math.nan)).interval().low)
