"""The folder of an index in Qdrant Edge: whose memories it holds, and who uses it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from dataclasses import asdict
import fcntl
import json
import os
from pathlib import Path
import shutil
from typing import Any

from spatial_rag_core.errors import IndexInUseError, IndexUnavailableError
from spatial_rag_core.memory.file.connection import make_folders
from spatial_rag_core.memory.file.damage import sound_parts
from spatial_rag_core.memory.file.private_file import private_file
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.edge import EdgeStore
from spatial_rag_core.memory.qdrant.points import places_of
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np
from numpy.typing import NDArray

_FORMAT = 1
"""Another number: folders that other versions of this software made are made anew."""
_STATE = 'spatial_rag.json'
_COMPACT_BEYOND, _COMPACT_AT_LEAST = 0.25, 1000  # points removed since the last time

State = dict[str, Any]


def open_edge_index(root: str | Path, memory_path: str | Path) -> QdrantIndex:
    """
    Open or make the index of this memory file, and catch up with what was changed in it.

    An index belongs to one generation of one memory file and lies in a folder of its own under
    `root`, so that the next can be built while the last one answers; those that nobody uses any
    more go. Memories that came since are the caller's to add. Raises IndexUnavailableError where
    another uses the index, ConfigurationError, and journal errors.
    """
    journal = Journal.open_reader(memory_path)
    if journal is None:
        raise IndexUnavailableError(f'{memory_path}: no memory file yet')
    with journal, _translated(root):
        home = _Home(Path(root).expanduser() / f'{journal.generation:016x}')
        try:
            home.remove_others()
            return _followed(home, journal) or _made_anew(home, journal)
        except BaseException:
            home.unlock()
            raise


@contextlib.contextmanager
def _translated(folder: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise IndexUnavailableError(
            f'the index in {folder} cannot be used: {error.strerror or error}; make the folder '
            'writable and see that its disk is not full, or name another') from error


class _Home:
    """The folder of one generation, locked against all others."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_folders(folder)
        self._lock = os.open(folder.with_suffix('.lock'), os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise IndexInUseError(
                f'{folder} is used by another index; give each retriever a path of its '
                'own') from error

    def unlock(self) -> None:
        os.close(self._lock)

    def remove_others(self) -> None:
        for state in self.folder.parent.glob(f'{"[0-9a-f]" * 16}/{_STATE}'):
            if state.parent != self.folder:
                try:
                    other = _Home(state.parent)
                except IndexInUseError:
                    continue  # it still answers
                shutil.rmtree(other.folder, ignore_errors=True)
                other.folder.with_suffix('.lock').unlink(missing_ok=True)
                other.unlock()

    def read(self) -> State:
        try:
            state = json.loads((self.folder / _STATE).read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def write(self, state: State) -> None:
        draft = self.folder / f'{_STATE}.new'
        with private_file(draft) as file:
            file.write(json.dumps(state).encode())
        draft.replace(self.folder / _STATE)


class _HomeStore(EdgeStore):
    """The points in a home, which it gives back when it is closed."""

    def __init__(self, home: _Home, spec: JournalSpec, state: State) -> None:
        super().__init__(home.folder, spec.z_dim, spec.h3_resolution)
        self._home, self._state = home, state

    def delete(self, seqs: Sequence[int]) -> None:
        super().delete(seqs)
        self._state['removed'] += len(seqs)

    def close(self) -> None:
        try:
            super().close()
            with _translated(self.folder):
                self._home.write(self._state)
        finally:
            self._home.unlock()


def _made_anew(home: _Home, journal: Journal) -> QdrantIndex:
    shutil.rmtree(home.folder)
    home.folder.mkdir(mode=0o700)
    state = {'made_with': _made_with(journal), 'last_change': journal.last_change, 'removed': 0}
    store = _HomeStore(home, journal.spec, state)
    home.write(state)
    return _index(store, journal)


def _followed(home: _Home, journal: Journal) -> QdrantIndex | None:
    """Open what is there and take in what was changed; None where it must be made anew."""
    state = home.read()
    if state.get('made_with') != _made_with(journal):
        return None
    index = None
    with contextlib.suppress(IndexUnavailableError):  # damaged: thrown away
        store = _HomeStore(home, journal.spec, state)
        try:
            index = _caught_up(store, journal, state)
            home.write(state)
        finally:
            if index is None:
                EdgeStore.close(store)
    return index


def _caught_up(store: EdgeStore, journal: Journal, state: State) -> QdrantIndex | None:
    held = store.seqs()
    index = _index(store, journal, held)
    if not _is_of(store, held, journal) or not _take_changes(index, journal, state):
        return None
    if state['removed'] > max(_COMPACT_BEYOND * store.count, _COMPACT_AT_LEAST):
        store.compact()
        state['removed'] = 0
    return index


def _made_with(journal: Journal) -> State:
    return {'format': _FORMAT, 'spec': asdict(journal.spec)}


def _index(store: EdgeStore, journal: Journal,
           held: NDArray[np.int64] | None = None) -> QdrantIndex:
    spec = journal.spec
    return QdrantIndex(store, H3Grid(LocalFrame(spec.datum), spec.h3_resolution), held)


def _is_of(store: EdgeStore, held: NDArray[np.int64], journal: Journal) -> bool:
    """Whether its newest memory is the journal's: one may be a copy that went another way."""
    if not len(held):
        return True
    newest = int(held[-1])
    rows = journal.index_rows([newest])
    return newest <= journal.last_seq and (
        not len(rows.seqs) or bool(places_of(rows) == store.places([newest])[newest]))


def _take_changes(index: QdrantIndex, journal: Journal, state: State) -> bool:
    """Forget and relabel; returns whether the log still holds all that happened."""
    while (changes := journal.changes_after(state['last_change'])) is not None:
        if changes.last == state['last_change']:
            return True
        index.remove(changes.forgotten)
        for rows in sound_parts(journal.index_rows, changes.relabelled.tolist(), lambda _: None):
            index.relabel(rows)
        state['last_change'] = changes.last
    return False
