"""How the server is: /health, /ready, /stats, /metrics, /version."""

from __future__ import annotations

import time

from spatial_rag_api import __version__
from spatial_rag_api.parts import AppParts, Parts
from spatial_rag_api.routes.answers import problems
from spatial_rag_api.schemas.server import (
    Alive,
    MemoryStats,
    ModelStats,
    Ready,
    ServerStats,
    Stats,
    Version,
)
from spatial_rag_core import __version__ as core_version
from spatial_rag_core.errors import ServiceUnavailableError
from spatial_rag_core.memory.journal import JournalStats

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

router = APIRouter(tags=['server'])

_STUCK_SEC = 10.0


@router.get('/health', summary='Is the process alive?')
async def health() -> Alive:
    """Return at once, whatever model and memory do."""
    return Alive()


@router.get('/ready', summary='Can it do its work?', responses=problems(503))
async def ready(parts: AppParts) -> Ready:
    """
    Return 200 where model and memory answer, and 503 with the reason where not.

    A memory that is absent, or of another model, is no reason: all else works, and `memory`
    tells it; its note stands in /stats.
    """
    stuck_sec = max(parts.model.worker.oldest_sec, parts.lookups.oldest_sec,
                    parts.pictures.oldest_sec)
    if stuck_sec > _STUCK_SEC:
        raise ServiceUnavailableError(f'a job has been waiting or running for {stuck_sec:.0f} s; '
                                      'ask for less, or restart the server')
    condition = await parts.lookups.run(parts.memory.condition)
    if condition.state == 'loading':
        raise ServiceUnavailableError(condition.note)
    return Ready(memory=condition.state)


@router.get('/stats', summary='Figures of memory, model and server', responses=problems(503))
async def stats(parts: AppParts) -> Stats:
    """Return what dashboards show."""
    return Stats(memory=await parts.lookups.run(_memory_stats, parts),
                 model=_model_stats(parts), server=ServerStats(
                     uptime_sec=time.monotonic() - parts.begun_sec,
                     streams=parts.streams.count, max_streams=parts.config.limits.max_streams))


def _memory_stats(parts: Parts) -> MemoryStats:
    condition, retriever = parts.memory.condition(), parts.memory.retriever
    figures = JournalStats(0, 0, 0, None, None, 0) if condition.state == 'unusable' else (
        retriever.stats())
    spec = retriever.spec
    return MemoryStats(
        state=condition.state, note=condition.note, count=figures.count,
        findable=retriever.index_count, last_seq=figures.last_seq,
        session_count=figures.session_count, cell_count=retriever.cell_count,
        oldest_sec=figures.oldest, newest_sec=figures.newest,
        file_size_bytes=figures.file_size_bytes,
        model_id=None if condition.state == 'unusable' else retriever.model_id,
        map_frame=None if spec is None else spec.map_frame)


def _model_stats(parts: Parts) -> ModelStats:
    meta = parts.model.metadata
    return ModelStats(
        model_id=meta.model_id, architecture=meta.architecture, trained=meta.trained,
        z_dim=meta.z_dim, action_dim=meta.action_dim, proprio_dim=meta.proprio_dim,
        uses_depth=meta.uses_depth, image_size_px=meta.image_size, step_sec=meta.step_sec,
        tells_sigma=bool(meta.transition['uncertainty']), device=parts.model.device,
        waiting=parts.model.worker.at_hand)


@router.get('/metrics', summary='Figures for Prometheus', response_class=Response,
            responses={**problems(503), 200: {
                'description': 'Prometheus text format', 'content': {'text/plain': {}}}})
async def metrics(parts: AppParts) -> Response:
    """Return counters and gauges in Prometheus' text format."""
    counted = await parts.lookups.run(_memory_stats, parts)
    parts.metrics.memories.set(counted.count)
    parts.metrics.findable.set(counted.findable)
    parts.metrics.is_ready.set(counted.state == 'ready')
    parts.metrics.model_jobs.set(parts.model.worker.at_hand)
    return Response(generate_latest(parts.metrics.registry), media_type=CONTENT_TYPE_LATEST)


@router.get('/version', summary='Which software, which model', responses=problems())
async def version(parts: AppParts) -> Version:
    """Return the versions."""
    meta = parts.model.metadata
    return Version(api=__version__, core=core_version, model_id=meta.model_id,
                   bundle_format=meta.format_version)
