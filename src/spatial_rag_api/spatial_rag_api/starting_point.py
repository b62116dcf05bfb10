"""The present, from which is imagined: out of the request, a picture, or a memory."""

from __future__ import annotations

from typing import NamedTuple

from spatial_rag_api.conversions import pose_from
from spatial_rag_api.followed_memory import FollowedMemory
from spatial_rag_api.schemas.starts import StartFields
from spatial_rag_core.errors import ConfigurationError, ModelMismatchError
from spatial_rag_core.models.bundle_metadata import BundleMetadata
from spatial_rag_core.models.imagined import History
from spatial_rag_core.records import as_latent, Memory, MemoryQuery, Pose, Vector
from spatial_rag_core.streams.latent_history import LatentHistory

_MOST_BEFORE = 1000
"""Memories that are looked at for what was before the present."""


class StartingPoint(NamedTuple):
    """
    The present.

    z: latent, float32 [z_dim].  pose: in the map frame; None: not known.  time_sec: Unix time;
    None: not known.  history: what was before it; None: not known, or the model needs none.
    """

    z: Vector
    pose: Pose | None
    time_sec: float | None
    history: History | None


def require_one_start(asked: StartFields) -> None:
    """Raise ConfigurationError unless the present is told in exactly one way."""
    told = [name for name in ('z', 'picture_base64', 'from_memory')
            if getattr(asked, name) is not None]
    if len(told) != 1:
        raise ConfigurationError('the present must be told in one way, got '
                                 f'{" and ".join(told) or "none"}; give z, picture_base64 or '
                                 'from_memory')


def start_at(z: Vector, asked: StartFields) -> StartingPoint:
    """The present with this latent; raises PoseError."""
    return StartingPoint(z, pose_from(asked.pose), asked.time_sec, None)


def start_of_latent(asked: StartFields, metadata: BundleMetadata) -> StartingPoint:
    """The present that a request tells itself; raises LatentError, ModelMismatchError."""
    if asked.model_id not in (None, metadata.model_id):
        raise ModelMismatchError(f'z is of model {asked.model_id}, this is {metadata.model_id}; '
                                 'encode the picture again')
    assert asked.z is not None
    return start_at(as_latent(asked.z, metadata.z_dim), asked)


def start_of_memory(asked: StartFields, memory: FollowedMemory,
                    metadata: BundleMetadata) -> StartingPoint:
    """
    The present as it was at a memory; a pose or time of the request goes before its own.

    Raises UnknownMemoryError, ModelMismatchError, JournalError.
    """
    memory.require_same_model()
    there = memory.latest(False)[1] if asked.from_memory == 'latest' else (
        memory.memory(int(asked.from_memory or 0), with_picture=False))
    return StartingPoint(
        as_latent(there.vector, metadata.z_dim), pose_from(asked.pose) or there.pose,
        there.timestamp if asked.time_sec is None else asked.time_sec,
        _history_before(there, memory, metadata))


def _history_before(there: Memory, memory: FollowedMemory,
                    metadata: BundleMetadata) -> History | None:
    """Latents and actions of the memories before one, as far as the model looks back."""
    if not metadata.history:
        return None
    reach_sec = (metadata.history + 1) * metadata.step_sec
    hits = memory.find(MemoryQuery(
        k=_MOST_BEFORE, pose=there.pose, rank_by='pose', after=there.timestamp - reach_sec,
        before=there.timestamp, session=there.session))
    history = LatentHistory(metadata.history, metadata.step_sec)
    for hit in sorted(hits, key=lambda hit: hit.memory.timestamp):
        if len(hit.memory.action) == metadata.action_dim:
            history.add(round(hit.memory.timestamp * 1e9), hit.memory.vector, hit.memory.action)
    return history.at(round(there.timestamp * 1e9))
