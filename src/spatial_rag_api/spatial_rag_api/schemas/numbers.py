"""Kinds of numbers and words that requests are made of; JSON knows no NaN and no infinity."""

from __future__ import annotations

from typing import Annotated, Literal

from spatial_rag_api.limits import MAX_NUMBERS
from spatial_rag_core.records import MAX_COORDINATE_M, MAX_LABELS, MAX_NAME_LENGTH

from pydantic import BaseModel, ConfigDict, Field

Finite = Annotated[float, Field(allow_inf_nan=False)]
Metres = Annotated[float, Field(ge=-MAX_COORDINATE_M, le=MAX_COORDINATE_M, allow_inf_nan=False)]
Height = Annotated[float, Field(ge=0.0, le=MAX_COORDINATE_M, allow_inf_nan=False)]
Radius = Annotated[float, Field(gt=0.0, le=MAX_COORDINATE_M, allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0.0, le=1e10, allow_inf_nan=False)]
UnixTime = Annotated[float, Field(ge=-1e11, le=1e11, allow_inf_nan=False)]
Numbers = Annotated[list[Finite], Field(min_length=1, max_length=MAX_NUMBERS)]
Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_LENGTH)]
Labels = Annotated[list[Name], Field(max_length=MAX_LABELS)]
Seq = Annotated[int, Field(ge=1, le=2**63 - 1)]
MemoryUse = Literal['on', 'off', 'shuffled']


class RequestModel(BaseModel):
    """What a client sends; a field that is not known is refused, for it is a typing error."""

    model_config = ConfigDict(extra='forbid')
