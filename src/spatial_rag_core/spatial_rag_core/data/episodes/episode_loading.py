"""The episodes of a split, all of them in memory: what a training works on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from spatial_rag_core.data.episodes.episode import Damage, Episode, Split
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.errors import ConfigurationError, EpisodeError

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class LoadedEpisodes:
    """Episodes in the order of their file, and those that were passed over."""

    episodes: tuple[Episode, ...]
    damaged: tuple[Damage, ...]

    @property
    def moments(self) -> int:
        """How many moments the episodes have together."""
        return sum(map(len, self.episodes))

    @property
    def memory_bytes(self) -> int:
        """What their arrays take in memory."""
        return sum(episode.memory_bytes for episode in self.episodes)


def load_episodes(path: str | Path, split: Split | None = None,
                  on_progress: OnProgress | None = None, *, with_depth: bool = True,
                  limit: int | None = None) -> LoadedEpisodes:
    """
    Read a split, or all, into memory.

    on_progress: is told (done, total) episodes.  with_depth: False takes half the memory.
    limit: the first so many that are whole. Raises EpisodeError where the file cannot be read
    or nothing whole is in it; damaged episodes are passed over, and are in the result.
    """
    if limit is not None and limit < 1:
        raise ConfigurationError(f'limit must be > 0, got {limit}')
    damaged: list[Damage] = []
    episodes: list[Episode] = []
    with EpisodeReader(path) as reader:
        total = min(len(reader.names(split)), limit or 2**63)
        for episode in reader.read_all(split, damaged.append, with_depth):
            episodes.append(episode)
            if on_progress is not None:
                on_progress(len(episodes), total)
            if len(episodes) == limit:
                break
    if not episodes:
        raise EpisodeError(f'{path}: {split or "the file"} has no whole episode, {len(damaged)} '
                           'are damaged; make some: spatial-rag data generate')
    return LoadedEpisodes(tuple(episodes), tuple(damaged))
