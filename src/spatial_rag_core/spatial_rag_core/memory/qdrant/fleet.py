"""What all robots of a fleet remember: questions to a whole cluster, answered from it alone."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import replace
import math
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.answering.choice import chosen, pool_size
from spatial_rag_core.memory.answering.index_config import IndexConfig
from spatial_rag_core.memory.qdrant.collection import ask, found_of, latent_of, payload_of
from spatial_rag_core.memory.qdrant.deadline import Deadline
from spatial_rag_core.memory.qdrant.filters import AnyOf, Condition
from spatial_rag_core.memory.qdrant.points import read_places
from spatial_rag_core.memory.qdrant.ranking import Question
from spatial_rag_core.memory.qdrant.server import connect
from spatial_rag_core.memory.qdrant.shards import ShardKeys
from spatial_rag_core.memory.qdrant_index import Found, search
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Hit, Memory, MemoryQuery, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np
from qdrant_client import models


class FleetMemory:
    """
    The memories of every robot that ships to one collection.

    Whole memories come from the server: no journal is read. Only those of one model are found,
    for latents of two encoders cannot be compared. Positions mean the same place only on the
    same map, so a query that is bounded or asks for poses must name its map_id.
    spec: datum and dimension of the maps.  May be asked in several threads.
    """

    def __init__(self, config: IndexConfig, spec: JournalSpec, model_id: str) -> None:
        if not config.is_server:
            raise ConfigurationError('a fleet needs a server: index: qdrant, with host, no path')
        self._config = config
        self._grid = H3Grid(LocalFrame(spec.datum), spec.h3_resolution)
        self._author = AnyOf('model_id', (model_id,))
        self._model_id = model_id
        self._client = connect(config, config.timeout_sec)
        self._shards = None if config.shard_resolution is None else ShardKeys(
            self._client, config.collection, config.shard_resolution)
        self._deadline = Deadline(config.timeout_sec, config.where)

    def search(self, query: MemoryQuery) -> list[Hit]:
        """
        At most query.k memories of any robot, nearest first; query.robot asks for one robot's.

        Raises IndexUnavailableError where the server does not answer in time, ConfigurationError
        for a query of another model or without a map_id that it needs.
        """
        if query.model_id not in (None, self._model_id):
            raise ConfigurationError(f'this fleet memory is of model {self._model_id}, asked for '
                                     f'{query.model_id}')
        if query.map_id is None and (query.pose, query.box) != (None, None):
            raise ConfigurationError('a question about places needs a map_id: positions of two '
                                     'maps cannot be compared')
        return self._deadline.call(lambda: self._found(query))

    def _found(self, query: MemoryQuery) -> list[Hit]:
        """A memory that two journals hold, one restored from the other, is found once."""
        wanted = pool_size(query)
        asked = wanted
        while True:
            hits = self._hits(replace(query, k=asked))
            each = {hit.memory.id: hit for hit in reversed(hits)}
            if len(each) >= wanted or len(hits) < asked or asked == 10_000:
                return chosen([hit for hit in hits if each[hit.memory.id] is hit], query)
            asked = min(2 * asked, 10_000)

    def _hits(self, query: MemoryQuery) -> list[Hit]:
        points: list[models.ScoredPoint] = []

        def find(question: Question, conditions: Sequence[Condition], limit: int,
                 is_exact: bool) -> Found:
            asked = ask(self._client, self._config.collection, self._config.where, self._shards,
                        question, [*conditions, self._author], limit, is_exact, True, True)
            points[:] = sorted(asked, key=lambda point: str(point.id))  # by journal, then by age
            numbers = {point.id: number for number, point in enumerate(points)}
            return found_of(asked, question,
                            np.array([numbers[point.id] for point in asked], np.int64))

        return [_hit(points[ranked.seq], ranked.distance, query)
                for ranked in search(find, query, self._grid)]

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _hit(point: models.ScoredPoint, distance: float, query: MemoryQuery) -> Hit:
    memory = memory_of(point)
    separation_m = math.nan if query.pose is None else math.dist(
        memory.position, query.pose.position)
    return Hit(memory, distance, separation_m)


def memory_of(point: models.ScoredPoint) -> Memory:
    """Put a memory together again; its orientation has seven digits."""
    payload: dict[str, Any] = payload_of(point)
    place = read_places([payload['place']])[0]
    return Memory(
        id=payload['id'], vector=np.array(latent_of(point), np.float32),
        pose=Pose(Position(*place['position'].tolist()),
                  Quaternion(*place['orientation'].tolist())),
        h3_cell=payload['cell'], timestamp=float(place['timestamp']),
        model_id=payload['model_id'], action=np.array(payload['action'], np.float32),
        session=payload['session'], robot=payload['robot'], map_id=payload['map_id'],
        labels=tuple(payload['labels']), thumbnail=base64.b64decode(payload.get('thumbnail', '')))
