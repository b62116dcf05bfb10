"""
How long does one frame take in the models? One JSON line for each question, times in ms.

`bundle` is what the nodes run: a frozen TorchScript file. Its peers, measured in turn with it in
the same process: the eager modules, and TorchScript after optimize_for_inference.
"""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import tempfile
import time
import warnings

from spatial_rag_core.models.bundle import Bundle, save_bundle
from spatial_rag_core.models.untrained import untrained_model
from spatial_rag_core.settings import Settings

import numpy as np
import torch

FRAMES = 500
WARM_UP = 20
THREADS = 1

Step = Callable[[Bundle], object]


def peers(settings: Settings, folder: Path) -> dict[str, Bundle]:
    model = untrained_model(settings).requires_grad_(False)
    path = folder / 'model.pt'
    save_bundle(model, path, trained=False, training={})
    bundle = Bundle.load(path, device='cpu', num_threads=THREADS)
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', r'`torch\.jit\.\w+` is', DeprecationWarning)
        optimised = torch.jit.optimize_for_inference(
            torch.jit.script(model), ['encode', 'predict', 'features', 'decode'])
    return {'bundle': bundle,
            'eager': Bundle(bundle.metadata, model, bundle.device),
            'optimize_for_inference': Bundle(bundle.metadata, optimised, bundle.device)}


def measure(question: str, step: Step, candidates: dict[str, Bundle]) -> None:
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for frame in range(WARM_UP + FRAMES):
        for name, candidate in candidates.items():
            start = time.perf_counter()
            step(candidate)
            if frame >= WARM_UP:
                times[name].append(1e3 * (time.perf_counter() - start))
    print(json.dumps({'question': question, 'frames': FRAMES, 'threads': THREADS,
                      'torch': torch.__version__,
                      **{name: summary(values) for name, values in times.items()}}), flush=True)


def summary(times_ms: list[float]) -> dict[str, float]:
    p50, p99 = np.percentile(times_ms, (50, 99))
    return {'p50_ms': round(p50, 3), 'p99_ms': round(p99, 3), 'max_ms': round(max(times_ms), 3)}


def main() -> None:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (480, 640, 3), np.uint8)
    small = rgb[:64, :64].copy()
    z, memories = rng.normal(size=32), rng.normal(size=(8, 32)).astype(np.float32)
    action = np.zeros(2, np.float32)
    with tempfile.TemporaryDirectory() as folder:
        tiny = peers(Settings(), Path(folder))
        measure('encode tiny, 64x64 px', lambda b: b.encode_image(small), tiny)
        measure('encode tiny, 640x480 px resized', lambda b: b.encode_image(rgb), tiny)
        measure('predict, K=8', lambda b: b.predict_next(z, action, memories), tiny)
        measure('encode tiny + predict, 640x480 px resized, K=8',
                lambda b: b.predict_next(b.encode_image(rgb), action, memories), tiny)
        measure('decode', lambda b: b.decode_image(z), tiny)
        resnet = peers(Settings(use_tiny_models=False), Path(folder))
        measure('encode resnet18, 64x64 px', lambda b: b.encode_image(small), resnet)


if __name__ == '__main__':
    main()
