"""The memories of one journal in a server's collection, among those of other robots."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
import uuid

from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.qdrant.filters import AnyOf, Between, Condition, Outside
from spatial_rag_core.memory.qdrant.points import (
    context_payload,
    DIRECTION,
    LATENT,
    Payload,
    Points,
    POSE,
    read_places,
)
from spatial_rag_core.memory.qdrant.ranking import Question
from spatial_rag_core.memory.qdrant.server import translated
from spatial_rag_core.memory.qdrant.shards import ShardKeys
from spatial_rag_core.memory.qdrant_index import Found

import numpy as np
from numpy.typing import NDArray
from qdrant_client import models, QdrantClient

_PAGE = 10_000
_SEQ_BITS = 60


def journal_name(generation: int) -> str:
    """Name of one state of one memory file, as it stands in the payload."""
    return f'{generation:016x}'


def point_id(generation: int, seq: int) -> str:
    """
    UUID of version 8 (RFC 9562), so that whoever ships a memory again replaces it.

    Made of the journal's generation, 62 bits, and the sequence number, 60 bits.
    """
    bits = generation << _SEQ_BITS | seq
    high, middle, low = bits >> 74, bits >> 62 & 0xfff, bits & (1 << 62) - 1
    return str(uuid.UUID(int=high << 80 | 8 << 76 | middle << 64 | 2 << 62 | low))


class CollectionStore:
    """
    The points of one generation of a journal; all others of the collection are left alone.

    where: the server's name in messages.  shards: None where the collection is spread evenly.
    Raises IndexUnavailableError, MissingCollectionError where the collection is not there.
    """

    def __init__(self, client: QdrantClient, collection: str, generation: int, where: str,
                 shards: ShardKeys | None = None) -> None:
        self.generation = generation
        self._client = client
        self._collection = collection
        self._where = where
        self._shards = shards
        self._mine = AnyOf('journal', (journal_name(generation),))

    @property
    def count(self) -> int:
        """Points it holds, counted one by one."""
        with translated(self._where):
            return self._client.count(self._collection, count_filter=filter_of([self._mine]),
                                      exact=True).count

    def put(self, points: Points, extras: Mapping[int, Payload] | None = None) -> None:
        """
        Store points, or replace those of the same numbers; returns once they can be found.

        extras: more payload by sequence number.
        """
        name, more = self._mine.values[0], extras or {}
        structs = [models.PointStruct(
            id=point_id(self.generation, seq), vector={**vectors},
            payload={**payload, 'journal': name, 'seq': seq, **more.get(seq, {})})
            for seq, vectors, payload in zip(*points, strict=True)]
        with translated(self._where):
            for key, part in self._by_shard(structs):
                self._client.upsert(self._collection, part, wait=True, shard_key_selector=key)

    def _by_shard(self, structs: list[models.PointStruct]) -> Iterable[
            tuple[str | None, list[models.PointStruct]]]:
        if self._shards is None:
            return [(None, structs)]
        return self._shards.divided(structs)

    def delete(self, seqs: Sequence[int]) -> None:
        """Remove points; numbers that it does not hold are passed over."""
        with translated(self._where):
            self._client.delete(self._collection, models.PointIdsList(points=self._ids(seqs)),
                                wait=True)

    def set_context(self, seqs: Sequence[int], context: Context) -> None:
        """Replace the words of points; numbers that it does not hold are passed over."""
        held = models.Filter(must=[models.HasIdCondition(has_id=self._ids(seqs))])
        with translated(self._where):
            self._client.set_payload(self._collection, context_payload(context), points=held,
                                     wait=True)

    def _ids(self, seqs: Sequence[int]) -> list[models.ExtendedPointId]:
        return [point_id(self.generation, seq) for seq in seqs]

    def find(self, question: Question, conditions: Sequence[Condition], limit: int,
             is_exact: bool) -> Found:
        """At most `limit` points that satisfy all conditions, nearest first."""
        points = ask(self._client, self._collection, self._where, self._shards, question,
                     [*conditions, self._mine], limit, is_exact, ['seq', 'place'],
                     question.using != POSE)
        return found_of(points, question, np.array(
            [payload_of(point)['seq'] for point in points], np.int64))

    def seqs(self) -> NDArray[np.int64]:
        """Sequence numbers of all points, ascending; takes time in proportion to them."""
        found, offset = list[int](), None
        with translated(self._where):
            while True:
                records, offset = self._client.scroll(
                    self._collection, filter_of([self._mine]), limit=_PAGE, offset=offset,
                    with_payload=['seq'], with_vectors=False)
                found += [payload_of(record)['seq'] for record in records]
                if offset is None:
                    return np.sort(np.array(found, np.int64))

    def delete_all(self) -> None:
        """Remove all points of this generation."""
        with translated(self._where):
            self._client.delete(self._collection, models.FilterSelector(
                filter=filter_of([self._mine])), wait=True)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def ask(client: QdrantClient, collection: str, where: str, shards: ShardKeys | None,
        question: Question, conditions: Sequence[Condition], limit: int, is_exact: bool,
        payload: list[str] | bool, with_latents: bool) -> list[models.ScoredPoint]:
    """At most `limit` points that satisfy all conditions, nearest first."""
    with translated(where):
        keys = None if shards is None else shards.that_may_hold(conditions)
        if keys == []:
            return []
        return client.query_points(
            collection, question.vector.tolist(), using=question.using, limit=limit,
            query_filter=filter_of(conditions), with_payload=payload,
            search_params=models.SearchParams(exact=True) if is_exact else None,
            shard_key_selector=keys,
            with_vectors=[LATENT] if with_latents else False).points


def found_of(points: Sequence[models.ScoredPoint], question: Question,
             numbers: NDArray[np.int64]) -> Found:
    """Points as arrays; numbers: what they are called, int64 [n]."""
    latents = [latent_of(point) for point in points] if question.using != POSE else []
    told = np.array([point.score for point in points], np.float64)
    return Found(numbers, read_places([payload_of(point)['place'] for point in points]),
                 np.array(latents, np.float32).reshape(len(points), -1 if latents else 0),
                 1.0 - told if question.using == DIRECTION else told)


def payload_of(point: models.ScoredPoint | models.Record) -> Payload:
    """What a point carries."""
    return point.payload or {}


def latent_of(point: models.ScoredPoint | models.Record) -> list[float]:
    """Return its latent, as it was stored."""
    vectors: Any = point.vector
    latent: list[float] = vectors[LATENT]
    return latent


def filter_of(conditions: Sequence[Condition]) -> models.Filter:
    """Conditions in the words of the client."""
    return models.Filter(
        must=[_condition(each) for each in conditions if not isinstance(each, Outside)],
        must_not=[models.FieldCondition(key=each.field, range=models.Range(
            gt=each.low, lt=each.high)) for each in conditions if isinstance(each, Outside)])


def _condition(condition: AnyOf | Between) -> models.FieldCondition:
    if isinstance(condition, Between):
        return models.FieldCondition(key=condition.field, range=models.Range(
            gte=condition.low, lte=condition.high))
    values: Any = list(condition.values)
    return models.FieldCondition(key=condition.field, match=(
        models.MatchValue(value=values[0]) if len(values) == 1 else models.MatchAny(any=values)))
