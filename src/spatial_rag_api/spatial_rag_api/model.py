"""The world model in a thread of its own."""

from __future__ import annotations

from pathlib import Path
import time
from typing import NamedTuple

from spatial_rag_api.limits import Limits
from spatial_rag_api.pictures import to_base64
from spatial_rag_api.worker import Worker
from spatial_rag_core.data.pictures import DepthMap, jpeg_from_rgb, Rgb
from spatial_rag_core.models.bundle import Bundle, BundleMetadata, Device
from spatial_rag_core.models.imagined import History, Imagined
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Vector

_JPEG_QUALITY = 90


class Timed(NamedTuple):
    """Imagined futures, and the time that they took in the model [ms]."""

    imagined: Imagined
    time_ms: float


class Model:
    """
    A bundle, and the one thread that may use it.

    Torch keeps its number of threads for each thread, so the bundle is loaded in that one, too.
    Raises BundleError where the file cannot be used.
    """

    def __init__(self, path: Path, device: Device, limits: Limits) -> None:
        self.worker = Worker('model', 1, limits.max_waiting, limits.job_timeout_sec)
        try:
            self._bundle = self.worker.do(Bundle.load, path, device=device)
        except BaseException:
            self.worker.close()
            raise

    @property
    def metadata(self) -> BundleMetadata:
        """What the bundle says about itself."""
        return self._bundle.metadata

    @property
    def device(self) -> str:
        """Where it runs."""
        return str(self._bundle.device)

    async def encode(self, rgb: Rgb, depth_m: DepthMap | None = None,
                     proprio: list[float] | None = None) -> tuple[Vector, float]:
        """Latent of a picture, float32 [z_dim], and the time it took [ms]; see encode_image."""
        def encode() -> tuple[Vector, float]:
            begun = time.perf_counter()
            z = self._bundle.encode_image(rgb, depth_m, proprio)
            return z, (time.perf_counter() - begun) * 1e3
        return await self.worker.run(encode)

    async def imagine(self, z: Vector, plans: Vector, bank: MemoryBank,
                      history: History | None) -> Timed:
        """Futures of plans, float32 [B, T, action_dim]; see Bundle.rollout."""
        def imagine() -> Timed:
            begun = time.perf_counter()
            imagined = self._bundle.rollout(z, plans, bank, history)
            return Timed(imagined, (time.perf_counter() - begun) * 1e3)
        return await self.worker.run(imagine)

    async def picture(self, z: Vector) -> str:
        """JPEG of a latent, base64; a job by itself, so that nobody waits for many of them."""
        def picture() -> str:
            return to_base64(jpeg_from_rgb(self._bundle.decode_image(z), _JPEG_QUALITY))
        return await self.worker.run(picture)

    def close(self) -> None:
        """End its thread."""
        self.worker.close()
