"""What the retriever answers to whoever asks, beside its stream."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
from datetime import datetime
from pathlib import Path
import threading
import time
from typing import Any

from spatial_rag_core.errors import (
    ConfigurationError,
    IndexUnavailableError,
    InputError,
    JournalError,
    JournalUnavailableError,
    ModelMismatchError,
    TargetUnavailableError,
)
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.upkeep.backup import backup
from spatial_rag_core.records import as_latent, MemoryQuery
from spatial_rag_msgs.srv import (
    BackupMemory,
    EncodeImage,
    GetMemory,
    MemoryStats,
    QueryMemory,
    QueryMemoryByImage,
)
from spatial_rag_nodes.conversions import (
    fill_stats,
    msg_from_hit,
    msg_from_memory,
    query_from_image_request,
    query_from_request,
)
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.parameters import NodeParameters
from spatial_rag_nodes.refresher import Refresher
from spatial_rag_nodes.service_threads import ServiceThreads

from rclpy.clock import Clock, ClockType
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
        self._backups = ServiceThreads(node, 'backup')
        self._is_ending = threading.Event()
        self._encoder = node.create_client(EncodeImage, 'spatial_rag/encode_image')
        for kind, name, serve in (
                (QueryMemory, 'query_memory', self._query),
                (QueryMemoryByImage, 'query_memory_by_image', self._query_by_image),
                (GetMemory, 'get_memory', self._get),
                (MemoryStats, 'memory_stats', self._stats)):
            self._threads.create_service(kind, f'spatial_rag/{name}', health, serve,
                                         kind.Response.MEMORY_UNAVAILABLE)
        self._backups.create_service(BackupMemory, 'spatial_rag/backup_memory', health,
                                     self._back_up, BackupMemory.Response.MEMORY_UNAVAILABLE)

    def close(self) -> None:
        """End a backup and wait for what is being answered."""
        self._is_ending.set()
        self._threads.close()
        self._backups.close()

    async def _query(self, request: QueryMemory.Request,
                     response: QueryMemory.Response) -> QueryMemory.Response:
        def query() -> MemoryQuery:
            return query_from_request(request, self._config['map_frame'], self._config['k'],
                                      self._node.get_clock().now().nanoseconds / 1e9)
        return await self._threads.run(self._look_up, query, request.with_thumbnails, response)

    def _look_up(self, make_query: Callable[[], MemoryQuery], with_thumbnails: bool,
                 response: Any) -> Any:
        start = time.perf_counter()
        with _coded(response):
            query = make_query()
            self._require_whole()
            response.memories = [msg_from_hit(hit, self._config['map_frame'])
                                 for hit in self._retriever.query(query, with_thumbnails)]
        response.search_time_ms = (time.perf_counter() - start) * 1e3
        return response

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
        start = time.perf_counter()
        encoded = await self._encoded(request.image)
        response.encode_time_ms = (time.perf_counter() - start) * 1e3
        if encoded is None:
            response.code = response.ENCODER_UNAVAILABLE
            name = self._node.resolve_service_name(self._encoder.srv_name)
            response.message = (f'no answer from {name} within '
                                f'{self._config["encoder_timeout_sec"]:g} s; is the encoder '
                                'running?')
            return response
        if encoded.code != encoded.OK:
            response.code, response.message = response.INVALID_REQUEST, encoded.message
            return response
        response.latent, response.model_id = encoded.latent, encoded.model_id

        def query() -> MemoryQuery:
            return query_from_image_request(
                request, self._config['map_frame'], self._config['k'],
                as_latent(encoded.latent), encoded.model_id)
        return await self._threads.run(self._look_up, query, request.with_thumbnails, response)

    async def _encoded(self, image: Image) -> EncodeImage.Response | None:
        """The encoder's answer; None where there is none in time."""
        if not self._encoder.service_is_ready():
            return None
        answer = self._encoder.call_async(EncodeImage.Request(image=image))
        deadline = self._node.create_timer(
            self._config['encoder_timeout_sec'], answer.cancel,
            clock=Clock(clock_type=ClockType.STEADY_TIME))
        try:
            return await answer
        finally:
            self._node.destroy_timer(deadline)

    async def _get(self, request: GetMemory.Request,
                   response: GetMemory.Response) -> GetMemory.Response:
        def get() -> GetMemory.Response:
            with _coded(response):
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
            with _coded(response):
                self._refresher.catch_up(_CATCH_UP_SEC)
                fill_stats(response, self._retriever)
            return response
        return await self._threads.run(count)

    async def _back_up(self, request: BackupMemory.Request,
                       response: BackupMemory.Response) -> BackupMemory.Response:
        def back_up() -> BackupMemory.Response:
            with _coded(response):
                target = self._target(request.path)
                report = backup(self._retriever.path, target, self._end_early)
                response.path, response.count = str(report.path), report.count
                response.size_bytes = report.size_bytes
            return response
        return await self._backups.run(back_up)

    def _target(self, path: str) -> Path:
        """Where a backup goes; raises ConfigurationError."""
        if not path:
            source = self._retriever.path
            return source.with_name(f'{source.stem}-{datetime.now():%Y%m%d-%H%M%S}.db')
        target = Path(path).expanduser()
        if not target.is_absolute():
            raise ConfigurationError(f'path must begin with / or ~, got {path!r}')
        return target

    def _end_early(self, _done: int, _total: int) -> None:
        if self._is_ending.is_set():
            raise JournalUnavailableError('the node ends')


@contextlib.contextmanager
def _coded(response: Any) -> Iterator[None]:
    """Errors as the answer's code and message."""
    try:
        yield
    except (ConfigurationError, InputError, TargetUnavailableError) as error:
        response.code, response.message = response.INVALID_REQUEST, str(error)
    except ModelMismatchError as error:
        response.code, response.message = response.WRONG_MODEL, str(error)
    except (JournalError, IndexUnavailableError) as error:
        response.code, response.message = response.MEMORY_UNAVAILABLE, str(error)
