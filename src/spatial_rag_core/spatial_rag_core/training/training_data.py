"""The episodes of a training: from a file, split by map; from recordings, split by time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spatial_rag_core.data.episodes.episode import Episode, Split, SPLITS
from spatial_rag_core.data.episodes.episode_file import EpisodeReader
from spatial_rag_core.data.episodes.episode_loading import load_episodes
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.training.latent_tracks import COLLECT_ANEW

import numpy as np
from numpy.typing import NDArray

_VALIDATION_SHARE = 0.25
_NEAR_SHARE = 0.1

Chosen = NDArray[np.bool_]
"""Which moments of a recording may be learned from, by their stamps [T]."""


@dataclass(frozen=True, eq=False)
class TrainingData:
    """
    Episodes to learn from, to stop by, and to judge by; test may be empty.

    Raises TrainingError where the actions of some are commands and of others past motion.
    remembered: what episodes of `valid` may remember beside themselves.  shown: pictures that
    perception learns from and stops by; none: those of `train`, and it stops by `valid`.
    facts: where they are from, for the model card.
    """

    train: tuple[Episode, ...]
    valid: tuple[Episode, ...]
    test: tuple[Episode, ...] = ()
    remembered: tuple[Episode, ...] = ()
    shown: tuple[Episode, ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        kinds = sorted({one.actions_from for one in (*self.train, *self.valid, *self.test)})
        if len(kinds) > 1:
            raise TrainingError(f'the actions of some drives are {kinds[0]}, of others {kinds[1]}'
                                f'; {COLLECT_ANEW}, and train with --data')

    @classmethod
    def from_file(cls, path: Path, on_damage: Callable[[str], None]) -> TrainingData:
        """
        Read the splits of a file of episodes; depth is left out.

        on_damage: is told of each episode that is passed over. Raises EpisodeError, also where
        nothing of a split is whole, and TrainingError without episodes for validation.
        """
        parts: dict[str, tuple[Episode, ...]] = {}
        for split in SPLITS:
            parts[split] = _read(path, split, on_damage)
        if not parts['valid']:
            raise TrainingError(f'{path}: has no episodes for validation; generate with '
                                '--valid-maps, or collect some with --split valid')
        return cls(**parts, facts={
            'file': path.name, 'actions_from': parts['valid'][0].actions_from, **{
            f'{split}_maps': len({one.map_id or one.name for one in episodes})
            for split, episodes in parts.items()}, **{
            f'{split}_frames': sum(map(len, episodes)) for split, episodes in parts.items()}})

    @classmethod
    def from_recordings(cls, episodes: Sequence[Episode], kept: Sequence[Chosen] | None = None,
                        **facts: Any) -> TrainingData:
        """
        Learn from three quarters of the recordings and stop by the rest, the last in time.

        Perception is shown all that is kept: these are the places it has to find again.
        kept: of each episode, which moments may be learned from, bool [T]; others are in no
        part. Raises TrainingError where nothing is left.
        """
        chosen = [np.ones(len(one), bool) for one in episodes] if kept is None else kept
        pieces = sorted((part for one, mask in zip(episodes, chosen, strict=True)
                         for part in _kept_parts(one, mask)),
                        key=lambda part: float(part.stamps[0]))
        train, valid = _split(pieces)
        if not train or not valid:
            raise TrainingError('the recordings leave nothing to learn from; record longer, or '
                                'leave out less')
        return cls(train, valid, remembered=train, shown=tuple(pieces), facts={
            **facts, 'actions_from': valid[0].actions_from,
            'train_frames': sum(map(len, train)), 'valid_frames': sum(map(len, valid))})


def _split(kept: Sequence[Episode]) -> tuple[tuple[Episode, ...], tuple[Episode, ...]]:
    """
    Divide pieces: the last ones, which hold about a quarter of the moments, are second.

    Where no end of a piece is near that, one is cut.  Of fewer than four it is the last quarter
    of each.
    """
    if len(kept) >= 4:
        return _split_of_many(kept)
    cuts = [round(len(one) * (1.0 - _VALIDATION_SHARE)) for one in kept]
    return (tuple(one.part(0, cut) for one, cut in zip(kept, cuts, strict=True) if cut),
            tuple(one.part(cut, len(one)) for one, cut in zip(kept, cuts, strict=True)
                  if cut < len(one)))


def _split_of_many(kept: Sequence[Episode]) -> tuple[tuple[Episode, ...], tuple[Episode, ...]]:
    ends = np.cumsum([len(one) for one in kept])
    goal = round(ends[-1] * (1.0 - _VALIDATION_SHARE))
    nearest = int(np.abs(ends[:-1] - goal).argmin())
    if abs(ends[nearest] - goal) <= _NEAR_SHARE * ends[-1]:
        return tuple(kept[:nearest + 1]), tuple(kept[nearest + 1:])
    number = int(np.searchsorted(ends, goal))
    one = kept[number]
    cut = goal - int(ends[number]) + len(one)
    return ((*kept[:number], one.part(0, cut)),
            (one.part(cut, len(one)), *kept[number + 1:]))


def _read(path: Path, split: Split, on_damage: Callable[[str], None]) -> tuple[Episode, ...]:
    with EpisodeReader(path) as reader:
        if split != 'train' and not reader.names(split):
            return ()
    loaded = load_episodes(path, split, with_depth=False)
    for damage in loaded.damaged:
        on_damage(f'{path}: {damage.name} is passed over: {damage.reason}')
    return loaded.episodes


def _kept_parts(episode: Episode, chosen: Chosen) -> list[Episode]:
    """Each run of moments that may be learned from, as an episode of its own."""
    if chosen.all():
        return [episode]
    edges = np.flatnonzero(np.diff(np.concatenate([[0], chosen.astype(np.int8), [0]])))
    return [episode.part(int(start), int(end))
            for start, end in zip(edges[::2], edges[1::2], strict=True) if end - start > 1]
