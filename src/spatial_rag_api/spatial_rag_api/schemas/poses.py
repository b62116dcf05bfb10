"""Where something is."""

from __future__ import annotations

from spatial_rag_api.schemas.numbers import Finite, Metres, RequestModel

from pydantic import BaseModel, ConfigDict, Field


class Orientation(BaseModel):
    """A rotation from the body frame to the map frame, unit quaternion as in ROS."""

    model_config = ConfigDict(extra='forbid')

    x: Finite
    y: Finite
    z: Finite
    w: Finite


class PoseIn(RequestModel):
    """A pose in the map frame; facing along x where neither yaw_rad nor orientation is given."""

    model_config = ConfigDict(json_schema_extra={'examples': [
        {'x_m': 1.5, 'y_m': -0.5, 'yaw_rad': 1.57}]})

    x_m: Metres = Field(description='x in the map frame [m]')
    y_m: Metres = Field(description='y in the map frame [m]')
    z_m: Metres = Field(0.0, description='Height in the map frame [m]')
    yaw_rad: Finite | None = Field(None, description='Heading from the x axis to the left [rad]')
    orientation: Orientation | None = Field(None, description='In place of yaw_rad')


class PoseOut(BaseModel):
    """A pose; which frame it is in stands beside it."""

    x_m: float = Field(description='x [m]')
    y_m: float = Field(description='y [m]')
    z_m: float = Field(description='z [m]')
    yaw_rad: float = Field(description='Heading from the x axis to the left [rad], of a robot '
                           'in the plane')
    orientation: Orientation
