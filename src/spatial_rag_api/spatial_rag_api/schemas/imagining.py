"""What is asked of the world model, and what it answers."""

from __future__ import annotations

from typing import Annotated, Literal

from spatial_rag_api.limits import MAX_BANK, MAX_PLANS, MAX_STEPS
from spatial_rag_api.schemas.numbers import Numbers
from spatial_rag_api.schemas.poses import PoseOut
from spatial_rag_api.schemas.starts import StartFields

from pydantic import BaseModel, ConfigDict, Field
from pydantic.config import JsonValue

Z_EXAMPLE: list[JsonValue] = [0.0] * 32


class Encoded(BaseModel):
    """A picture as the model sees it."""

    z: list[float] = Field(description='Latent [z_dim]')
    model_id: str = Field(description='The bundle that made it; latents of two are never alike')
    width_px: int = Field(description='Of the picture, turned as its EXIF says [px]')
    height_px: int = Field(description='Of the picture [px]')
    encode_time_ms: float = Field(description='Time in the model [ms]')


class UsedMemory(BaseModel):
    """A memory that a prediction rests on."""

    seq: int = Field(description='Its number: /memory/{seq}')
    id: str = Field(description='Its name')
    weight: float = Field(description='Share of the attention, 0 to 1; what all lack to 1 went '
                          'to no memory')


class Step(BaseModel):
    """One imagined moment."""

    step: int = Field(description='1 is the first after the present')
    time_sec: float = Field(description='After the present [s]')
    z: list[float] = Field(description='Latent [z_dim]')
    sigma: float | None = Field(
        description='Expected RMS error of each number of z; null: this model tells none')
    pose: PoseOut = Field(description='In pose_frame of the answer')
    memories: list[UsedMemory] = Field(description='What it rests on, heaviest first')
    picture_base64: str | None = Field(None, description='JPEG, where pictures were asked for')


class Imagining(BaseModel):
    """What answers about imagined moments share."""

    model_id: str = Field(description='The bundle that imagined it')
    step_sec: float = Field(description='Time of one step [s]')
    pose_frame: Literal['map', 'start'] = Field(
        description='map: poses in the map frame; start: as seen from the present, whose pose '
        'was not given')
    memories_at_hand: int = Field(description='Memories around the pose that could be used')
    memory_note: str = Field(description='Why there are no memories; empty: there are, or none '
                             'were asked for')
    model_time_ms: float = Field(description='Time in the model [ms]')


class PredictRequest(StartFields):
    """One step for each of some actions."""

    model_config = ConfigDict(json_schema_extra={'examples': [
        {'from_memory': 'latest', 'actions': [[0.5, 0.0]]},
        {'z': Z_EXAMPLE, 'actions': [[0.5, 0.0], [0.5, 0.3]],
         'pose': {'x_m': 1.0, 'y_m': 2.0, 'yaw_rad': 0.0}},
        {'z': Z_EXAMPLE, 'actions': [[0.5, 0.0]], 'memory': 'off'}]})

    memory_count: int = Field(
        16, ge=1, le=MAX_BANK, description='At most so many, nearest poses first; one step needs '
        'fewer than a rollout, and 16 are found ten times as fast as 128')
    actions: Annotated[list[Numbers], Field(min_length=1, max_length=MAX_PLANS)] = Field(
        description='Actions [B, action_dim]; each is answered by itself')


class Prediction(BaseModel):
    """What one action leads to."""

    z_next: list[float] = Field(description='Latent step_sec later [z_dim]')
    sigma: float | None = Field(
        description='Expected RMS error of each number of z_next; null: this model tells none')
    pose: PoseOut = Field(description='In pose_frame of the answer')
    memories: list[UsedMemory] = Field(description='What it rests on, heaviest first')


class Predictions(Imagining):
    """One prediction for each action, in their order."""

    predictions: list[Prediction]


Plan = Annotated[list[Numbers], Field(min_length=1, max_length=MAX_STEPS)]


class RolloutRequest(StartFields):
    """Some plans of actions, imagined to their ends."""

    model_config = ConfigDict(json_schema_extra={'examples': [
        {'from_memory': 'latest', 'plans': [[[0.5, 0.0], [0.5, 0.0], [0.5, 0.3]]],
         'pictures': True},
        {'z': Z_EXAMPLE, 'plans': [[[0.5, 0.0]] * 4, [[0.0, 0.5]] * 4], 'memory': 'off'}]})

    plans: Annotated[list[Plan], Field(min_length=1, max_length=MAX_PLANS)] = Field(
        description='Actions [B, T, action_dim]; all plans of one length')
    pictures: bool = Field(False, description='Decode each step to a JPEG')


class ImaginedPlan(BaseModel):
    """One plan to its end."""

    steps: list[Step]


class Rollouts(Imagining):
    """What each plan leads to, in their order."""

    plans: list[ImaginedPlan]
