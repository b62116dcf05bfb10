from __future__ import annotations

import argparse
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.evaluation.asked_recording import AskedRecording
from spatial_rag_core.evaluation.time_split import (
    add_split_options,
    split_of,
    TimeSplit,
    unseen_in_training,
)

from hypothesis import given
from hypothesis import strategies as st
import numpy as np
import pytest

UNIX_SEC = 1_700_000_000.0
STAMPS = UNIX_SEC + np.arange(333) / 20.0
SPLITS = st.builds(
    lambda stretch, guard, more, fold: TimeSplit(
        stretch, guard, stretch * (count := int(1 + 2 * guard / stretch) + more), fold % count),
    st.sampled_from([0.25, 0.5, 1.0, 2.0]), st.sampled_from([0.0, 0.25, 0.5, 1.5]),
    st.integers(1, 4), st.integers(0, 20))


@given(SPLITS)
def test_no_kept_frame_is_nearer_than_the_guard_to_one_that_is_asked_about(
        split: TimeSplit) -> None:
    kept, asked = STAMPS[split.kept(STAMPS)], STAMPS[split.asked(STAMPS)]
    if len(asked) and len(kept):
        apart = np.abs(kept[:, None] - asked[None]).min()
        assert apart >= max(split.guard_sec, 1 / 20) - 1e-5


@given(SPLITS)
def test_the_folds_together_ask_about_every_frame_once(split: TimeSplit) -> None:
    times = np.sum([fold.asked(STAMPS) for fold in split.folds()], axis=0)
    assert (times == 1).all()


@given(SPLITS)
def test_what_is_in_neither_part_lies_within_the_guard(split: TimeSplit) -> None:
    neither = ~split.kept(STAMPS) & ~split.asked(STAMPS)
    asked = STAMPS[split.asked(STAMPS)]
    if neither.any():
        assert np.abs(STAMPS[neither][:, None] - asked[None]).min(axis=1).max() < (
            split.guard_sec + 1 / 20 + 1e-5)


def test_the_default_asks_about_one_second_in_four() -> None:
    split = TimeSplit()
    assert (split.asked(STAMPS).sum(), split.kept(STAMPS).sum()) == (93, 164)
    assert split.fold_count == 4


def test_stretches_begin_with_the_first_frame_wherever_its_clock_stands() -> None:
    split = TimeSplit(fold=2)
    later = np.array_equal(split.kept(STAMPS), split.kept(STAMPS - UNIX_SEC))
    assert later
    assert not split.asked(STAMPS)[:40].any()
    assert split.asked(STAMPS)[40:60].all()


def test_a_recording_that_ends_before_the_stretch_is_kept_whole() -> None:
    assert TimeSplit(fold=3).kept(STAMPS[:50]).all()
    assert TimeSplit().kept([]).shape == (0,)


@pytest.mark.parametrize(('fields', 'words'), [
    ({'stretch_sec': 0.0}, 'stretch_sec must be > 0 s, got 0.0'),
    ({'guard_sec': -1.0}, 'guard_sec must be >= 0 s, got -1.0'),
    ({'period_sec': 2.0}, 'period_sec must exceed 2 s'),
    ({'period_sec': 4.5}, 'multiple of stretch_sec 1 s'),
    ({'fold': 4}, 'fold must lie between 0 and 3'),
])
def test_a_split_out_of_range_names_value_and_remedy(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        TimeSplit(**fields)


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_split_options(parser)
    return parser.parse_args(words)


def test_options_make_the_split_that_they_name() -> None:
    assert split_of(parsed()) is None
    assert split_of(parsed('--leave-out-sec', '1')) == TimeSplit()
    assert split_of(parsed('--leave-out-sec', '2', '--guard-sec', '1', '--period-sec', '8',
                           '--fold', '3')) == TimeSplit(2.0, 1.0, 8.0, 3)


def test_a_fold_without_stretches_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='--fold 1 needs --leave-out-sec'):
        split_of(parsed('--fold', '1'))


def told(*models: dict[str, Any] | None, folds: tuple[TimeSplit | None, ...],
         recording: str = 'tour', starts: tuple[float, ...] = (100.0,)) -> bool | None:
    """Of models that learned from 'tour', 'home' and 'all.h5'; None: one that is not trained."""
    data = {'recordings': ['tour', 'home'], 'recorded_sec': [[100.0, 200.0], [300.0, 400.0]],
            'file': 'all.h5'}
    return unseen_in_training(
        [SimpleNamespace(trained=facts is not None, training={'data': data, **(facts or {})})
         for facts in models], folds,
        *(AskedRecording(frozenset([recording]), start, 350.0) for start in starts))


def test_a_model_is_clean_only_for_the_fold_that_its_training_left_out() -> None:
    split = TimeSplit(fold=1)
    facts = {'leave_out': split.facts()}
    assert told(facts, folds=(split,)) is True
    assert told(facts, folds=(replace(split, fold=0),)) is False
    assert told(facts, folds=split.folds()) is False
    assert told(*({'leave_out': fold.facts()} for fold in split.folds()),
                folds=split.folds()) is True


def test_the_fold_of_a_whole_recording_does_not_clear_a_part_whose_stretches_lie_elsewhere(
        ) -> None:
    split = TimeSplit()
    facts = {'leave_out': split.facts()}
    assert told(facts, folds=(split,), starts=(102.0,)) is False
    assert told(facts, folds=(split,), starts=(100.0, 102.0)) is False
    assert told(facts, folds=(split,), starts=(100.0 + split.guard_sec,)) is True


@pytest.mark.parametrize('recording', ['tour', 'home', 'all.h5'])
def test_a_model_that_learned_from_all_of_a_recording_has_seen_it(recording: str) -> None:
    assert told({}, folds=(None,), recording=recording) is False
    assert told({}, folds=(TimeSplit(),), recording=recording) is False
    assert told({'leave_out': TimeSplit().facts()}, folds=(None,), recording=recording) is False
    assert told(None, {}, folds=TimeSplit().folds(), recording=recording) is False


def test_a_model_that_does_not_say_what_it_saw_is_not_called_clean() -> None:
    assert told({}, folds=(TimeSplit(),), recording='other') is None
    assert told({'leave_out': TimeSplit().facts()}, folds=(TimeSplit(),),
                recording='other') is None
    assert told({'data': {}}, folds=(None,)) is None
    assert told(None, folds=(None,)) is True
