"""What a file of episodes holds, in figures; its pictures are not read."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from spatial_rag_core.data.episodes.episode import Damage, EpisodeFacts, SPLITS
from spatial_rag_core.data.episodes.episode_file import EpisodeReader

Value = TypeVar('Value', int, float, str)
OnProgress = Callable[[int, int], None]
UNSPLIT = 'none'


@dataclass(frozen=True)
class SplitFacts:
    """One split; `none` is what no split names.  maps: of those that have a name."""

    split: str
    episodes: int
    moments: int
    hours: float
    maps: int


@dataclass(frozen=True)
class EpisodeSurvey:
    """
    A whole file: what is whole in it, and which episodes are damaged.

    has_depth: None where only some have.  start_sec, end_sec: Unix time [s]; None: no episodes.
    """

    path: Path
    size_bytes: int
    episodes: int
    moments: int
    hours: float
    splits: tuple[SplitFacts, ...]
    rates_hz: tuple[float, ...]
    image_sizes_px: tuple[int, ...]
    action_dims: tuple[int, ...]
    proprio_dims: tuple[int, ...]
    has_depth: bool | None
    start_sec: float | None
    end_sec: float | None
    robots: tuple[str, ...]
    sources: tuple[str, ...]
    recipe: dict[str, object]
    damaged: tuple[Damage, ...]


def survey(path: Path, on_progress: OnProgress | None = None) -> EpisodeSurvey:
    """Read the facts of every episode; raises EpisodeError where the file cannot be read."""
    damaged: list[Damage] = []
    facts: list[EpisodeFacts] = []
    with EpisodeReader(path) as reader:
        names = reader.names()
        for one in reader.all_facts(on_damage=damaged.append):
            facts.append(one)
            if on_progress is not None:
                on_progress(len(facts) + len(damaged), len(names))
        recipe = reader.recipe
    depths = {one.has_depth for one in facts}
    return EpisodeSurvey(
        path, path.stat().st_size, len(facts), _moments(facts), _hours(facts), _splits(facts),
        _each(one.rate_hz for one in facts), _each(one.image_size_px for one in facts),
        _each(one.action_dim for one in facts), _each(one.proprio_dim for one in facts),
        None if len(depths) > 1 else depths == {True},
        min((one.start_sec for one in facts), default=None),
        max((one.end_sec for one in facts), default=None),
        _each(one.robot for one in facts if one.robot),
        _each(one.source for one in facts if one.source), recipe, tuple(damaged))


def _each(values: Iterable[Value]) -> tuple[Value, ...]:
    return tuple(sorted(set(values)))


def _splits(facts: list[EpisodeFacts]) -> tuple[SplitFacts, ...]:
    groups = {split: [one for one in facts if split in one.splits] for split in SPLITS}
    unsplit = [one for one in facts if not one.splits]
    named = [_split_facts(split, group) for split, group in groups.items()]
    return (*named, *([_split_facts(UNSPLIT, unsplit)] if unsplit else []))


def _split_facts(split: str, facts: list[EpisodeFacts]) -> SplitFacts:
    return SplitFacts(split, len(facts), _moments(facts), _hours(facts),
                      len(_each(one.map_id for one in facts if one.map_id)))


def _moments(facts: Iterable[EpisodeFacts]) -> int:
    return sum(one.length for one in facts)


def _hours(facts: Iterable[EpisodeFacts]) -> float:
    return sum(one.length / one.rate_hz for one in facts) / 3600.0
