from __future__ import annotations

from spatial_rag_core.data.episodes.episode import Split, SPLITS
from spatial_rag_core.data.episodes.splits import assign_splits, map_seed_of, max_maps, MAX_SEED
from spatial_rag_core.errors import ConfigurationError

from hypothesis import given
from hypothesis import strategies as st
import pytest

NAMES = st.lists(st.text(max_size=5), max_size=40)


@given(NAMES, st.integers(0, 9), st.floats(0, 0.45), st.floats(0, 0.45))
def test_every_map_has_one_split_whatever_the_order(
        names: list[str], seed: int, valid_share: float, test_share: float) -> None:
    splits = assign_splits(names * 2, seed, valid_share, test_share)
    assert set(splits) == set(names)
    assert assign_splits(reversed(names), seed, valid_share, test_share) == splits
    if names:
        assert 'train' in splits.values()


def test_the_shares_are_kept_and_each_gets_a_map() -> None:
    def counts(maps: int) -> list[int]:
        found = list(assign_splits(map(str, range(maps)), 0, 0.1, 0.2).values())
        return [found.count(split) for split in SPLITS]
    assert counts(100) == [70, 10, 20]
    assert [counts(n) for n in (0, 1, 2, 3)] == [[0, 0, 0], [1, 0, 0], [1, 0, 1], [1, 1, 1]]


def test_another_seed_draws_otherwise() -> None:
    names = [str(n) for n in range(50)]
    assert assign_splits(names, 0) == assign_splits(names, 0)
    assert assign_splits(names, 0) != assign_splits(names, 1)


@pytest.mark.parametrize('shares', [(-0.1, 0.0), (0.5, 0.5), (0.0, 1.5), (float('nan'), 0.0)])
def test_shares_that_are_none_are_refused(shares: tuple[float, float]) -> None:
    with pytest.raises(ConfigurationError, match='valid_share and test_share must be'):
        assign_splits(['a'], 0, *shares)


@given(st.lists(st.tuples(st.integers(0, MAX_SEED - 1), st.sampled_from(SPLITS),
                          st.integers(0, 99_999)), unique=True, max_size=30))
def test_no_two_generated_maps_share_a_seed(asked: list[tuple[int, Split, int]]) -> None:
    assert len({map_seed_of(*one) for one in asked}) == len(asked)


def test_the_last_map_of_a_split_comes_right_before_the_next_split() -> None:
    assert map_seed_of(3, 'train', max_maps('train') - 1) + 1 == map_seed_of(3, 'valid', 0)
    assert map_seed_of(3, 'valid', max_maps('valid') - 1) + 1 == map_seed_of(3, 'test', 0)
    assert map_seed_of(3, 'test', max_maps('test') - 1) + 1 == map_seed_of(4, 'train', 0)
    with pytest.raises(ConfigurationError, match='valid can have 100000 maps, asked for number'):
        map_seed_of(0, 'valid', 100_000)
