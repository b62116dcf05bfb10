"""Qdrant Edge: the same engine as the server's, in this process, its data in a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import contextlib
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.file.connection import make_folders
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.qdrant.filters import AnyOf, Between, Condition, Outside
from spatial_rag_core.memory.qdrant.points import (
    cell_field,
    cell_resolutions,
    context_payload,
    DIRECTION,
    LATENT,
    NUMBERS,
    Places,
    Points,
    POSE,
    POSE_DIM,
    read_places,
    WORDS,
)
from spatial_rag_core.memory.qdrant.ranking import Question
from spatial_rag_core.memory.qdrant_index import Found

import numpy as np
from numpy.typing import NDArray
import qdrant_edge as edge

_AT_ONCE = 250
"""Points in one update: it holds up all other threads of the process, about 25 µs a point."""
_PAGE = 10_000
_EDGE_FAILURES = ('Exception', 'PanicException')
"""Names of what Edge raises: Exception itself, and of damaged data what no except catches."""


class EdgeStore:
    """
    The points of one journal in a folder; the number of a point is its sequence number.

    Made where the folder holds none. What was put survives the death of the process: Qdrant
    keeps a log ahead of its data. Raises IndexUnavailableError where the folder cannot be used:
    by another at the same time, with another z_dim, or because its data are damaged.
    """

    def __init__(self, folder: str | Path, z_dim: int, resolution: int) -> None:
        self.folder = Path(folder).expanduser()
        self._z_dim = z_dim
        with self._translated():
            self._shard = self._opened(resolution)

    def _opened(self, resolution: int) -> edge.EdgeShard:
        config = _config(self._z_dim)
        if (self.folder / 'edge_config.json').exists():
            shard = edge.EdgeShard.load(str(self.folder), config)
        else:
            make_folders(self.folder)
            shard = edge.EdgeShard.create(str(self.folder), config)
        there = shard.info().payload_schema
        for field, schema in _indexed_fields(resolution):
            if field not in there:
                shard.update(edge.UpdateOperation.create_field_index(field, schema))
        return shard

    @property
    def count(self) -> int:
        """Points it holds."""
        with self._translated():
            return self._shard.info().points_count

    def put(self, points: Points) -> None:
        """Store points, or replace those of the same numbers."""
        with self._translated():
            for start in range(0, len(points.seqs), _AT_ONCE):
                part = slice(start, start + _AT_ONCE)
                self._shard.update(edge.UpdateOperation.upsert_points([
                    edge.Point(seq, {**vectors}, payload) for seq, vectors, payload in zip(
                        points.seqs[part], points.vectors[part], points.payloads[part],
                        strict=True)]))

    def delete(self, seqs: Sequence[int]) -> None:
        """Remove points; numbers that it does not hold are passed over."""
        with self._translated():
            self._shard.update(edge.UpdateOperation.delete_points(list(seqs)))

    def set_context(self, seqs: Sequence[int], context: Context) -> None:
        """Replace the words of points; numbers that it does not hold are passed over."""
        with self._translated():
            self._shard.update(edge.UpdateOperation.set_payload_by_filter(
                edge.Filter(must=[edge.HasIdCondition(set(seqs))]), context_payload(context)))

    def find(self, question: Question, conditions: Sequence[Condition], limit: int,
             is_exact: bool) -> Found:
        """At most `limit` points that satisfy all conditions, nearest first."""
        has_latent = question.using != POSE
        with self._translated():
            points = self._shard.query(edge.QueryRequest(
                limit=limit,
                query=edge.Query.Nearest(question.vector.tolist(), using=question.using),
                filter=_filter(conditions), params=edge.SearchParams(exact=is_exact),
                with_payload=['place'], with_vector=[LATENT] if has_latent else False))
        told = np.array([point.score for point in points], np.float64)
        latents = [_latent(point) for point in points] if has_latent else []
        return Found(
            np.array([point.id for point in points], np.int64),
            read_places([(point.payload or {})['place'] for point in points]),
            np.array(latents, np.float32).reshape(len(points), -1 if latents else 0),
            1.0 - told if question.using == DIRECTION else told)

    def seqs(self) -> NDArray[np.int64]:
        """Sequence numbers of all points, ascending; about a second for a million."""
        found, offset = list[int](), None
        with self._translated():
            while True:
                records, offset = self._shard.scroll(edge.ScrollRequest(
                    offset=offset, limit=_PAGE, with_payload=False, with_vector=False))
                found += [int(record.id) for record in records]
                if offset is None:
                    return np.array(found, np.int64)

    def places(self, seqs: Sequence[int]) -> dict[int, Places]:
        """Places, PLACE [1] each, of those of these points that it holds."""
        with self._translated():
            records = self._shard.retrieve(list(seqs), ['place'], False)
        return {int(record.id): read_places([(record.payload or {})['place']])
                for record in records}

    def compact(self) -> None:
        """Give back the room of removed points; holds up all threads, 30 µs a point."""
        with self._translated():
            self._shard.optimize()

    def close(self) -> None:
        """Write everything to the folder and let go of it."""
        with self._translated():
            self._shard.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            if type(error).__name__ not in _EDGE_FAILURES:
                raise
            raise IndexUnavailableError(
                f'Qdrant Edge in {self.folder}: {_one_line(error)}; close what else uses the '
                'folder, look at the disk, or delete the folder: it is built anew from the '
                'memory file') from error


def _latent(point: edge.ScoredPoint) -> list[float]:
    vectors: Any = point.vector
    latent: list[float] = vectors[LATENT]
    return latent


def _one_line(error: BaseException) -> str:
    return ' '.join(str(error).split())[:300]


def _config(z_dim: int) -> edge.EdgeConfig:
    """
    No graphs (m=0): to build one holds up the whole process for minutes.

    What a graph would spare, an unbounded query costs: about 30 ms for a million memories.
    """
    return edge.EdgeConfig(
        vectors={LATENT: edge.EdgeVectorParams(z_dim, edge.Distance.Euclid),
                 DIRECTION: edge.EdgeVectorParams(z_dim, edge.Distance.Cosine),
                 POSE: edge.EdgeVectorParams(POSE_DIM, edge.Distance.Euclid)},
        hnsw_config=edge.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=_PAGE,
                                         payload_m=0))


def _indexed_fields(resolution: int) -> Iterator[tuple[str, edge.PayloadSchemaParams]]:
    for other in cell_resolutions(resolution):
        yield cell_field(other), edge.IntegerIndexParams(lookup=True, range=False)
    for field in NUMBERS:
        yield field, edge.FloatIndexParams()
    for field in WORDS:
        yield field, edge.KeywordIndexParams()


def _filter(conditions: Sequence[Condition]) -> edge.Filter | None:
    if not conditions:
        return None
    return edge.Filter(
        must=[_condition(each) for each in conditions if not isinstance(each, Outside)],
        must_not=[edge.FieldCondition(each.field, range=edge.RangeFloat(
            gt=each.low, lt=each.high)) for each in conditions if isinstance(each, Outside)])


def _condition(condition: AnyOf | Between) -> edge.FieldCondition:
    if isinstance(condition, Between):
        return edge.FieldCondition(condition.field, range=edge.RangeFloat(
            gte=condition.low, lte=condition.high))
    values: Any = list(condition.values)
    return edge.FieldCondition(condition.field, match=(
        edge.MatchValue(values[0]) if len(values) == 1 else edge.MatchAny(values)))
