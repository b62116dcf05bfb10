"""One connection of a shipper to a server: the collection, the checkpoints, what was sent."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator

from spatial_rag_core.errors import JournalDamagedError
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.file.damage import sound_parts
from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.qdrant.checkpoints import Checkpoint, Checkpoints
from spatial_rag_core.memory.qdrant.collection import CollectionStore
from spatial_rag_core.memory.qdrant.points import Payload, points_of, rows_among
from spatial_rag_core.memory.qdrant.server import ensure_collection, require_version
from spatial_rag_core.memory.qdrant.shards import ShardKeys
from spatial_rag_core.memory.qdrant.shipped_generations import ShippedGenerations
from spatial_rag_core.records import Memory
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np
from numpy.typing import NDArray
from qdrant_client import QdrantClient


def fleet_payload(memory: Memory) -> Payload:
    """Return what the rest of a fleet needs of a memory, whose journal it cannot read."""
    payload: Payload = {'id': memory.id, 'model_id': memory.model_id, 'cell': memory.h3_cell,
                        'action': memory.action.tolist()}
    if memory.thumbnail:
        payload['thumbnail'] = base64.b64encode(memory.thumbnail).decode()
    return payload


class Link:
    """
    Brings what one generation of a journal holds to a server.

    Each send_… sends at most one batch and returns how many memories it moved. Raises
    IndexUnavailableError, ConfigurationError for a collection of another z_dim, journal errors.
    unreadable: sequence numbers that the journal cannot read; noted here, and passed over.
    """

    def __init__(self, client: QdrantClient, journal: Journal, config: IndexConfig, source: str,
                 unreadable: set[int]) -> None:
        self.generation = journal.generation
        self.lost = 0
        self._journal, self._config, self._source = journal, config, source
        self._unreadable = unreadable
        self._missing: NDArray[np.int64] = np.empty(0, np.int64)
        require_version(client, config.where)
        ensure_collection(client, config, journal.spec.z_dim, journal.spec.h3_resolution)
        self._shipped = ShippedGenerations(journal.path)
        self._shipped_to = f'{config.where}/{config.collection}'
        self._shipped.add(self._shipped_to, self.generation)
        self._checkpoints = Checkpoints(client, config.collection, config.where)
        self._checkpoints.ensure()
        self._store_of: Callable[[int], CollectionStore] = lambda generation: CollectionStore(
            client, config.collection, generation, config.where, self._shards(client))
        self._store = self._store_of(self.generation)
        self.reached = self._checkpoints.read(self.generation) or Checkpoint(
            0, journal.last_change, source)

    def _shards(self, client: QdrantClient) -> ShardKeys | None:
        resolution = self._config.shard_resolution
        return None if resolution is None else ShardKeys(
            client, self._config.collection, resolution)

    def send_changes(self) -> int | None:
        """Forget and relabel on the server; None: the log does not reach back so far."""
        changes = self._journal.changes_after(self.reached.last_change, self._config.batch_size)
        if changes is None:
            return None
        if changes.last == self.reached.last_change:
            return 0
        if len(changes.forgotten):
            self._store.delete(changes.forgotten.tolist())
            self._unreadable.difference_update(changes.forgotten.tolist())
        for rows in sound_parts(self._journal.index_rows, changes.relabelled.tolist(),
                                self._unreadable.add):
            for key in np.unique(rows.contexts).tolist():
                self._store.set_context(rows.seqs[rows.contexts == key].tolist(),
                                        rows.context_table[key])
        moved = changes.last - self.reached.last_change
        self._reach(last_change=changes.last)
        return moved

    def send_all_again(self) -> None:
        """Begin from the first memory; what is there is replaced, not removed before."""
        self._reach(last_seq=0, last_change=self._journal.last_change)

    def send_new(self) -> int:
        """Send the next memories that were stored."""
        after, newest = self.reached.last_seq, self._journal.last_seq
        if newest == after:
            return 0
        try:
            rows = self._journal.index_rows_after(after, self._config.batch_size)
            parts = iter([rows])
            end = int(rows.seqs[-1]) if len(rows.seqs) else newest  # else all were forgotten
        except JournalDamagedError:
            end = min(after + self._config.batch_size, newest)
            parts = self._sound(range(after + 1, end + 1))
        moved = sum(map(self._send, parts))
        self._reach(last_seq=end)
        return moved

    @property
    def is_repairing(self) -> bool:
        """Whether send_missing has work to do."""
        return len(self._missing) > 0

    def send_missing(self) -> int:
        """Send the next memories that the server lost."""
        part, self._missing = np.split(self._missing, [self._config.batch_size])
        return sum(map(self._send, self._sound(part.tolist())))

    def _sound(self, seqs: range | list[int]) -> Iterator[IndexRows]:
        return sound_parts(self._journal.index_rows, seqs, self._unreadable.add)

    def _send(self, rows: IndexRows) -> int:
        memories = {seq: memory for part in sound_parts(
            lambda seqs: self._journal.get(seqs, self._config.with_thumbnails),
            rows.seqs.tolist(), self._unreadable.add) for seq, memory in part.items()}
        rows = rows_among(rows, np.isin(rows.seqs, list(memories)))
        if len(rows.seqs):
            spec = self._journal.spec
            self._store.put(points_of(rows, LocalFrame(spec.datum), spec.h3_resolution),
                            {seq: fleet_payload(memory) for seq, memory in memories.items()})
        return len(rows.seqs)

    def _reach(self, **fields: int) -> None:
        """Tell the server how far it has come, after it has confirmed all up to there."""
        reached = self.reached._replace(**fields, source=self._source)
        self._checkpoints.write(self.generation, reached)
        self.reached = reached

    def compare(self) -> bool:
        """
        Count the server's memories; where they are not the journal's, find out which.

        Returns whether they are the same; False as well where there is something to send first.
        """
        with self._journal.snapshot():
            expected = self._journal.count - len(self._unreadable)
            is_level = (self._journal.last_seq, self._journal.last_change) == (
                self.reached.last_seq, self.reached.last_change)
        if not is_level or self._store.count == expected:
            return is_level
        held, mine = self._store.seqs(), self._journal_seqs()
        self._missing = np.setdiff1d(mine, held, assume_unique=True)
        self.lost += len(self._missing)
        extra = np.setdiff1d(held, mine, assume_unique=True)
        for start in range(0, len(extra), self._config.batch_size):
            self._store.delete(extra[start:start + self._config.batch_size].tolist())
        return not self.is_repairing

    def _journal_seqs(self) -> NDArray[np.int64]:
        """Sequence numbers up to the checkpoint that can be read."""
        found, after = [np.empty(0, np.int64)], 0
        while after < self.reached.last_seq:
            end = min(after + 10_000, self.reached.last_seq)
            found += [rows.seqs for rows in self._sound(range(after + 1, end + 1))]
            after = end
        seqs = np.concatenate(found)
        return seqs[~np.isin(seqs, list(self._unreadable))]

    def remove_old_generations(self) -> None:
        """Remove what was shipped of this memory file before it was changed as a whole."""
        for generation in self._shipped.others(self._shipped_to, self.generation):
            self._store_of(generation).delete_all()
            self._checkpoints.delete(generation)
            self._shipped.remove(self._shipped_to, generation)

    def close(self) -> None:
        """Close the connection."""
        self._store.close()
