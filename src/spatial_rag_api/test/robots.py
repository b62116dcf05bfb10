"""A small robot: a bundle that has learned nothing, and a memory of a walk through colours."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path
import socket
import threading
import time

from spatial_rag_api.config import ApiConfig
from spatial_rag_api.limits import Limits
from spatial_rag_api.parts import Parts
from spatial_rag_api.serving import server_of
from spatial_rag_core.data.pictures import jpeg_from_rgb
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.records import as_action, Memory, Pose, Position
from spatial_rag_core.settings import Settings
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import httpx
import numpy as np

Z_DIM, MEMORIES, T0_SEC = 32, 40, 1.7e9
SPEC = JournalSpec(z_dim=Z_DIM)
_GRID = H3Grid(LocalFrame(), SPEC.h3_resolution)


def make_bundle(path: Path, seed: int = 0) -> Path:
    create_untrained_bundle(path, Settings(z_dim=Z_DIM, image_size=32, topk=4), seed)
    return path


def picture(n: int) -> np.ndarray:
    """The n-th view, uint8 [32, 32, 3]."""
    rgb = np.random.default_rng(n).integers(0, 256, (4, 4, 3), np.uint8)
    return np.kron(rgb, np.ones((8, 8, 1), np.uint8))


def memories(bundle: Bundle, first: int, count: int) -> list[Memory]:
    """What is seen on a straight walk, a quarter of a metre and half a second apart."""
    made = []
    for n in range(first, first + count):
        position = Position(n / 4, 0.0)
        made.append(Memory(
            f'id-{n}', bundle.encode_image(picture(n)), Pose(position), _GRID.cell(position),
            T0_SEC + n / 2, bundle.model_id, as_action([0.5, 0.0]), 'walk', 'robot', 'hall',
            ('door',) if n % 10 == 0 else (), jpeg_from_rgb(picture(n), 90)))
    return made


def make_memory(path: Path, bundle: Bundle, count: int = MEMORIES) -> Path:
    with Journal.open_writer(path, SPEC) as journal:
        journal.append(memories(bundle, 0, count))
    return path


@contextlib.contextmanager
def parts_of(bundle: Path, memory: Path, **settings: object) -> Iterator[Parts]:
    config = ApiConfig(bundle, memory, device='cpu', **settings)  # type: ignore[arg-type]
    with contextlib.closing(Parts.open(config)) as parts:
        yield parts


@contextlib.contextmanager
def served(parts: Parts, send_bytes: int | None = None) -> Iterator[int]:
    """A real server in a thread; gives its port.  send_bytes: what the system holds to send."""
    with socket.socket() as listener:
        if send_bytes is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_bytes)
        listener.bind(('127.0.0.1', 0))
        server = server_of(parts)
        thread = threading.Thread(target=server.run, args=([listener],))
        thread.start()
        while not server.started:
            time.sleep(0.01)
        try:
            yield int(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join()


@contextlib.contextmanager
def client_of(parts: Parts) -> Iterator[httpx.Client]:
    """A client of a real server."""
    with served(parts) as port, httpx.Client(
            base_url=f'http://127.0.0.1:{port}', timeout=60.0, trust_env=False) as client:
        yield client


def quick() -> Limits:
    """Limits under which a test of streams takes no time."""
    return Limits(stream_timeout_sec=0.3, send_timeout_sec=1.0, body_timeout_sec=1.0)
