"""Which split the maps of a file of episodes are in, and new ones get."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal

from spatial_rag_core.data.episodes.episode import EpisodeFacts, Split
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.data.episodes.splits import assign_splits
from spatial_rag_core.errors import EpisodeError

SplitChoice = Literal['train', 'valid', 'test', 'auto']


def facts_in(path: Path) -> list[EpisodeFacts]:
    """Return the facts of the episodes that are whole; none where there is no file."""
    if not path.exists():
        return []
    with EpisodeReader(path) as reader:
        return list(reader.all_facts(on_damage=lambda damage: None))


def splits_of_maps(there: Sequence[EpisodeFacts], map_ids: Collection[str],
                   split: SplitChoice) -> dict[str, Split]:
    """
    Return the split of each map: the one that it has, else the one asked for or drawn (auto).

    Raises EpisodeError where another one is asked for than a map has.
    """
    known: dict[str, Split] = {one.map_id: one.splits[0]
                               for one in there if one.splits and one.map_id}
    if split == 'auto':
        return {**assign_splits([*known, *map_ids]), **known}
    for map_id in map_ids:
        if known.get(map_id, split) != split:
            raise EpisodeError(f'map {map_id} is in {known[map_id]} already, {split} is asked '
                               'for; a map is in one split only: ask for that one, or name '
                               'another file')
    return {**known, **dict.fromkeys(map_ids, split)}
