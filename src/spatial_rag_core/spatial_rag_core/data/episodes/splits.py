"""Which map is for training, which for validation, which for the test: never one for two."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import hashlib

from spatial_rag_core.data.episodes.episode import EpisodeFacts, Split, SPLITS
from spatial_rag_core.errors import ConfigurationError

MAX_SEED = 1_000_000
_FIRST_SEED: dict[Split, int] = {'train': 0, 'valid': 800_000, 'test': 900_000}
_SEEDS_OF_ONE = 1_000_000


def map_seed_of(seed: int, split: Split, index: int) -> int:
    """
    Return the seed of a split's map number `index` in the data set number `seed`.

    Two data sets never share a map, and more training maps leave the others as they are, so
    that figures over the number of training maps are measured on the same test. Raises
    ConfigurationError for a seed or an index beyond the range.
    """
    if not 0 <= seed < MAX_SEED:
        raise ConfigurationError(f'seed must lie between 0 and {MAX_SEED - 1}, got {seed}')
    limit = max_maps(split)
    if not 0 <= index < limit:
        raise ConfigurationError(f'{split} can have {limit} maps, asked for number {index + 1}')
    return seed * _SEEDS_OF_ONE + _FIRST_SEED[split] + index


def max_maps(split: Split) -> int:
    """How many maps a split can have."""
    later = [first for first in _FIRST_SEED.values() if first > _FIRST_SEED[split]]
    return min(later, default=_SEEDS_OF_ONE) - _FIRST_SEED[split]


def assign_splits(map_ids: Iterable[str], seed: int = 0, valid_share: float = 0.1,
                  test_share: float = 0.1) -> dict[str, Split]:
    """
    Draw the split of each map; the order and the repetition of map_ids do not matter.

    A share > 0 gets one map at least, but training is left one. Raises ConfigurationError for
    shares that are none.
    """
    if min(valid_share, test_share) < 0.0 or not valid_share + test_share < 1.0:
        raise ConfigurationError('valid_share and test_share must be >= 0 and less than 1 '
                                 f'together, got {valid_share} and {test_share}')
    drawn = sorted(set(map_ids), key=lambda map_id: _draw(seed, map_id))
    splits: dict[str, Split] = dict.fromkeys(drawn, 'train')
    shares: tuple[tuple[Split, float], ...] = ('test', test_share), ('valid', valid_share)
    left = drawn
    for split, share in shares:
        count = max(round(share * len(drawn)), 1) if share > 0.0 else 0
        taken = left[:min(count, max(len(left) - 1, 0))]
        splits.update(dict.fromkeys(taken, split))
        left = left[len(taken):]
    return splits


def maps_in_two_splits(facts: Iterable[EpisodeFacts]) -> Mapping[str, tuple[Split, ...]]:
    """Return the maps with a name that more than one split holds episodes of."""
    found: dict[str, set[Split]] = {}
    for one in facts:
        if one.map_id:
            found.setdefault(one.map_id, set()).update(one.splits)
    return {map_id: tuple(split for split in SPLITS if split in splits)
            for map_id, splits in found.items() if len(splits) > 1}


def _draw(seed: int, map_id: str) -> bytes:
    return hashlib.sha256(f'{seed}/{map_id}'.encode()).digest()
