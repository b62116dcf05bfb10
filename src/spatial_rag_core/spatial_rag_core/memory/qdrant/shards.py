"""A collection spread over a cluster by place: each coarse H3 cell is a shard of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
import threading
import time

from spatial_rag_core.memory.qdrant.filters import AnyOf, Condition
from spatial_rag_core.memory.qdrant.points import Payload

from h3.api import basic_int
from qdrant_client import models, QdrantClient
from qdrant_client.http.exceptions import UnexpectedResponse

_FRESH_SEC = 2.0


class ShardKeys:
    """
    The shard keys of a collection: H3 cells of one coarse resolution, in hexadecimal.

    They are made as memories come to new places. May be used in several threads.
    """

    def __init__(self, client: QdrantClient, collection: str, resolution: int,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._collection = collection
        self._resolution = resolution
        self._clock = clock
        self._known: set[str] = set()
        self._asked_at = -float('inf')
        self._lock = threading.Lock()

    def divided(self, points: Sequence[models.PointStruct]) -> Iterable[
            tuple[str, list[models.PointStruct]]]:
        """Points by the shard that they belong to, which is there then."""
        parts: dict[str, list[models.PointStruct]] = {}
        for point in points:
            parts.setdefault(self._key_of(point.payload or {}), []).append(point)
        for key in parts:
            self._ensure(key)
        return parts.items()

    def _key_of(self, payload: Payload) -> str:
        place = payload['location']
        return str(basic_int.int_to_str(
            basic_int.latlng_to_cell(place['lat'], place['lon'], self._resolution)))

    def _ensure(self, key: str) -> None:
        if key in self._known or key in self._refreshed():
            return
        try:
            self._client.create_shard_key(self._collection, key)
        except UnexpectedResponse:
            if key not in self._refreshed():  # else another robot was there just before
                raise
        with self._lock:
            self._known = {*self._known, key}

    def that_may_hold(self, conditions: Sequence[Condition]) -> list[int | str] | None:
        """
        Shards in which all that satisfies the conditions lies; None: any.

        A cell lies in its parent but for a rim, and that lies in the parent's neighbours.
        """
        cells = [cell for each in conditions
                 if isinstance(each, AnyOf) and each.field.startswith('h3_')
                 for cell in each.values if isinstance(cell, int)]
        if not cells or basic_int.get_resolution(cells[0]) < self._resolution:
            return None
        parents = {basic_int.cell_to_parent(cell, self._resolution) for cell in cells}
        wanted = {str(basic_int.int_to_str(near)) for parent in parents
                  for near in basic_int.grid_disk(parent, 1)}
        is_fresh = self._clock() < self._asked_at + _FRESH_SEC
        return sorted(wanted & (self._known if is_fresh else self._refreshed()))

    def _refreshed(self) -> set[str]:
        """Ask which there are: other robots make them too."""
        now = self._clock()
        info = self._client.collection_cluster_info(self._collection)
        keys = [*(shard.shard_key for shard in info.local_shards),
                *(shard.shard_key for shard in info.remote_shards)]
        found = {str(key) for key in keys if key is not None}
        with self._lock:
            self._known, self._asked_at = found, now
        return found
