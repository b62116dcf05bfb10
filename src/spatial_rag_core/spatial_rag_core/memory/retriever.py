"""Answers queries: follows the journal, asks the index, brings whole memories back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from dataclasses import replace
import math
from pathlib import Path
import threading
from typing import TYPE_CHECKING

from spatial_rag_core.errors import (
    IndexInUseError,
    IndexUnavailableError,
    JournalError,
    JournalMismatchError,
    JournalUnavailableError,
)
from spatial_rag_core.memory.answering.choice import chosen, pool_size, thinned
from spatial_rag_core.memory.answering.projection import Projection
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.cells.figures import CellFigures
from spatial_rag_core.memory.file.damage import sound_parts
from spatial_rag_core.memory.index import MemoryIndex
from spatial_rag_core.memory.journal import Journal, JournalStats
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Hit, Memory, MemoryQuery, Pose
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

if TYPE_CHECKING:
    from spatial_rag_core.memory.qdrant.shipper import ShippingFigures


def embedded_index(spec: JournalSpec) -> MemoryIndex:
    """The index that lives in this process."""
    return CellIndex(H3Grid(LocalFrame(spec.datum), spec.h3_resolution), spec.z_dim)


class Retriever:
    """
    Reads a memory file that another process may be writing; may be asked in any thread.

    The file may not exist yet: then nothing is found until it does. Where the index must be
    built anew (the file was replaced, or all its poses moved), the old one answers until the
    new one is whole. map_frame: the frame that the poses must be in, None: any.
    Journal errors come out of every method (see journal.py), IndexUnavailableError as well; a
    later call tries again.
    """

    def __init__(self, path: str | Path,
                 make_index: Callable[[JournalSpec], MemoryIndex] = embedded_index,
                 map_frame: str | None = None) -> None:
        self.path = Path(path).expanduser()
        self._make_index = make_index
        self._map_frame = map_frame
        self._current: Projection | None = None  # which answers
        self._next: Projection | None = None  # which is being built beside it
        self._refreshing = threading.Lock()
        self._is_ending = threading.Event()

    def close(self, timeout_sec: float = 5.0) -> None:
        """
        Close the memory file; a refresh in another thread gives up within one batch.

        One that hangs longer than timeout_sec, for its disk does, closes it when it comes back.
        """
        self._is_ending.set()
        if not self._refreshing.acquire(timeout=timeout_sec):
            return
        try:
            self._let_go()
        finally:
            self._refreshing.release()

    def _let_go(self) -> None:
        self._retire_next()
        self._replace_current(None)
        self._is_ending.clear()

    def open(self) -> None:
        """Open the file, where there is one, without reading it; raises JournalError."""
        with self._refreshing:
            self._target()

    def refresh(self) -> int:
        """
        Take in what was stored, forgotten and relabelled since; returns how many came in.

        Takes microseconds where nothing happened. What is taken in can be found at once, while
        the rest is still being read. Raises JournalDamagedError where memories are lost, once
        all others were taken in: when that is first seen, and then once a minute.
        """
        with self._refreshing:
            try:
                return self._follow()
            finally:
                if self._is_ending.is_set():  # who wanted to close it did not wait so long
                    self._let_go()

    def _follow(self) -> int:
        for _ in range(2):  # a second time where it has to be built anew
            target = self._target()
            if target is None:
                return 0
            try:
                count = target.follow(self._is_ending.is_set)
            finally:
                if target is self._next and target.is_loaded:
                    self._next = None
                    self._replace_current(target)
            if count is not None:
                return count
            self._begin_anew()
        return 0

    def _target(self) -> Projection | None:
        """What is to be fed: opened where there is nothing, or only a file that is gone."""
        if self._next is not None and self._next.is_detached:
            self._retire_next()
        if self._next is None and (self._current is None or self._current.is_detached):
            self._begin_anew()
        return self._next or self._current

    def _begin_anew(self) -> None:
        """Begin beside an index of the same model, else in its place."""
        self._retire_next()
        try:
            begun = self._open_beside()
        except JournalUnavailableError:
            raise  # it may recover, and the old index answers until then
        except JournalError:
            self._replace_current(None)
            raise
        if (begun is None or self._current is None
                or begun.model_id != self._current.model_id):
            self._replace_current(begun)
        else:
            self._next = begun

    def _open_beside(self) -> Projection | None:
        """Open beside what answers; in its place where its index has the folder of the new."""
        try:
            return self._open()
        except IndexInUseError:  # the generation is the same: the change log was pruned
            if self._current is None:
                raise
            self._replace_current(None)
            return self._open()

    def _open(self) -> Projection | None:
        with contextlib.ExitStack() as opened:
            journals = []
            for _ in range(2):
                journal = Journal.open_reader(self.path)
                if journal is None:
                    return None
                journals.append(opened.enter_context(journal))
            self._require_frame(journals[0])
            if journals[0].is_detached:
                raise JournalUnavailableError(f'memory file {self.path} was deleted or replaced '
                                              'just now; it is looked at again')
            projection = Projection(journals[0], journals[1], self._make_index)
            opened.pop_all()
        return projection

    def _require_frame(self, journal: Journal) -> None:
        frame = journal.spec.map_frame
        if self._map_frame not in (None, frame):
            raise JournalMismatchError(
                f'{self.path} holds poses in frame {frame!r}, asked in {self._map_frame!r}; set '
                f'map_frame: {frame} or name another memory_path')

    def _replace_current(self, projection: Projection | None) -> None:
        old, self._current = self._current, projection
        if old is not None:
            old.retire()

    def _retire_next(self) -> None:
        if self._next is not None:
            self._next.retire()
        self._next = None

    @contextlib.contextmanager
    def _answering(self) -> Iterator[tuple[Projection, Journal] | None]:
        """What answers now, kept open, and a reader of its file; None: there is none."""
        while (projection := self._current) is not None:
            with projection.in_use() as is_usable:
                if is_usable:
                    with projection.readers.reader() as journal:
                        yield projection, journal
                    return
        yield None

    def query(self, query: MemoryQuery, with_thumbnails: bool = False) -> list[Hit]:
        """
        Find memories, nearest first; nothing is found before the first refresh.

        Memories that were forgotten meanwhile, or cannot be read any more, are left out.
        Raises ModelMismatchError where query.model_id is not that of the memory, LatentError
        where the vector has another length.
        """
        with self._answering() as answering:
            if answering is None:
                return []
            projection, journal = answering
            if query.model_id:
                journal.require_model(query.model_id)
            if query.vector is not None:
                as_latent(query.vector, projection.spec.z_dim)
            ranked = thinned(projection.index,
                             projection.index.search(replace(query, k=pool_size(query))), query)
            memories = {
                seq: memory for part in sound_parts(
                    lambda seqs: journal.get(seqs, with_thumbnails),
                    [hit.seq for hit in ranked], projection.damage.spoiled)
                for seq, memory in part.items()}
        return chosen([
            Hit(memories[hit.seq], hit.distance, _separation_m(memories[hit.seq], query.pose),
                hit.seq)
            for hit in ranked if hit.seq in memories], query)

    def get_memory(self, memory_id: str, with_thumbnail: bool = True) -> Memory | None:
        """One memory by its id, also where no index has it yet; None: there is none."""
        with self._answering() as answering:
            if answering is None:
                return None
            _, journal = answering
            seqs = list(journal.seqs_of([memory_id]).values())
            return next(iter(journal.get(seqs, with_thumbnail).values()), None)

    def get_by_seq(self, seq: int, with_thumbnail: bool = True) -> Memory | None:
        """One memory by its number in the file, as get_memory does it."""
        with self._answering() as answering:
            if answering is None:
                return None
            _, journal = answering
            return journal.get([seq], with_thumbnail).get(seq)

    def newest(self, with_thumbnail: bool = True) -> tuple[int, Memory] | None:
        """The memory that was stored last, of those that are left, and its number."""
        with self._answering() as answering:
            if answering is None:
                return None
            journal = answering[1]
            seq = journal.newest_seq
            memory = journal.get([seq], with_thumbnail).get(seq)
            return None if memory is None else (seq, memory)

    def cells(self) -> CellFigures:
        """Count the memories of each H3 cell; raises IndexUnavailableError for one in Qdrant."""
        with self._answering() as answering:
            if answering is None:
                return CellFigures.none()
            figures = getattr(answering[0].index, 'cell_figures', None)
            if figures is None:
                raise IndexUnavailableError('an index in Qdrant does not count its cells; use the '
                                            'embedded one')
            counted: CellFigures = figures()
            return counted

    @property
    def index_count(self) -> int:
        """Memories that can be found."""
        with self._answering() as answering:
            return 0 if answering is None else answering[0].index.count

    @property
    def index_last_seq(self) -> int:
        """Newest sequence number that was taken in, or forgotten before it could be; 0: none."""
        projection = self._current
        return 0 if projection is None else projection.last_seq

    @property
    def cell_count(self) -> int:
        """H3 cells that hold at least one memory."""
        with self._answering() as answering:
            return 0 if answering is None else answering[0].index.cell_count

    @property
    def spec(self) -> JournalSpec | None:
        """What the memories share; None where there is no file yet."""
        projection = self._current
        return None if projection is None else projection.spec

    @property
    def model_id(self) -> str | None:
        """The bundle whose latents are remembered; None where nothing is."""
        with self._answering() as answering:
            return None if answering is None else answering[1].model_id

    @property
    def loading(self) -> tuple[int, int] | None:
        """Memories taken in so far, and how many there are, while an index is being built."""
        projection = self._next or self._current
        if projection is None or projection.is_loaded:
            return None
        return projection.tally.count, projection.total

    @property
    def is_whole(self) -> bool:
        """Whether all that the file held can be found; False while it is read the first time."""
        projection = self._current
        return projection is None or projection.is_loaded

    @property
    def damage(self) -> str | None:
        """What of the memory is lost; None: nothing, as far as was seen."""
        projection = self._current
        return None if projection is None else projection.damage.text

    @property
    def shipping(self) -> ShippingFigures | None:
        """How far memories are brought to a server; None where the index is on none."""
        projection = self._current
        return None if projection is None else getattr(projection.index, 'figures', None)

    def stats(self) -> JournalStats:
        """
        Figures of the file now; sessions, oldest and newest as of the last refresh.

        They were counted as the memories came in: this takes no time in proportion to them.
        """
        with self._answering() as answering:
            if answering is None:
                return JournalStats(0, 0, 0, None, None, 0)
            projection, journal = answering
            oldest, newest = projection.tally.oldest_newest
            return JournalStats(
                count=journal.count, last_seq=journal.last_seq,
                session_count=projection.tally.session_count, oldest=oldest, newest=newest,
                file_size_bytes=journal.file_size_bytes)


def _separation_m(memory: Memory, pose: Pose | None) -> float:
    return math.nan if pose is None else math.dist(memory.position, pose.position)
