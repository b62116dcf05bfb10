"""Answers queries: follows the journal, asks the index, brings whole memories back."""

from __future__ import annotations

from collections.abc import Callable
import math
from pathlib import Path

from spatial_rag_core.errors import JournalMismatchError
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import MemoryIndex
from spatial_rag_core.memory.journal import Journal, JournalStats
from spatial_rag_core.memory.journal_schema import JournalSpec
from spatial_rag_core.records import as_latent, Hit, Memory, MemoryQuery, Pose
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame


def embedded_index(spec: JournalSpec) -> MemoryIndex:
    """The index that lives in this process."""
    return CellIndex(H3Grid(LocalFrame(spec.datum), spec.h3_resolution), spec.z_dim)


class Retriever:
    """
    Reads a memory file that another process may be writing.

    The file may not exist yet: then nothing is found until it does. Where it is deleted or
    replaced, the index is built anew. map_frame: the frame that its poses must be in, None: any.
    Journal errors come out of every method (see journal.py); a later call tries again.
    """

    def __init__(self, path: str | Path,
                 make_index: Callable[[JournalSpec], MemoryIndex] = embedded_index,
                 map_frame: str | None = None) -> None:
        self.path = Path(path).expanduser()
        self._make_index = make_index
        self._map_frame = map_frame
        self._journal: Journal | None = None
        self._index: MemoryIndex | None = None
        self.close()

    def close(self) -> None:
        """Close the memory file."""
        if self._journal is not None:
            self._journal.close()
        self._journal = self._index = None
        self._sessions: set[str] = set()
        self._oldest, self._newest = math.inf, -math.inf

    def refresh(self) -> int:
        """Take in what was stored since; returns how many memories are new to the index."""
        if self._journal is not None and self._journal.is_detached:
            self.close()
        if self._journal is None:
            self._journal = self._open()
        if self._journal is None:
            return 0
        if self._index is None:
            self._index = self._make_index(self._journal.spec)
        before = self._index.count
        while len((rows := self._journal.index_rows_after(self._index.last_seq)).seqs):
            self._index.add(rows)
            self._sessions.update(rows.sessions)
            self._oldest = min(self._oldest, float(rows.timestamps.min()))
            self._newest = max(self._newest, float(rows.timestamps.max()))
        return self._index.count - before

    def _open(self) -> Journal | None:
        journal = Journal.open_reader(self.path)
        if journal is not None and self._map_frame not in (None, journal.spec.map_frame):
            journal.close()
            raise JournalMismatchError(
                f'{self.path} holds poses in frame {journal.spec.map_frame!r}, asked in '
                f'{self._map_frame!r}; set map_frame: {journal.spec.map_frame} or name another '
                'memory_path')
        return journal

    def query(self, query: MemoryQuery, with_thumbnails: bool = False) -> list[Hit]:
        """
        Find memories, nearest first; nothing is found before the first refresh.

        Raises ModelMismatchError where query.model_id is not that of the memory, LatentError
        where the vector has another length.
        """
        if self._journal is None or self._index is None:
            return []
        if query.vector is not None:
            as_latent(query.vector, self._journal.spec.z_dim)
        if query.model_id:
            self._journal.require_model(query.model_id)
        ranked = self._index.search(query)
        memories = self._journal.get([hit.seq for hit in ranked], with_thumbnails)
        return [Hit(memories[hit.seq], hit.distance, _separation_m(memories[hit.seq], query.pose))
                for hit in ranked if hit.seq in memories]

    @property
    def index_count(self) -> int:
        """Memories that can be found."""
        return 0 if self._index is None else self._index.count

    @property
    def index_last_seq(self) -> int:
        """Newest sequence number that can be found; 0: none."""
        return 0 if self._index is None else self._index.last_seq

    @property
    def cell_count(self) -> int:
        """H3 cells that hold at least one memory."""
        return 0 if self._index is None else self._index.cell_count

    @property
    def spec(self) -> JournalSpec | None:
        """What the memories share; None where there is no file yet."""
        return None if self._journal is None else self._journal.spec

    @property
    def model_id(self) -> str | None:
        """The bundle whose latents are remembered; None where nothing is."""
        return None if self._journal is None else self._journal.model_id

    def stats(self) -> JournalStats:
        """
        Figures of the memory as of the last refresh, and of the file now; all zero without one.

        They were counted as the memories came in: this takes no time in proportion to them.
        """
        if self._journal is None or self._index is None:
            return JournalStats(0, 0, 0, None, None, 0)
        last_seq = self._journal.last_seq
        is_empty = self._index.count == 0
        return JournalStats(
            count=self._index.count + max(0, last_seq - self._index.last_seq), last_seq=last_seq,
            session_count=len(self._sessions), oldest=None if is_empty else self._oldest,
            newest=None if is_empty else self._newest,
            file_size_bytes=self._journal.file_size_bytes)


def _separation_m(memory: Memory, pose: Pose | None) -> float:
    return math.nan if pose is None else math.dist(memory.position, pose.position)
