"""POST /encode."""

from __future__ import annotations

from typing import Annotated

from spatial_rag_api.conversions import numbers_from
from spatial_rag_api.parts import AppParts
from spatial_rag_api.pictures import depth_from, rgb_from
from spatial_rag_api.routes.answers import problems
from spatial_rag_api.schemas.imagining import Encoded

from fastapi import APIRouter, File, Form, UploadFile

router = APIRouter(tags=['model'])


@router.post('/encode', summary='A picture to a latent', responses=problems(400, 408, 422, 503))
async def encode(
        parts: AppParts,
        picture: Annotated[UploadFile, File(description='JPEG or PNG of any size')],
        depth: Annotated[UploadFile | None, File(
            description='PNG of 16 bits, one channel, millimetres, 0 where not measured; only '
            'for a model that uses_depth, see /stats')] = None,
        proprio: Annotated[str | None, Form(
            max_length=100_000, description='Numbers with commas between [proprio_dim]; only '
            'for a model that takes them, see /stats')] = None) -> Encoded:
    """
    Return the latent of a picture, as the robot's own encoder makes it.

    `curl -F picture=@room.jpg http://127.0.0.1:8080/encode`
    """
    rgb = await parts.pictures.run(rgb_from, await picture.read())
    depth_m = None if depth is None else await parts.pictures.run(depth_from, await depth.read())
    state = None if proprio is None else numbers_from(proprio, 'proprio')
    z, time_ms = await parts.model.encode(rgb, depth_m, state)
    return Encoded(z=z.tolist(), model_id=parts.model.metadata.model_id,
                   width_px=rgb.shape[1], height_px=rgb.shape[0], encode_time_ms=time_ms)
