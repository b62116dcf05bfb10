"""What `spatial-rag data generate` makes: how many drives, through which maps, in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from spatial_rag_core.data.episodes.episode import Split, SPLITS
from spatial_rag_core.data.episodes.splits import map_seed_of, max_maps
from spatial_rag_core.data.exploring.policies import POLICIES
from spatial_rag_core.data.rooms.rooms2d import Rooms2DConfig
from spatial_rag_core.errors import ConfigurationError

MIXED = 'mixed'
_GYM = 2  # robomimic's number for this kind of environment


@dataclass(frozen=True)
class GenerateConfig:
    """
    What to generate; raises ConfigurationError for a value out of its range.

    maps, valid_maps, test_maps: maps of each split.  episodes_per_map: one after the other, each
    from a start of its own.  steps: moments an episode.  policy: one of POLICIES, or `mixed`,
    which takes them in turn.  seed: another one gives other maps, none of them the same.
    """

    maps: int
    valid_maps: int = 0
    test_maps: int = 0
    episodes_per_map: int = 1
    steps: int = 400
    rate_hz: float = 5.0
    policy: str = MIXED
    seed: int = 0
    image_size_px: int = 64
    with_depth: bool = True

    def __post_init__(self) -> None:
        counts = self.maps_of
        for split, count in counts.items():
            if not 0 <= count <= max_maps(split):
                raise ConfigurationError(f'maps for {split} must lie between 0 and '
                                         f'{max_maps(split)}, got {count}')
        if not any(counts.values()):
            raise ConfigurationError('no maps are asked for; set maps, valid_maps or test_maps')
        for name, value in (('episodes_per_map', self.episodes_per_map), ('steps', self.steps)):
            if not 1 <= value <= 1_000_000:
                raise ConfigurationError(f'{name} must lie between 1 and 1000000, got {value}')
        if self.policy not in (*POLICIES, MIXED):
            raise ConfigurationError(f'policy must be one of {", ".join((*POLICIES, MIXED))}, got '
                                     f'{self.policy!r}')
        self.world(map_seed_of(self.seed, 'train', 0))

    @property
    def maps_of(self) -> dict[Split, int]:
        """How many maps each split gets."""
        return {'train': self.maps, 'valid': self.valid_maps, 'test': self.test_maps}

    @property
    def episode_count(self) -> int:
        """How many episodes that makes."""
        return sum(self.maps_of.values()) * self.episodes_per_map

    def world(self, map_seed: int) -> Rooms2DConfig:
        """Return the world of a map."""
        return Rooms2DConfig(seed=map_seed, rate_hz=self.rate_hz,
                             image_size_px=self.image_size_px)


@dataclass(frozen=True)
class PlannedEpisode:
    """An episode to be made: number `index` of the data set, number `turn` of its map."""

    index: int
    turn: int
    split: Split
    map_seed: int
    policy: str

    @property
    def map_id(self) -> str:
        """The name of its map."""
        return f'rooms2d-{self.map_seed}'


def plan(config: GenerateConfig) -> Iterator[PlannedEpisode]:
    """List the episodes of a data set: tests first, so that a data set cut short has some."""
    index = 0
    for split in reversed(SPLITS):
        for number in range(config.maps_of[split]):
            map_seed = map_seed_of(config.seed, split, number)
            for turn in range(config.episodes_per_map):
                policy = _policy_of(config, number + turn)
                yield PlannedEpisode(index, turn, split, map_seed, policy)
                index += 1


def recipe_of(config: GenerateConfig) -> dict[str, Any]:
    """Say how the episodes are made: what must be the same to go on with a file."""
    return {'command': 'generate', **asdict(config), 'world': _world_facts(config)}


def env_args_of(config: GenerateConfig) -> dict[str, Any]:
    """Name the simulator as robomimic does."""
    return {'env_name': 'Rooms2D', 'type': _GYM, 'env_kwargs': _world_facts(config)}


def _world_facts(config: GenerateConfig) -> dict[str, Any]:
    facts = asdict(config.world(0))
    del facts['seed']
    return facts


def _policy_of(config: GenerateConfig, number: int) -> str:
    return POLICIES[number % len(POLICIES)] if config.policy == MIXED else config.policy
