"""Files of episodes, HDF5 in robomimic's layout (docs/DATA.md): append to one, read one."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import json
import logging
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from spatial_rag_core.data.episodes.episode import Damage, Episode, EpisodeFacts, OnDamage, Split
from spatial_rag_core.data.episodes.episode_creation import locked_descriptor
from spatial_rag_core.data.episodes.episode_errors import episode_errors, file_errors
from spatial_rag_core.data.episodes.episode_layout import (
    demo_names,
    facts_of,
    load,
    require_format,
    splits_of_names,
    text_of,
)
from spatial_rag_core.data.episodes.episode_writer import EpisodeWriter, packed
from spatial_rag_core.data.episodes.transaction_file import finish_commit, has_unfinished_commit
from spatial_rag_core.errors import EpisodeError

import h5py

__all__ = ['EpisodeReader', 'EpisodeWriter', 'packed']

_log = logging.getLogger(__name__)


class EpisodeReader:
    """
    Reads a file of episodes; several may, but not while one is written to it.

    Raises EpisodeError that names file, episode and remedy.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        with file_errors(self.path):
            _finish_what_was_begun(self.path)
            self._file = h5py.File(self.path, 'r', locking='best-effort')
        try:
            with file_errors(self.path):
                require_format(self.path, self._file)
                self._names = demo_names(self._file)
                self._splits = splits_of_names(self._file)
                self.recipe: dict[str, Any] = _json(self._file, 'recipe')
                self.env_args: dict[str, Any] = _json(self._file, 'env_args')
                self.total = int(self._file['data'].attrs['total'])
        except BaseException:
            self.close()
            raise

    def names(self, split: Split | None = None) -> list[str]:
        """Return the names of a split's episodes, or of all, as they were appended."""
        return [name for name in self._names
                if split is None or split in self._splits.get(name, ())]

    @property
    def missing(self) -> list[str]:
        """Names that a split lists and the file lacks."""
        return sorted(set(self._splits) - set(self._names))

    def facts(self, name: str) -> EpisodeFacts:
        """Tell what an episode is, without its pictures."""
        with episode_errors(self.path, name):
            return facts_of(name, self._group(name), self._splits.get(name, ()))

    def read(self, name: str, with_depth: bool = True) -> Episode:
        """Read an episode, every byte of it verified."""
        with episode_errors(self.path, name):
            return load(name, self._group(name), with_depth)

    def read_all(self, split: Split | None = None, on_damage: OnDamage | None = None,
                 with_depth: bool = True) -> Iterator[Episode]:
        """
        Read the episodes of a split, or all, one after the other.

        Damaged ones are passed over and told to on_damage, without one to the log.
        """
        for name in self.names(split):
            try:
                episode = self.read(name, with_depth)
            except EpisodeError as error:
                _tell(Damage(name, str(error)), on_damage)
            else:
                yield episode

    def all_facts(self, split: Split | None = None,
                  on_damage: OnDamage | None = None) -> Iterator[EpisodeFacts]:
        """Tell what the episodes of a split, or all, are; damaged ones as in read_all."""
        for name in self.names(split):
            try:
                facts = self.facts(name)
            except EpisodeError as error:
                _tell(Damage(name, str(error)), on_damage)
            else:
                yield facts

    def close(self) -> None:
        """Close the file; once is enough."""
        self._file.close()

    def __enter__(self) -> EpisodeReader:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _group(self, name: str) -> h5py.Group:
        if name not in self._names:
            raise EpisodeError('there is no such episode; `spatial-rag data info` lists them')
        return self._file['data'][name]


def _tell(damage: Damage, on_damage: OnDamage | None) -> None:
    if on_damage is None:
        _log.warning('passed over: %s', damage.reason)
    else:
        on_damage(damage)


def _finish_what_was_begun(path: Path) -> None:
    """Complete the commit of a writer that was killed in it; the next one would do the same."""
    if has_unfinished_commit(path):
        descriptor = locked_descriptor(path)
        with contextlib.closing(os.fdopen(descriptor, 'rb')):
            finish_commit(descriptor, path)


def _json(file: h5py.File, name: str) -> dict[str, Any]:
    values: dict[str, Any] = json.loads(text_of(file['data'], name))
    return values
