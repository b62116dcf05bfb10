"""Figures for Prometheus; https://prometheus.io/docs/practices/naming names them."""

from __future__ import annotations

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_BUCKETS_SEC = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """What one server counts; a registry of its own, so that two in a process do not mix."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            'spatial_rag_http_requests_total', 'Requests that were answered',
            ('method', 'route', 'status'), registry=self.registry)
        self.seconds = Histogram(
            'spatial_rag_http_request_duration_seconds', 'To the end of the answer; no streams',
            ('route',), buckets=_BUCKETS_SEC, registry=self.registry)
        self.streams = Gauge('spatial_rag_streams', 'Clients of /stream-rollout now',
                             registry=self.registry)
        self.events = Counter('spatial_rag_stream_steps_total', 'Imagined steps that were sent',
                              registry=self.registry)
        self.model_jobs = Gauge('spatial_rag_model_jobs', 'Jobs that wait for the model or run',
                                registry=self.registry)
        self.memories = Gauge('spatial_rag_memories', 'Memories in the file',
                              registry=self.registry)
        self.findable = Gauge('spatial_rag_memories_findable', 'Memories that can be found',
                              registry=self.registry)
        self.is_ready = Gauge('spatial_rag_memory_ready', '1: memory is of this model and whole',
                              registry=self.registry)


class CountedRequests:
    """Counts what passes, by route and not by path: paths are without number."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass it on and note how it was answered."""
        if scope['type'] != 'http':
            await self._app(scope, receive, send)
            return
        status, begun = '500', time.perf_counter()

        async def noted(message: Message) -> None:
            nonlocal status
            if message['type'] == 'http.response.start':
                status = str(message['status'])
            await send(message)
        try:
            await self._app(scope, receive, noted)
        finally:
            self._note(scope, status, time.perf_counter() - begun)

    def _note(self, scope: Scope, status: str, seconds: float) -> None:
        route = getattr(scope.get('route'), 'path', 'none')
        method = scope['method'] if scope['method'] in _METHODS else 'other'
        self._metrics.requests.labels(method, route, status).inc()
        if route != '/stream-rollout':
            self._metrics.seconds.labels(route).observe(seconds)


_METHODS = frozenset({'GET', 'HEAD', 'POST', 'OPTIONS'})
