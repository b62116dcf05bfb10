"""The episodes of the experiment, and which maps each seed and size learns from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.data.episodes.episode_loading import load_episodes
from spatial_rag_core.data.generate import drive, generate
from spatial_rag_core.data.rooms.rooms2d import Rooms2D
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.evaluation.gain_config import GainConfig

import numpy as np

_CHANGE_SEED = 1
_TOUR_POLICIES = ('frontier', 'loops')  # the first to see all of it
_PAUSE_SEC = 600.0


def make_episodes(folder: Path, config: GainConfig, workers: int,
                  on_progress: Callable[[int, int], None] | None = None) -> Path:
    """Write folder/episodes.h5, or what is missing of it."""
    path = folder / 'episodes.h5'
    folder.mkdir(parents=True, exist_ok=True)
    generate(path, config.episodes, workers, on_progress)
    return path


def read_split(path: Path, split: str) -> list[Episode]:
    """All episodes of a split."""
    return list(load_episodes(path, split, with_depth=False).episodes)  # type: ignore[arg-type]


def read_chosen(path: Path, maps: int, seed: int) -> list[Episode]:
    """Training episodes of so many maps; a seed's smaller choices lie within its larger ones."""
    with EpisodeReader(path) as reader:
        map_of = {name: reader.facts(name).map_id for name in reader.names('train')}
        there = sorted(set(map_of.values()))
        order = np.random.default_rng(seed).permutation(len(there))
        chosen = {there[index] for index in order[:maps]}
        return [reader.read(name, with_depth=False)
                for name, map_id in map_of.items() if map_id in chosen]


def map_seed_of(episode: Episode) -> int:
    """Which simulated world it was driven in; raises TrainingError where it does not say."""
    if episode.map_seed is None:
        raise TrainingError(f'episode {episode.name} does not say its map_seed; generate it again')
    return episode.map_seed


def changed_tours(config: GainConfig, first: Episode) -> tuple[Episode, Episode]:
    """
    Two drives through the changed map of `first`, later than it: to remember, and to be asked.

    They begin where other drives begin, and have another policy each.
    """
    world = Rooms2D(replace(config.episodes.world(map_seed_of(first)),
                            change_seed=_CHANGE_SEED))
    start_sec, tours = float(first.stamps[-1]), []
    for turn, policy in enumerate(_TOUR_POLICIES, start=2):
        tours.append(drive(world, policy, turn, config.tour_steps,
                           start_sec + _PAUSE_SEC, first.map_id, with_depth=False))
        start_sec = float(tours[-1].stamps[-1])
    return tours[0], tours[1]
