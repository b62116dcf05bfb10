"""Which of the nearest memories are the answer."""

from __future__ import annotations

from collections.abc import Sequence

from spatial_rag_core.memory.answering.diversity import diverse
from spatial_rag_core.memory.index import MemoryIndex, Ranked
from spatial_rag_core.records import Hit, MemoryQuery
from spatial_rag_core.spatial.pose_arrays import pose_array
from spatial_rag_core.spatial.seen_again import replaced_at

import numpy as np

LARGEST_POOL = 10_000  # what one query may ask of an index
_LARGEST_COMPARED = 2048  # newest() compares each with each

# Times as many of the nearest as are wanted are chosen from:
_FOR_DIVERSITY = 4
_FOR_NEWEST = 32  # a place that was passed so often still gives all that are wanted


def pool_size(query: MemoryQuery) -> int:
    """How many of the nearest to ask an index for, so that chosen() has a choice."""
    pool = _pool(query)
    if query.newest_only:
        pool = max(pool, min(pool * _FOR_NEWEST, _LARGEST_COMPARED))
    return min(pool, LARGEST_POOL)


def chosen(hits: Sequence[Hit], query: MemoryQuery) -> list[Hit]:
    """At most query.k of the hits, which come nearest first: newest_only, then diversity."""
    current = newest(hits) if query.newest_only else hits
    return diverse(current[:_pool(query)], query)


def _pool(query: MemoryQuery) -> int:
    return query.k * (1 if query.diversity == 0.0 else _FOR_DIVERSITY)


def thinned(index: MemoryIndex, ranked: list[Ranked], query: MemoryQuery) -> list[Ranked]:
    """Leave out what chosen() would anyway, before it is read, where the index knows enough."""
    if not query.newest_only or len(ranked) < 2:
        return ranked
    views = index.views(np.array([one.seq for one in ranked], np.int64))
    if views is None:
        return ranked
    stands = np.isinf(replaced_at(views.poses, views.timestamps))
    return [one for one, is_newest in zip(ranked, stands.tolist(), strict=True)
            if is_newest][:_pool(query)]


def newest(hits: Sequence[Hit]) -> list[Hit]:
    """Those hits that no newer hit replaces, in their order."""
    if len(hits) < 2:
        return list(hits)
    poses = np.array([pose_array(hit.memory.pose) for hit in hits])
    gone = replaced_at(poses, np.array([hit.memory.timestamp for hit in hits]))
    return [hit for hit, when in zip(hits, gone.tolist(), strict=True) if when == np.inf]
