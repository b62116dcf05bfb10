"""GET /stream-rollout."""

from __future__ import annotations

from typing import Annotated

from spatial_rag_api.parts import AppParts
from spatial_rag_api.rollout_stream import RolloutStream
from spatial_rag_api.routes.answers import problems
from spatial_rag_api.schemas.streaming import StreamQuery
from spatial_rag_api.streams import StreamResponse

from fastapi import APIRouter, Query
from starlette.responses import Response

router = APIRouter(tags=['model'])

_EXAMPLE = """event: start
data: {"model_id": "…", "step_sec": 0.2, "pose_frame": "map", "rollout": 1, "steps": 16, …}

event: step
data: {"step": 1, "time_sec": 0.2, "z": […], "sigma": 0.12, "pose": {…}, "memories": […], …}

event: end
data: {"reason": "horizon"}
"""


@router.get('/stream-rollout', summary='A rollout as server-sent events', response_class=Response,
            responses={**problems(404, 409, 422, 503), 200: {
                'description': 'Events `start` (StreamStart), `step` (Step), and one `end` '
                '(StreamEnd) or `problem` (Problem); the data of each is JSON',
                'content': {'text/event-stream': {
                    'schema': {'type': 'string'}, 'example': _EXAMPLE}}}})
async def stream_rollout(asked: Annotated[StreamQuery, Query()], parts: AppParts) -> Response:
    """
    Imagine, and send each step when its time has come; it ends when the client goes.

    `curl -N 'http://127.0.0.1:8080/stream-rollout?from_memory=latest&actions=0.5,0.0&steps=32'`
    """
    parts.streams.require_room()
    stream = RolloutStream(asked, parts)
    return StreamResponse(stream.events(await stream.imagine()), parts.streams)
