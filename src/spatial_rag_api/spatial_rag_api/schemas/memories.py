"""What is asked of the memory, and what it answers."""

from __future__ import annotations

from typing import Literal

from spatial_rag_api.limits import MAX_ADDRESS, MAX_HITS
from spatial_rag_api.schemas.imagining import Z_EXAMPLE
from spatial_rag_api.schemas.numbers import (
    Height,
    Labels,
    Metres,
    Name,
    Numbers,
    Radius,
    RequestModel,
    Seconds,
    Seq,
    UnixTime,
)
from spatial_rag_api.schemas.poses import PoseIn, PoseOut
from spatial_rag_api.schemas.starts import Base64Picture

from pydantic import BaseModel, ConfigDict, Field


class QueryFilters(RequestModel):
    """What narrows a query; a field that is left out does not."""

    k: int = Field(8, ge=1, le=MAX_HITS, description='At most so many, nearest first')
    radius_m: Radius | None = Field(None, description='At most this far from the pose [m]')
    max_dz_m: Height | None = Field(
        None, description='At most this much higher or lower than the pose [m]')
    min_age_sec: Seconds = Field(
        0.0, description='At least this far in time from time_sec, before or after [s]')
    time_sec: UnixTime | None = Field(None, description="The asker's moment, Unix time [s]")
    after_sec: UnixTime | None = Field(None, description='Made then or later, Unix time [s]')
    before_sec: UnixTime | None = Field(None, description='Made then or earlier, Unix time [s]')
    session: Name | None = Field(None, description='Of exactly this session')
    robot: Name | None = Field(None, description='Of exactly this robot')
    map_id: Name | None = Field(None, description='Of exactly this map')
    labels: Labels = Field(default_factory=list, description='That carry all of these')
    rank_by: Literal['latent', 'pose'] | None = Field(
        None, description='latent: by likeness; pose: by |Δp|² + 3·(1 − cos Δθ) [m²]; left out: '
        'by latent where there is one')
    metric: Literal['l2', 'cosine'] = Field('l2', description='Distance of latents')
    newest_only: bool = Field(False, description='Of views of one place only the last')
    diversity: float = Field(0.0, ge=0.0, le=1.0, description='0: the nearest; towards 1 unlike '
                             'ones count more')
    pictures: bool = Field(False, description='With the picture of each, base64')


class QueryRequest(QueryFilters):
    """
    What to look for: a latent, a picture, a memory to be alike to, a place, or some of them.

    At most one of z, picture_base64 and like_seq.
    """

    model_config = ConfigDict(json_schema_extra={'examples': [
        {'pose': {'x_m': 1.0, 'y_m': 2.0}, 'radius_m': 5.0, 'k': 4},
        {'z': Z_EXAMPLE, 'k': 4, 'pictures': True},
        {'like_seq': 1, 'pose': {'x_m': 0.0, 'y_m': 0.0}, 'radius_m': 10.0}]})

    z: Numbers | None = Field(None, description='Latent [z_dim] to be near')
    model_id: Name | None = Field(None, description='Author of z; another than that of the '
                                  'memory: 409')
    picture_base64: Base64Picture | None = Field(None, description='A JPEG or PNG to be like')
    like_seq: Seq | None = Field(None, description='A memory to be like; it is not found itself')
    pose: PoseIn | None = Field(None, description='Where the asker is, map frame')


class PlaceQuery(QueryFilters):
    """The same in the address: a place, a latent, or a memory to be alike to."""

    x_m: Metres | None = Field(None, description='Where the asker is, map frame [m]; with y_m')
    y_m: Metres | None = Field(None, description='Where the asker is, map frame [m]; with x_m')
    z_m: Metres = Field(0.0, description='Height in the map frame [m]')
    yaw_rad: float | None = Field(None, allow_inf_nan=False, description='Heading [rad]')
    z: str | None = Field(None, max_length=MAX_ADDRESS, description='Latent [z_dim] to be near, '
                          'numbers with commas between')
    model_id: Name | None = Field(None, description='Author of z')
    like_seq: Seq | None = Field(None, description='A memory to be like')


class MemoryOut(BaseModel):
    """One remembered moment."""

    seq: int = Field(description='Its number in this memory file')
    id: str = Field(description='Its name, unique everywhere')
    time_sec: float = Field(description='Of the picture, Unix time [s]')
    pose: PoseOut = Field(description='Where the robot was, map frame')
    h3_cell: str = Field(description='The H3 cell that it lies in')
    z: list[float] = Field(description='Latent [z_dim]')
    model_id: str = Field(description='The bundle that made z')
    action: list[float] | None = Field(description='What led here [action_dim]; null: not known')
    session: str
    robot: str
    map_id: str
    labels: list[str]
    picture_path: str = Field(description='Where its picture is, on this server')
    picture_base64: str | None = Field(
        None, description='JPEG as the encoder saw it; null: not asked for, or there is none')


class HitOut(BaseModel):
    """A memory that was found."""

    memory: MemoryOut
    distance: float = Field(description='Smaller is nearer; of latents, or [m²] by pose')
    separation_m: float | None = Field(description='From the pose of the query [m]; null: it '
                                       'had none')


class QueryAnswer(BaseModel):
    """What was found, nearest first."""

    hits: list[HitOut]
    rank_by: Literal['latent', 'pose']
    map_frame: str = Field(description='The frame of all poses')
    search_time_ms: float = Field(description='Time in the index [ms]')


class CellOut(BaseModel):
    """A hexagon of the ground, and what is remembered of it."""

    h3_cell: str = Field(description='H3 index')
    count: int = Field(description='Memories')
    oldest_sec: float = Field(description='When the oldest was made, Unix time [s]')
    newest_sec: float = Field(description='When the newest was made, Unix time [s]')
    age_sec: float = Field(description='From the newest of this cell to the newest of all [s]')
    boundary_m: list[tuple[float, float]] = Field(
        description='Corners x, y in the map frame [m], counter-clockwise, not closed')
    boundary_deg: list[tuple[float, float]] = Field(
        description='Corners latitude, longitude, WGS84 [deg]')


class CellsAnswer(BaseModel):
    """All cells that hold memories."""

    cells: list[CellOut]
    h3_resolution: int | None = Field(description='Of these cells; coarser than that of the '
                                      'memory where there would be too many; null: no cells')
    map_frame: str = Field(description='The frame of boundary_m')
