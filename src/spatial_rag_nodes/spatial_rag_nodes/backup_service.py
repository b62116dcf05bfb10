"""Copies the memory file for whoever asks."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
import threading

from spatial_rag_core.errors import ConfigurationError, JournalUnavailableError
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.upkeep.backup import backup
from spatial_rag_msgs.srv import BackupMemory
from spatial_rag_nodes.answers import coded
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.service_threads import ServiceThreads

from rclpy.node import Node


class BackupService:
    """The service backup_memory, in a thread of its own, for it may take minutes."""

    def __init__(self, node: Node, health: Health, retriever: Retriever) -> None:
        self._retriever = retriever
        self._threads = ServiceThreads(node, 'backup', changes=True)
        self._is_ending = threading.Event()
        self._threads.create_service(BackupMemory, 'spatial_rag/backup_memory', health,
                                     self._back_up, BackupMemory.Response.MEMORY_UNAVAILABLE)

    def close(self) -> None:
        """End a backup that is at hand."""
        self._is_ending.set()
        self._threads.close()

    async def _back_up(self, request: BackupMemory.Request,
                       response: BackupMemory.Response) -> BackupMemory.Response:
        def back_up() -> BackupMemory.Response:
            with coded(response):
                target = self._target(request.path)
                report = backup(self._retriever.path, target, self._end_early)
                response.path, response.count = str(report.path), report.count
                response.size_bytes = report.size_bytes
            return response
        return await self._threads.run(back_up)

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

