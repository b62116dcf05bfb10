"""From what is asked for to memories that are found."""

from __future__ import annotations

from dataclasses import replace
import time

from spatial_rag_api.conversions import hit_out, query_from
from spatial_rag_api.followed_memory import FollowedMemory
from spatial_rag_api.limits import MAX_HITS
from spatial_rag_api.schemas.memories import QueryAnswer, QueryRequest
from spatial_rag_core.errors import ConfigurationError, JournalUnavailableError
from spatial_rag_core.records import as_latent, Vector


def require_one_likeness(asked: QueryRequest) -> None:
    """Raise ConfigurationError where more than one thing is to be like, or nothing is asked."""
    told = [name for name in ('z', 'picture_base64', 'like_seq')
            if getattr(asked, name) is not None]
    if len(told) > 1:
        raise ConfigurationError(f'{" and ".join(told)} are given; give one of them')
    if not told and asked.pose is None:
        raise ConfigurationError('nothing to look for; give z, picture_base64, like_seq or a pose')


def answer(asked: QueryRequest, picture_z: Vector | None, model_id: str,
           memory: FollowedMemory) -> QueryAnswer:
    """
    Find memories.

    picture_z: the latent of its picture, which `model_id` made.  Raises ConfigurationError,
    InputError, ModelMismatchError, JournalError.
    """
    likeness = None if asked.like_seq is None else memory.memory(asked.like_seq, False)
    vector, author = picture_z, None if picture_z is None else model_id
    if likeness is not None:
        vector = likeness.vector
    elif asked.z is not None:
        vector, author = as_latent(asked.z), asked.model_id or model_id
    query = query_from(asked, vector, author)
    begun = time.perf_counter()
    # One more: a memory is like itself, and that is no answer.
    hits = memory.find(query if likeness is None else replace(query, k=min(query.k + 1, MAX_HITS)),
                       asked.pictures)
    time_ms = (time.perf_counter() - begun) * 1e3
    hits = [hit for hit in hits if hit.seq != asked.like_seq][:query.k]
    return QueryAnswer(hits=[hit_out(hit, asked.pictures) for hit in hits],
                       rank_by=query.rank_by, map_frame=_map_frame(memory),
                       search_time_ms=time_ms)


def _map_frame(memory: FollowedMemory) -> str:
    spec = memory.retriever.spec
    if spec is None:
        raise JournalUnavailableError(f'{memory.path} was closed just now; ask again')
    return spec.map_frame
