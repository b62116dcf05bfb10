"""What the retriever answers to whoever asks, beside its stream."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import Any

from spatial_rag_core.errors import (
    InputError,
    JournalUnavailableError,
    ServiceUnavailableError,
)
from spatial_rag_core.memory.answering.refresher import Refresher
from spatial_rag_core.memory.answering.relocalization import (
    DEFAULT_HYPOTHESES,
    pose_hypotheses,
)
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.records import as_latent, Hit, MemoryQuery
from spatial_rag_msgs.srv import (
    EncodeImage,
    GetMemory,
    MemoryStats,
    QueryMemory,
    QueryMemoryByImage,
    Relocalize,
)
from spatial_rag_nodes.answers import answer_of, coded
from spatial_rag_nodes.backup_service import BackupService
from spatial_rag_nodes.conversions import (
    fill_stats,
    msg_from_hit,
    msg_from_memory,
    query_from_image_request,
    query_from_request,
)
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.parameters import NodeParameters
from spatial_rag_nodes.place_conversions import msg_from_hypothesis, query_from_relocalize
from spatial_rag_nodes.service_threads import ServiceThreads

from rclpy.node import Node
from sensor_msgs.msg import Image

_CATCH_UP_SEC = 3.0
"""How long a request waits for what was stored before it; a million memories load in less."""


class RetrieverServices:
    """
    The services of the retriever node; they run in threads of their own.

    Each waits until what was stored before its request can be found.
    """

    def __init__(self, node: Node, config: NodeParameters, health: Health, retriever: Retriever,
                 refresher: Refresher) -> None:
        self._node, self._config = node, config
        self._retriever, self._refresher = retriever, refresher
        self._threads = ServiceThreads(node, 'services', 2)
        self._backups = BackupService(node, health, retriever)
        self._encoder = node.create_client(EncodeImage, 'spatial_rag/encode_image')
        for kind, name, serve in (
                (QueryMemory, 'query_memory', self._query),
                (QueryMemoryByImage, 'query_memory_by_image', self._query_by_image),
                (Relocalize, 'relocalize', self._relocalize),
                (GetMemory, 'get_memory', self._get),
                (MemoryStats, 'memory_stats', self._stats)):
            self._threads.create_service(kind, f'spatial_rag/{name}', health, serve,
                                         kind.Response.MEMORY_UNAVAILABLE)

    def close(self) -> None:
        """End a backup and wait for what is being answered."""
        self._backups.close()
        self._threads.close()

    async def _query(self, request: QueryMemory.Request,
                     response: QueryMemory.Response) -> QueryMemory.Response:
        def query() -> MemoryQuery:
            return query_from_request(request, self._config['map_frame'], self._config['k'],
                                      self._node.get_clock().now().nanoseconds / 1e9)
        return await self._threads.run(self._fill_memories, query, request.with_thumbnails,
                                       response)

    def _fill_memories(self, make_query: Callable[[], MemoryQuery], with_thumbnails: bool,
                       response: Any) -> Any:
        with coded(response):
            response.memories = [
                msg_from_hit(hit, self._config['map_frame'])
                for hit in self._look_up(make_query, with_thumbnails, response)]
        return response

    def _look_up(self, make_query: Callable[[], MemoryQuery], with_thumbnails: bool,
                 response: Any) -> list[Hit]:
        start = time.perf_counter()
        query = make_query()
        self._require_whole()
        hits = self._retriever.query(query, with_thumbnails)
        response.search_time_ms = (time.perf_counter() - start) * 1e3
        return hits

    def _require_whole(self) -> None:
        """What is not loaded yet would not be found: say so, rather than that there is nothing."""
        self._refresher.catch_up(_CATCH_UP_SEC)
        if not self._retriever.is_whole:
            if self._refresher.error is not None:
                raise self._refresher.error
            done, total = self._retriever.loading or (0, 0)
            raise JournalUnavailableError(f'the memory is being loaded, {done} of {total} '
                                          'memories so far; ask again soon')

    async def _query_by_image(self, request: QueryMemoryByImage.Request,
                              response: QueryMemoryByImage.Response,
                              ) -> QueryMemoryByImage.Response:
        with coded(response):
            await self._encode(request.image, response)

            def query() -> MemoryQuery:
                return query_from_image_request(
                    request, self._config['map_frame'], self._config['k'],
                    as_latent(response.latent), response.model_id)
            await self._threads.run(self._fill_memories, query, request.with_thumbnails, response)
        return response

    async def _relocalize(self, request: Relocalize.Request,
                          response: Relocalize.Response) -> Relocalize.Response:
        with coded(response):
            if len(request.latent):
                response.latent, response.model_id = request.latent, request.model_id
            else:
                await self._encode(request.image, response)
            await self._threads.run(self._fill_hypotheses, request, response)
        return response

    def _fill_hypotheses(self, request: Relocalize.Request,
                         response: Relocalize.Response) -> None:
        map_frame = self._config['map_frame']
        hits = self._look_up(lambda: query_from_relocalize(
            request, map_frame, as_latent(response.latent), response.model_id), False, response)
        response.hypotheses = [
            msg_from_hypothesis(place, map_frame)
            for place in pose_hypotheses(hits, request.max_hypotheses or DEFAULT_HYPOTHESES)]

    async def _encode(self, image: Image, response: Any) -> None:
        """Write a picture's latent into the response; raises what `coded` has a code for."""
        start = time.perf_counter()
        encoded = await answer_of(self._node, self._encoder, EncodeImage.Request(image=image),
                                  self._config['encoder_timeout_sec'], 'encoder')
        response.encode_time_ms = (time.perf_counter() - start) * 1e3
        if encoded.code in (encoded.INVALID_IMAGE, encoded.NOT_ALONE):
            raise InputError(encoded.message)
        if encoded.code != encoded.OK:
            raise ServiceUnavailableError(encoded.message)
        response.latent, response.model_id = encoded.latent, encoded.model_id

    async def _get(self, request: GetMemory.Request,
                   response: GetMemory.Response) -> GetMemory.Response:
        def get() -> GetMemory.Response:
            with coded(response):
                self._refresher.catch_up(_CATCH_UP_SEC)
                memory = self._retriever.get_memory(request.id)
                if memory is not None:
                    response.memory = msg_from_memory(memory, self._config['map_frame'])
                else:
                    response.code = response.NOT_FOUND
                    response.message = (f'no memory has the id {request.id!r}; it may have been '
                                        'forgotten')
            return response
        return await self._threads.run(get)

    async def _stats(self, _request: MemoryStats.Request,
                     response: MemoryStats.Response) -> MemoryStats.Response:
        def count() -> MemoryStats.Response:
            with coded(response):
                self._refresher.catch_up(_CATCH_UP_SEC)
                fill_stats(response, self._retriever)
            return response
        return await self._threads.run(count)
