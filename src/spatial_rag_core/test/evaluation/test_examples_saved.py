from __future__ import annotations

import math

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.bootstrap import ErrorTable, relative_errors, Sample
from spatial_rag_core.evaluation.examples_saved import crossings, examples_saved, falling

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
from numpy.typing import NDArray
import pytest

from .synthetic_results import cell, SEEDS, SIZES


def sample(value: float, draws: int = 50, noise: float = 0.0, seed: int = 0) -> Sample:
    return Sample(value, value + noise * np.random.default_rng(seed).normal(size=draws))


def line(saved_doublings: float, noise: float = 0.0) -> tuple[list[Sample], Sample]:
    """Memory's curve and the target, where memory is so many doublings ahead."""
    errors = [sample(0.4 + 0.05 * (math.log2(SIZES[-1] / size) - saved_doublings), 500, noise,
                     size) for size in SIZES]
    return errors, sample(0.4, 500, noise, 999)


@pytest.mark.parametrize('doublings', [0.0, 0.5, 1.0, 2.0, 2.75, 5.0])
def test_a_curve_of_known_lead_saves_what_its_lead_says(doublings: float) -> None:
    found = examples_saved(SIZES, *line(doublings), SIZES[-1])
    assert found.share.estimate == pytest.approx(2 ** -doublings)
    assert found.saved.low == pytest.approx(found.saved.high) == pytest.approx(
        1 - 2 ** -doublings)
    assert (found.reached, found.at_most, found.not_reached) == (True, False, 0.0)


def test_noise_widens_the_interval_about_the_truth() -> None:
    quiet, loud = (examples_saved(SIZES, *line(2.0, noise), SIZES[-1]).saved
                   for noise in (0.005, 0.02))
    assert quiet.low < 0.75 < quiet.high
    assert loud.high - loud.low > 2 * (quiet.high - quiet.low)


def test_a_curve_that_never_comes_down_is_not_given_a_number() -> None:
    found = examples_saved(SIZES, *line(-1.0), SIZES[-1])
    assert not found.reached
    assert found.not_reached == 1.0
    assert found.saved.estimate == found.saved.low == -math.inf


def test_replicates_that_do_not_reach_it_open_the_interval_below() -> None:
    found = examples_saved(SIZES, *line(0.1, noise=0.01), SIZES[-1])
    assert found.reached
    assert 0.05 < found.not_reached < 0.7
    assert found.saved.low == -math.inf
    assert math.isfinite(found.saved.high)


def test_a_target_under_the_smallest_size_is_an_upper_bound() -> None:
    found = examples_saved(SIZES, *line(9.0), SIZES[-1])
    assert found.at_most
    assert found.share.estimate == SIZES[0] / SIZES[-1]


def test_a_bump_in_the_curve_does_not_count_as_the_crossing() -> None:
    errors = [sample(value) for value in (0.9, 0.49, 0.7, 0.6, 0.4)]  # by luck at the second
    found = examples_saved((1, 2, 4, 8, 16), errors, sample(0.5), 16)
    assert 8 < found.share.estimate * 16 < 16


def test_sizes_must_ascend() -> None:
    for sizes in ((2, 1), (1, 1), (1,)):
        with pytest.raises(ConfigurationError, match='sizes must ascend'):
            examples_saved(sizes, [sample(0.5), sample(0.4)], sample(0.4), 2)


def test_cells_of_a_known_law_save_what_the_law_says() -> None:
    tables = [ErrorTable.of_cells([cell(variant, size, seed) for seed in SEEDS], 'all', 15)
              for variant, size in [('none', 128), *(('memory', size) for size in SIZES)]]
    target, *errors = relative_errors(tables)
    found = examples_saved(SIZES, errors, target, 128)
    assert found.saved.estimate == pytest.approx(1 - 2 ** -2.5, abs=0.05)  # 0.10 at 0.04 each
    assert found.saved.low < 1 - 2 ** -2.5 < found.saved.high


def pooled(values: list[float]) -> list[float]:
    """Pool adjacent violators: the textbook's way."""
    blocks: list[list[float]] = []
    for value in values:
        blocks.append([value])
        while len(blocks) > 1 and np.mean(blocks[-2]) < np.mean(blocks[-1]):
            blocks[-2:] = [blocks[-2] + blocks[-1]]
    return [float(np.mean(block)) for block in blocks for _ in block]


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_the_nearest_falling_curve_is_that_of_pooling(values: list[float]) -> None:
    curve: NDArray[np.float64] = np.array([values])
    assert falling(curve)[0] == pytest.approx(pooled(values), abs=1e-9)


def test_what_is_not_measured_has_no_crossing() -> None:
    curves = np.array([[3.0, 2.0, 1.0], [3.0, math.nan, 1.0], [3.0, 2.0, 1.0]])
    found = crossings(np.arange(3.0), curves, np.array([1.5, 1.5, math.nan]))
    assert found[0] == 1.5
    assert np.isnan(found[1:]).all()
