"""How far each journal has been shipped, kept on the server beside its memories."""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone
from typing import NamedTuple

from spatial_rag_core.memory.qdrant.collection import journal_name, payload_of, point_id
from spatial_rag_core.memory.qdrant.server import translated

from qdrant_client import models, QdrantClient
from qdrant_client.http.exceptions import UnexpectedResponse


class Checkpoint(NamedTuple):
    """
    What of a journal is on the server.

    last_seq: all memories up to this one.  last_change: all of the change log up to this entry.
    source: who ships them, for people.
    """

    last_seq: int
    last_change: int
    source: str


class Checkpoints:
    """A small collection with one point for each generation of each journal."""

    def __init__(self, client: QdrantClient, collection: str, where: str) -> None:
        self._client = client
        self._name = f'{collection}_checkpoints'
        self._where = where

    def ensure(self) -> None:
        """Make the collection where it is missing."""
        with translated(self._where):
            if not self._client.collection_exists(self._name):
                with contextlib.suppress(UnexpectedResponse):  # another robot may have made it
                    self._client.create_collection(self._name, models.VectorParams(
                        size=1, distance=models.Distance.EUCLID))

    def read(self, generation: int) -> Checkpoint | None:
        """Return the checkpoint of this generation; None: nothing was shipped yet."""
        with translated(self._where):
            found = self._client.retrieve(self._name, [point_id(generation, 0)])
        if not found:
            return None
        payload = payload_of(found[0])
        return Checkpoint(*(payload[name] for name in Checkpoint._fields))

    def write(self, generation: int, checkpoint: Checkpoint) -> None:
        """Replace the checkpoint of this generation."""
        now = datetime.now(timezone.utc).isoformat(timespec='seconds')
        payload = {**checkpoint._asdict(), 'journal': journal_name(generation),
                   'generation': generation, 'time': now}
        with translated(self._where):
            self._client.upsert(self._name, [models.PointStruct(
                id=point_id(generation, 0), vector=[0.0], payload=payload)], wait=True)

    def delete(self, generation: int) -> None:
        """Remove the checkpoint of this generation."""
        with translated(self._where):
            self._client.delete(self._name, models.PointIdsList(
                points=[point_id(generation, 0)]), wait=True)
