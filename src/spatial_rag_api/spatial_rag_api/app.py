"""The application: routes, and what stands before them."""

from __future__ import annotations

from spatial_rag_api import __version__, problems
from spatial_rag_api.access import AccessGuard
from spatial_rag_api.body_limit import BodyLimit
from spatial_rag_api.metrics import CountedRequests
from spatial_rag_api.openapi import describe
from spatial_rag_api.parts import Parts
from spatial_rag_api.routes import encoding, imagining, memory, server, streaming

from fastapi import FastAPI
from starlette.middleware.cors import CORSMiddleware

_ABOUT = """
What a robot remembers and what its world model expects, over HTTP.

A **latent** z is what the encoder makes of a picture: z_dim numbers, comparable only to latents
of the same `model_id`. A **memory** is a latent with pose, time and picture. Units stand in
names: `_m` metres, `_rad` radians, `_sec` seconds, `_ms` milliseconds; times are Unix times.
Errors are `application/problem+json` (RFC 9457): `detail` names the value, `remedy` what to do.
"""


def create_app(parts: Parts) -> FastAPI:
    """Make the application for a model and a memory; who opened the parts closes them."""
    app = FastAPI(title='Spatial-RAG', version=__version__, description=_ABOUT,
                  docs_url=None, redoc_url=None)  # those pages load scripts from elsewhere
    app.state.parts = parts
    problems.install(app)
    for router in (encoding.router, imagining.router, streaming.router, memory.router,
                   server.router):
        app.include_router(router)
    describe(app, parts.config.api_key is not None)
    # The last one that is added is the first that is asked.
    app.add_middleware(BodyLimit, limits=parts.config.limits)
    app.add_middleware(AccessGuard, config=parts.config)
    if parts.config.allowed_origins:
        app.add_middleware(CORSMiddleware, allow_origins=parts.config.allowed_origins,
                           allow_methods=['GET', 'POST'],
                           allow_headers=['X-API-Key', 'Authorization', 'Content-Type'])
    app.add_middleware(CountedRequests, metrics=parts.metrics)
    return app
