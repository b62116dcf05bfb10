"""Appending to a file of episodes: each episode is in it wholly or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
import contextlib
from dataclasses import dataclass
import io
import json
import os
from pathlib import Path
from types import TracebackType
from typing import Any

from spatial_rag_core.data.episodes.deferred_ctrl_c import ctrl_c_deferred
from spatial_rag_core.data.episodes.episode import Episode, Split, SPLITS
from spatial_rag_core.data.episodes.episode_creation import create_file, locked_descriptor
from spatial_rag_core.data.episodes.episode_errors import file_errors, writing_errors
from spatial_rag_core.data.episodes.episode_layout import (
    demo_names,
    LIBVER,
    require_format,
    splits_of_names,
    store,
    text_of,
)
from spatial_rag_core.data.episodes.transaction_file import finish_commit, TransactionFile
from spatial_rag_core.errors import ConfigurationError, EpisodeError

import h5py


@dataclass(frozen=True)
class _Known:
    """What the writer knows of its file."""

    count: int
    next_number: int
    split_of_map: dict[str, Split]


class EpisodeWriter:
    """
    Appends to a file, which is made where it is missing; the only one that does. For one thread.

    A process that dies, or a disk that is full, leaves every episode that `append` returned
    from. recipe: how the episodes are made (JSON's types); a file with another one is refused.
    env_args: robomimic's, which simulator. Raises EpisodeError.
    """

    def __init__(self, path: str | Path, recipe: Mapping[str, Any] | None = None,
                 env_args: Mapping[str, Any] | None = None) -> None:
        self.path = Path(path)
        texts = {'recipe': _as_json(recipe), 'env_args': _as_json(env_args)}
        if not self.path.exists():
            create_file(self.path, texts)
        with file_errors(self.path):
            self._descriptor: int | None = locked_descriptor(self.path)
        self._recipe = texts['recipe']
        try:
            self._known: _Known | None = self._survey()
        except BaseException:
            self.close()
            raise

    @property
    def count(self) -> int:
        """How many episodes are in the file."""
        return self._what_is_there().count

    def append(self, episode: Episode, split: Split) -> str:
        """
        Store an episode for good and return its name in the file.

        Raises EpisodeError where its map is in another split already or the file cannot be
        written, InputError where its depth cannot be stored. The file is then as it was; only
        where a disk failed in the very last step may the episode be in it, which `count` tells.
        """
        return self.append_packed(packed(episode), episode.map_id, split)

    def append_packed(self, content: bytes, map_id: str, split: Split) -> str:
        """Do the same with what `packed` made, maybe in another process."""
        if split not in SPLITS:
            raise ConfigurationError(f'split must be one of {", ".join(SPLITS)}, got {split!r}')
        with ctrl_c_deferred():
            known = self._what_is_there()
            if (there := known.split_of_map.get(map_id, split)) != split:
                raise EpisodeError(f'{self.path}: map {map_id} is in {there}; an episode of it '
                                   f'cannot be in {split} too, put it there')
            name = f'demo_{known.next_number}'
            self._known = None  # after a failure the file says how far it came
            self._store(content, name, split)
            split_of_map = known.split_of_map | ({map_id: split} if map_id else {})
            self._known = _Known(known.count + 1, known.next_number + 1, split_of_map)
        return name

    def close(self) -> None:
        """Let another write; once is enough."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __enter__(self) -> EpisodeWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        self.close()

    def _what_is_there(self) -> _Known:
        if self._known is None:
            self._known = self._survey()
        return self._known

    def _store(self, content: bytes, name: str, split: Split) -> None:
        with self._change() as file, h5py.File(io.BytesIO(content), 'r') as source:
            file.copy(source['episode'], file['data'], name)
            file['data'].attrs['total'] += source['episode'].attrs['num_samples']
            names = file[f'mask/{split}']
            names.resize(len(names) + 1, axis=0)
            names[-1] = name.encode()

    @contextlib.contextmanager
    def _change(self) -> Iterator[h5py.File]:
        """Give the open file; what is done to it is done wholly or not at all."""
        descriptor = self._require_open()
        with writing_errors(self.path):
            finish_commit(descriptor, self.path)
            file = TransactionFile(descriptor, self.path)
            try:
                with h5py.File(file, 'r+', libver=LIBVER) as content:
                    yield content
                file.commit()
            except BaseException as error:
                file.discard()
                if file.failure is not None:
                    raise file.failure from error
                raise

    def _require_open(self) -> int:
        if self._descriptor is None:
            raise EpisodeError(f'{self.path} was closed; make another EpisodeWriter')
        return self._descriptor

    def _survey(self) -> _Known:
        """Learn what is there; raises EpisodeError where it is not what is to be continued."""
        descriptor = self._require_open()
        with writing_errors(self.path):
            finish_commit(descriptor, self.path)
        file = TransactionFile(descriptor, self.path)
        with file_errors(self.path), h5py.File(file, 'r') as content:
            require_format(self.path, content)
            if (found := text_of(content['data'], 'recipe')) != self._recipe:
                raise EpisodeError(f'{self.path} was made otherwise: '
                                   f'{_difference(found, self._recipe)}; ask for the same, '
                                   'or make all of it anew in another file')
            names = demo_names(content)
            numbers = [int(name[5:]) for name in names]
            return _Known(len(names), max(numbers, default=-1) + 1, _split_of_map(content))


def _split_of_map(file: h5py.File) -> dict[str, Split]:
    maps = {name: _map_of(file['data'], name) for name in demo_names(file)}
    return {maps[name]: splits[0] for name, splits in splits_of_names(file).items()
            if maps.get(name)}


def _map_of(data: h5py.Group, name: str) -> str:
    """Return '' where the episode is too damaged to say."""
    try:
        return text_of(data[name], 'map_id')
    except KeyError:
        return ''


def packed(episode: Episode) -> bytes:
    """Return an episode as the bytes of a small HDF5 file; raises InputError as `store` does."""
    buffer = io.BytesIO()
    with h5py.File(buffer, 'w', libver=LIBVER) as file:
        store(file.create_group('episode'), episode)
    return buffer.getvalue()


def _as_json(values: Mapping[str, Any] | None) -> str:
    return json.dumps(dict(values or {}), sort_keys=True)


def _difference(found: str, asked: str) -> str:
    """Say in what two recipes differ."""
    try:
        old, new = json.loads(found), json.loads(asked)
        return ', '.join(f'{key} {old.get(key, "not told")} there, '
                         f'{new.get(key, "nothing")} asked for'
                         for key in sorted(old | new) if old.get(key) != new.get(key))
    except (ValueError, AttributeError, TypeError):
        return 'it does not tell how'
