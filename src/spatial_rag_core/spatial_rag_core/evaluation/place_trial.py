"""Asks the frames of a query where they are, fold by fold, and keeps the time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
import time
from typing import TYPE_CHECKING

from spatial_rag_core.errors import ConfigurationError, InputError
from spatial_rag_core.evaluation.image_folders import PictureSet
from spatial_rag_core.evaluation.places import (
    Answers,
    order_by_grey,
    order_by_latent,
    Right,
)
from spatial_rag_core.evaluation.time_split import TimeSplit
from spatial_rag_core.records import Metric, Vector

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from spatial_rag_core.models.bundle import Bundle  # torch: seconds

BLOCK_SEC = 1.0
BLOCK_PICTURES = 20  # where pictures have no time


class Stopwatch:
    """Mean times [ms] of what is done many times."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    @contextmanager
    def timing(self, name: str, count: int) -> Iterator[None]:
        """Count the block as `count` times of what `name` says."""
        begun = time.perf_counter()
        yield
        self._seconds[name] = self._seconds.get(name, 0.0) + time.perf_counter() - begun
        self._counts[name] = self._counts.get(name, 0) + count

    def means_ms(self) -> dict[str, float]:
        """Mean time of each [ms]."""
        return {name: 1e3 * seconds / max(self._counts[name], 1)
                for name, seconds in self._seconds.items()}


@dataclass(frozen=True, eq=False)
class PlaceTrial:
    """
    A map, queries, which map frames are right for each, and the folds that are asked in turn.

    folds: (None,): map and query are two recordings.  right: bool [Q, M].
    Raises ConfigurationError where both are the same pictures and no fold keeps them apart.
    """

    places: PictureSet
    queries: PictureSet
    right: Right
    folds: tuple[TimeSplit | None, ...] = (None,)
    metric: Metric = 'l2'
    watch: Stopwatch = field(default_factory=Stopwatch)

    def __post_init__(self) -> None:
        is_same = self.places.path.resolve() == self.queries.path.resolve()
        if is_same and None in self.folds:
            raise ConfigurationError(f'{self.places.path} is map and query, so each picture would '
                                     'find itself; add --leave-out-sec 1, or name another query')
        if not is_same and self.folds != (None,):
            raise ConfigurationError(f'--leave-out-sec divides one recording, {self.places.path} '
                                     f'and {self.queries.path} are two; take it away')

    def run(self, bundles: Sequence[Bundle]) -> Answers:
        """
        Ask fold by fold; bundles: one for all folds, or one for each.

        Raises ConfigurationError for another number, InputError where no query has an answer.
        """
        if len(bundles) not in (1, len(self.folds)):
            raise ConfigurationError(f'--bundle names {len(bundles)} files, expected 1, or '
                                     f'{len(self.folds)}: one for each fold')
        shared = [(bundles[0], self.folds)] if len(bundles) == 1 else [
            (bundle, (fold,)) for bundle, fold in zip(bundles, self.folds, strict=True)]
        parts: list[Answers] = []
        for bundle, folds in shared:
            latents = self._latents(bundle)
            parts += [part for fold in folds if (part := self._ask(fold, *latents)) is not None]
        found = Answers.joined(parts) if parts else None
        if found is None or not len(found.chance):
            raise InputError('no query has a right answer in the map; widen --radius-m and '
                             '--angle-deg, or shorten --leave-out-sec and --guard-sec')
        return found

    def _latents(self, bundle: Bundle) -> tuple[Vector, Vector]:
        with self.watch.timing('encode', len(self.places.rgb)):
            map_z = bundle.encode_images(self.places.rgb)
        if self.queries is self.places:
            return map_z, map_z
        with self.watch.timing('encode', len(self.queries.rgb)):
            return map_z, bundle.encode_images(self.queries.rgb)

    def _ask(self, fold: TimeSplit | None, map_z: Vector, query_z: Vector) -> Answers | None:
        kept, asked = self._parts(fold)
        if not len(kept) or not len(asked):
            return None
        pictures = self.places.rgb[kept], self.queries.rgb[asked]
        with self.watch.timing('latent search', len(asked)):
            by_latent = order_by_latent(map_z[kept], query_z[asked], self.metric)
        with self.watch.timing('grey search', len(asked)):
            by_grey = order_by_grey(*pictures)
        centred = order_by_grey(*pictures, centred=True)
        return Answers.of({'latent': by_latent, 'grey': by_grey, 'grey_centred': centred},
                          self.right[np.ix_(asked, kept)], self._blocks(fold)[asked])

    def _parts(self, fold: TimeSplit | None) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of the map and of the queries."""
        if fold is None:
            return np.arange(len(self.places.rgb)), np.arange(len(self.queries.rgb))
        stamps = _stamps_of(self.places)
        return np.flatnonzero(fold.kept(stamps)), np.flatnonzero(fold.asked(stamps))

    def _blocks(self, fold: TimeSplit | None) -> NDArray[np.int64]:
        """Queries of one block are not independent of each other, int [Q]."""
        if self.queries.stamps is None:
            return np.arange(len(self.queries.rgb)) // BLOCK_PICTURES
        length = BLOCK_SEC if fold is None else fold.stretch_sec
        times = self.queries.stamps - self.queries.stamps[0]
        return np.asarray(np.floor(times / length + 1e-6), np.int64)


def _stamps_of(pictures: PictureSet) -> NDArray[np.float64]:
    if pictures.stamps is None:
        raise InputError(f'{pictures.path} has no stamps, so no stretch of it can be left out; '
                         'add poses.csv, or name another folder as query')
    return pictures.stamps
