"""Where imagining begins, and what of the memory it may use."""

from __future__ import annotations

from typing import Annotated, Literal

from spatial_rag_api.limits import MAX_BANK
from spatial_rag_api.schemas.numbers import (
    MemoryUse,
    Name,
    Numbers,
    Radius,
    RequestModel,
    Seconds,
    Seq,
    UnixTime,
)
from spatial_rag_api.schemas.poses import PoseIn

from pydantic import Field

Base64Picture = Annotated[str, Field(
    min_length=4, max_length=16 * 1024 * 1024, json_schema_extra={'contentEncoding': 'base64'})]


class StartFields(RequestModel):
    """
    The present: exactly one of z, picture_base64 and from_memory.

    Memories are looked up around its pose; without one imagining goes without memories.
    """

    z: Numbers | None = Field(None, description='Latent [z_dim], as /encode gives it')
    picture_base64: Base64Picture | None = Field(
        None, description='A JPEG or PNG, base64; it is encoded first')
    from_memory: Seq | Literal['latest'] | None = Field(
        None, description='Sequence number of a memory, or the newest one: what the robot sees '
        'and where it is, to within what it finds worth remembering')
    model_id: Name | None = Field(
        None, description='Author of z; where it is not the model that runs: 409')
    pose: PoseIn | None = Field(
        None, description='Where the present is, map frame; from_memory brings its own')
    time_sec: UnixTime | None = Field(
        None, description='When the present is, Unix time [s]; from_memory brings its own')
    memory: MemoryUse = Field(
        'on', description='on: with memories around the pose; off: without; shuffled: each '
        'latent at the pose of another, a control that shows what memory is worth')
    memory_radius_m: Radius = Field(
        6.0, description='Memories lie at most this far from the pose [m]')
    memory_count: int = Field(
        128, ge=1, le=MAX_BANK, description='At most so many, nearest poses first')
    memory_min_age_sec: Seconds = Field(
        5.0, description='They lie at least this far in time from time_sec [s], where it is '
        'known; 5 as in training')
    map_id: Name | None = Field(None, description='Only memories of this map')
