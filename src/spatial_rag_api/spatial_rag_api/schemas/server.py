"""What the server tells of itself."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

MemoryState = Literal['ready', 'absent', 'loading', 'other_model', 'unusable']


class MemoryStats(BaseModel):
    """The memory file now."""

    state: MemoryState = Field(description='ready; absent: no file yet; loading; other_model: '
                               'latents of another model, found by place only; unusable')
    note: str = Field(description='What is wrong with it, and the remedy; empty: nothing')
    count: int = Field(description='Memories stored')
    findable: int = Field(description='Memories that can be found; the rest is being read')
    last_seq: int = Field(description='Newest sequence number')
    session_count: int
    cell_count: int = Field(description='H3 cells that hold memories')
    oldest_sec: float | None = Field(description='Unix time [s]; null: it is empty')
    newest_sec: float | None = Field(description='Unix time [s]; null: it is empty')
    file_size_bytes: int
    model_id: str | None = Field(description='The bundle that made its latents; null: it is '
                                 'empty')
    map_frame: str | None = Field(description='The frame of its poses; null: there is no file')


class ModelStats(BaseModel):
    """The model that runs."""

    model_id: str
    architecture: str
    trained: bool = Field(description='false: its predictions and pictures mean nothing')
    z_dim: int = Field(description='Numbers of a latent')
    action_dim: int = Field(description='Numbers of an action')
    proprio_dim: int = Field(description='Numbers of proprioception; 0: none is taken')
    uses_depth: bool = Field(description='Whether /encode takes a depth map')
    image_size_px: int = Field(description='Side of the picture that it sees and makes [px]')
    step_sec: float = Field(description='Time of one step [s]')
    tells_sigma: bool = Field(description='Whether it tells how sure it is')
    device: str
    waiting: int = Field(description='Jobs that wait for it or are being done')


class ServerStats(BaseModel):
    """This process."""

    uptime_sec: float
    streams: int = Field(description='Clients of /stream-rollout now')
    max_streams: int


class Stats(BaseModel):
    """Figures for people and dashboards; Prometheus finds its own at /metrics."""

    memory: MemoryStats
    model: ModelStats
    server: ServerStats


class Alive(BaseModel):
    """The process answers."""

    status: Literal['alive'] = 'alive'


class Ready(BaseModel):
    """It can do what it is for."""

    status: Literal['ready'] = 'ready'
    memory: MemoryState


class Version(BaseModel):
    """Which software, and which model."""

    api: str = Field(description='spatial_rag_api')
    core: str = Field(description='spatial_rag_core')
    model_id: str
    bundle_format: int
