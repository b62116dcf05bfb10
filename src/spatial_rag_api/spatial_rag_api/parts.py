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


@dataclass(frozen=True, eq=False)
class Parts:
    """The model, the memory, and the threads that ask them; close it at the end."""

    config: ApiConfig
    model: Model
    memory: FollowedMemory
    lookups: Worker
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
        lookups = Worker('lookups', _LOOKUP_THREADS, limits.max_waiting, limits.job_timeout_sec)
        return cls(config, model, memory, lookups, Imaginer(model, memory, lookups), metrics,
                   Streams(limits, metrics))

    def close(self) -> None:
        """End all threads."""
        with contextlib.ExitStack() as ending:
            ends: tuple[Callable[[], None], ...] = (
                self.model.close, self.memory.close, self.lookups.close)
            for end in ends:
                ending.callback(end)


def _parts_of(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


AppParts = Annotated[Parts, Depends(_parts_of)]
"""What a route's function takes to get at them."""
