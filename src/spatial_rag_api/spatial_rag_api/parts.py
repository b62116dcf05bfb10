"""What a server is made of, and how a route gets at it."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
from dataclasses import dataclass, field
import time
from typing import Annotated

from spatial_rag_api.config import ApiConfig
from spatial_rag_api.followed_memory import FollowedMemory
from spatial_rag_api.imagining import Imaginer
from spatial_rag_api.metrics import Metrics
from spatial_rag_api.model import Model
from spatial_rag_api.streams import Streams
from spatial_rag_api.worker import Worker

from fastapi import Depends, Request

_CATCH_UP_SEC = 2.0
_LOOKUP_THREADS = 2
"""Pictures are decoded in one other: a large one takes a hundred megabytes while it lasts."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The model, the memory, and the threads that ask them; close it at the end."""

    config: ApiConfig
    model: Model
    memory: FollowedMemory
    lookups: Worker
    pictures: Worker
    imaginer: Imaginer
    metrics: Metrics
    streams: Streams
    begun_sec: float = field(default_factory=time.monotonic)

    @classmethod
    def open(cls, config: ApiConfig) -> Parts:
        """Load model and memory; raises BundleError. The memory file may come later."""
        limits, metrics = config.limits, Metrics()
        model = Model(config.model_path, config.device, limits)
        memory = FollowedMemory(config.memory_path, model.metadata.model_id)
        memory.catch_up(_CATCH_UP_SEC)
        lookups, pictures = (
            Worker(name, threads, limits.max_waiting, limits.job_timeout_sec)
            for name, threads in (('lookups', _LOOKUP_THREADS), ('pictures', 1)))
        return cls(config, model, memory, lookups, pictures,
                   Imaginer(model, memory, lookups, pictures), metrics, Streams(limits, metrics))

    def close(self) -> None:
        """End all threads."""
        with contextlib.ExitStack() as ending:
            ends: tuple[Callable[[], None], ...] = (
                self.model.close, self.memory.close, self.lookups.close, self.pictures.close)
            for end in ends:
                ending.callback(end)


async def _parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


AppParts = Annotated[Parts, Depends(_parts_of)]
"""What a route's function takes to get at them."""
