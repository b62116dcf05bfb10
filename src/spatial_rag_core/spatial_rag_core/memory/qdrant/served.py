"""The index of one retriever on a server: it asks there, and a shipper brings the memories."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.index import IndexRows, Ranked, Views
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.collection import CollectionStore
from spatial_rag_core.memory.qdrant.deadline import Deadline
from spatial_rag_core.memory.qdrant.server import connect
from spatial_rag_core.memory.qdrant.shards import ShardKeys
from spatial_rag_core.memory.qdrant.shipper import QdrantShipper, ShippingFigures
from spatial_rag_core.memory.qdrant.told_memories import ToldMemories
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import MemoryQuery
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np
from numpy.typing import NDArray


class ServedIndex:
    """
    What the memory file holds, found on a server; only search goes there.

    The memories reach the server by the shipper, from the file: adding, removing and relabelling
    here keeps count of what the file holds, and wakes the shipper. What is not shipped yet
    cannot be found: figures says how much that is.
    """

    def __init__(self, config: IndexConfig, spec: JournalSpec, generation: int,
                 shipper: QdrantShipper) -> None:
        client = connect(config, config.timeout_sec)
        shards = None if config.shard_resolution is None else ShardKeys(
            client, config.collection, config.shard_resolution)
        store = CollectionStore(client, config.collection, generation, config.where, shards)
        self._there = QdrantIndex(store, H3Grid(LocalFrame(spec.datum), spec.h3_resolution))
        self._deadline = Deadline(config.timeout_sec, config.where)
        self._shipper = shipper
        self._told = ToldMemories()
        self.last_seq = 0

    @classmethod
    def started(cls, config: IndexConfig, memory_path: str | Path) -> ServedIndex:
        """Make the index of a memory file and start its shipper; asks no server yet."""
        journal = Journal.open_reader(memory_path)
        if journal is None:
            raise IndexUnavailableError(f'{memory_path}: no memory file yet')
        with journal:
            return cls(config, journal.spec, journal.generation,
                       QdrantShipper(memory_path, config).start())

    @property
    def count(self) -> int:
        """Memories of the file; figures says how many of them are not on the server yet."""
        return self._told.count

    @property
    def cell_count(self) -> int:
        """H3 cells that hold at least one memory."""
        return self._told.cell_count

    @property
    def figures(self) -> ShippingFigures:
        """How far the shipping is."""
        return self._shipper.figures()

    def add(self, rows: IndexRows) -> None:
        """Count memories that the file holds, and have them shipped."""
        if len(rows.seqs):
            self._told.add(rows.seqs, rows.cells)
            self.last_seq = int(rows.seqs[-1])
            self._shipper.wake()

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Count memories no more, and have them removed."""
        self._told.remove(seqs)
        self._shipper.wake()

    def relabel(self, rows: IndexRows) -> None:
        """Have the words of memories replaced."""
        self._shipper.wake()

    def views(self, seqs: NDArray[np.int64]) -> Views | None:
        """Return None: that is in the journal."""
        return None

    def search(self, query: MemoryQuery) -> list[Ranked]:
        """
        At most query.k memories, nearest first; equals by sequence number.

        Raises IndexUnavailableError within timeout_sec where the server does not answer; then
        at once for a while.
        """
        return self._deadline.call(lambda: self._there.search(query))

    def close(self) -> None:
        """End the shipping and close the connection."""
        self._shipper.close()
        self._there.close()
