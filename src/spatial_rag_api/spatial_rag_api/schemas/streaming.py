"""What /stream-rollout is asked and sends."""

from __future__ import annotations

from typing import Literal

from spatial_rag_api.limits import MAX_ADDRESS, MAX_BANK, MAX_RATE_HZ, MAX_STEPS
from spatial_rag_api.schemas.imagining import Imagining
from spatial_rag_api.schemas.numbers import (
    MemoryUse,
    Metres,
    Name,
    Radius,
    RequestModel,
    Seconds,
    Seq,
    UnixTime,
)

from pydantic import BaseModel, Field


class StreamQuery(RequestModel):
    """A rollout in the address, for EventSource; exactly one of z and from_memory."""

    actions: str = Field(
        '', max_length=MAX_ADDRESS, description='One action [action_dim] with commas between, or '
        'some with semicolons between; the last one goes on to the end; left out: zeros',
        examples=['0.5,0.0', '0.5,0.0;0.5,0.3'])
    steps: int = Field(16, ge=1, le=MAX_STEPS, description='Steps to imagine')
    z: str | None = Field(None, max_length=MAX_ADDRESS, description='Latent [z_dim], numbers with '
                          'commas between, as /encode gives it')
    from_memory: Seq | Literal['latest'] | None = Field(
        None, description='Begin at this memory, or at the newest', examples=['latest'])
    model_id: Name | None = Field(None, description='Author of z; another than the model: 409')
    x_m: Metres | None = Field(None, description='Where the present is, map frame [m]; with y_m')
    y_m: Metres | None = Field(None, description='Where the present is, map frame [m]; with x_m')
    z_m: Metres = Field(0.0, description='Height in the map frame [m]')
    yaw_rad: float | None = Field(None, allow_inf_nan=False, description='Heading [rad]')
    time_sec: UnixTime | None = Field(None, description='When the present is, Unix time [s]')
    memory: MemoryUse = Field('on', description='on, off, or shuffled: as of /rollout')
    memory_radius_m: Radius = Field(6.0, description='As of /rollout [m]')
    memory_count: int = Field(128, ge=1, le=MAX_BANK, description='As of /rollout')
    memory_min_age_sec: Seconds = Field(5.0, description='As of /rollout [s]')
    map_id: Name | None = Field(None, description='As of /rollout')
    rate_hz: float = Field(10.0, gt=0.0, le=MAX_RATE_HZ, allow_inf_nan=False,
                           description='Steps sent a second [Hz]')
    pictures: bool = Field(True, description='Decode each step to a JPEG')
    repeat: bool = Field(False, description='Begin anew at the end, with from_memory=latest '
                         'where the robot is by then; until the client goes')


class StreamStart(Imagining):
    """Data of an event `start`: a rollout begins; its steps follow."""

    rollout: int = Field(description='1 for the first; counts up with repeat')
    steps: int = Field(description='That follow')


class StreamEnd(BaseModel):
    """Data of the event `end`, the last one."""

    reason: Literal['horizon', 'time_limit'] = Field(
        description='horizon: all steps were sent; time_limit: the server ends streams after a '
        'while; ask again')
