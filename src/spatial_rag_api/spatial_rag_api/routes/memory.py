"""What is remembered: all under /memory."""

from __future__ import annotations

from typing import Annotated

from spatial_rag_api.cells import cells_answer
from spatial_rag_api.conversions import memory_out, query_from_address
from spatial_rag_api.limits import MAX_CELLS
from spatial_rag_api.memory_queries import answer, require_one_likeness
from spatial_rag_api.parts import AppParts, Parts
from spatial_rag_api.routes.answers import problems
from spatial_rag_api.schemas.memories import (
    CellsAnswer,
    MemoryOut,
    PlaceQuery,
    QueryAnswer,
    QueryRequest,
)
from spatial_rag_api.schemas.numbers import Seq

from fastapi import APIRouter, Path, Query
from starlette.exceptions import HTTPException
from starlette.responses import Response

router = APIRouter(prefix='/memory', tags=['memory'], responses=problems(422, 503))

Number = Annotated[Seq, Path(description='Sequence number, as /memory/query tells it',
                             examples=[1])]


@router.get('/query', summary='Find memories by place, latent or likeness',
            responses=problems(404, 409))
async def query(asked: Annotated[PlaceQuery, Query()], parts: AppParts) -> QueryAnswer:
    """Return the nearest memories; `/memory/query?x_m=1&y_m=2&radius_m=5&k=4`."""
    return await _found(query_from_address(asked), parts)


@router.post('/query', summary='Find memories by latent, picture, likeness or place',
             responses=problems(400, 404, 408, 409))
async def query_with_body(asked: QueryRequest, parts: AppParts) -> QueryAnswer:
    """Return the nearest memories."""
    return await _found(asked, parts)


async def _found(asked: QueryRequest, parts: Parts) -> QueryAnswer:
    require_one_likeness(asked)
    z = None if asked.picture_base64 is None else (
        await parts.imaginer.encode_base64(asked.picture_base64))[0]
    return await parts.lookups.run(answer, asked, z, parts.model.metadata.model_id, parts.memory)


@router.get('/cells', summary='Hexagons for a map')
async def cells(parts: AppParts, most: Annotated[int, Query(
        ge=1, le=MAX_CELLS, description='At most so many; coarser ones where there are more',
        )] = MAX_CELLS) -> CellsAnswer:
    """Return the H3 cells that hold memories, with their corners, counts and ages."""
    return await parts.lookups.run(cells_answer, parts.memory, most)


@router.get('/latest', summary='The newest memory', responses=problems(404))
async def latest(parts: AppParts) -> MemoryOut:
    """Return what the robot stored last: nearly what it sees now, and where it is."""
    return memory_out(*await parts.lookups.run(parts.memory.latest), with_picture=True)


@router.get('/{seq}', summary='One memory with its picture', responses=problems(404))
async def memory(seq: Number, parts: AppParts) -> MemoryOut:
    """Return one memory."""
    return memory_out(seq, await parts.lookups.run(parts.memory.memory, seq), with_picture=True)


@router.get('/{seq}/picture', summary='The picture of a memory', response_class=Response,
            responses={**problems(404), 200: {
                'description': 'As the encoder saw it', 'content': {'image/jpeg': {}}}})
async def picture(seq: Number, parts: AppParts) -> Response:
    """Return the JPEG of a memory."""
    found = await parts.lookups.run(parts.memory.memory, seq)
    if not found.thumbnail:
        raise HTTPException(404, f'memory {seq} has no picture; the robot stores them with '
                            'thumbnail_quality > 0')
    return Response(found.thumbnail, media_type='image/jpeg',
                    headers={'Cache-Control': 'private, no-cache'})
