"""Writing and opening the TorchScript file of a world model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
import copy
from dataclasses import asdict
import hashlib
import json
import os
from pathlib import Path
from typing import Any, cast
import warnings

from spatial_rag_core.errors import BundleError, ConfigurationError
from spatial_rag_core.models.bundle_code import checked_copy
from spatial_rag_core.models.bundle_metadata import BundleMetadata, CREATE_HINT, METADATA_FILE
from spatial_rag_core.models.encoder import EncoderConfig, IMAGE_MEAN, IMAGE_STD
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig

import torch

_METHODS = ['encode', 'features', 'predict', 'rollout', 'decode']
STEP_SEC = 0.2
"""Time from one latent to the next that a model foresees, unless it was trained otherwise [s]."""
_ID_LENGTH = 16


def model_id_of(config: WorldModelConfig, weights: Mapping[str, torch.Tensor]) -> str:
    """Return 16 hex digits of a SHA-256 over structure and named weights, on any device."""
    digest = hashlib.sha256(json.dumps(asdict(config), sort_keys=True).encode())
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f'{name} {tensor.dtype} {list(tensor.shape)}\n'.encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()[:_ID_LENGTH]


def save_bundle(model: WorldModel, path: str | Path, *, trained: bool,
                training: Mapping[str, Any], step_sec: float = STEP_SEC,
                history: int = 0) -> BundleMetadata:
    """
    Write a model and its metadata; a reader sees the old file or the new one, never a part.

    training: facts for people, as JSON can say them.  step_sec, history: see BundleMetadata.
    Raises ConfigurationError, BundleError where the file cannot be written.
    """
    model = copy.deepcopy(model).cpu().eval()
    metadata = _metadata(model, trained, training, step_sec, history)
    extra = {METADATA_FILE: metadata.to_json()}
    try:
        _write(model, Path(path), extra)
    except OSError as error:
        raise BundleError(f'{path}: cannot be written ({error.strerror}); choose a folder that '
                          'can be written and has space') from error
    return metadata


def open_network(path: Path, metadata: BundleMetadata, device: torch.device) -> WorldModel:
    """
    Return the frozen TorchScript network, on `device`, with the methods of WorldModel.

    Raises BundleError for a file that is not TorchScript, not the model that it says it is, or
    does more than compute.
    """
    code = checked_copy(path)
    try:
        with _silent_deprecation():
            network = torch.jit.load(code, map_location=device)
    except (RuntimeError, ValueError, OSError) as error:
        reason = str(error).strip().partition('\n')[0]
        raise BundleError(f'{path}: not TorchScript, or damaged ({reason}); copy it again, or '
                          f'make one: {CREATE_HINT} {path}') from error
    found = model_id_of(_config(path, metadata), network.state_dict())
    if found != metadata.model_id:
        raise BundleError(f'{path}: the weights have model_id {found}, the metadata says '
                          f'{metadata.model_id}; copy the file again, or save it anew')
    # optimize_for_inference goes no further: it measured slower here (benchmarks/bench_models.py).
    with _silent_deprecation():
        frozen = torch.jit.freeze(network.eval(), preserved_attrs=_METHODS)
    return cast(WorldModel, frozen)


def torch_device(path: Path, device: str) -> torch.device:
    """Return what 'auto', 'cpu' or 'cuda' means here; raises BundleError without a GPU."""
    if device not in ('auto', 'cpu', 'cuda'):
        raise ConfigurationError(f"device must be 'auto', 'cpu' or 'cuda', got {device!r}")
    if device == 'cuda' and not torch.cuda.is_available():
        raise BundleError(f'{path}: device cuda asked for, but torch sees no GPU here; set '
                          'device: cpu (or auto)')
    if device == 'auto':
        return torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    return torch.device(device)


def _metadata(model: WorldModel, trained: bool, training: Mapping[str, Any], step_sec: float,
              history: int) -> BundleMetadata:
    encoder, transition = model.config.encoder, model.config.transition
    return BundleMetadata(
        model_id=model_id_of(model.config, model.state_dict()),
        architecture=encoder.architecture, z_dim=encoder.z_dim,
        action_dim=transition.action_dim, image_size=encoder.image_size, topk=transition.topk,
        uses_depth=encoder.use_depth, proprio_dim=encoder.proprio_dim,
        transition=asdict(transition), step_sec=float(step_sec), history=history,
        trained=trained, training=dict(training),
        normalisation={'mean': list(IMAGE_MEAN), 'std': list(IMAGE_STD)})


def _config(path: Path, metadata: BundleMetadata) -> WorldModelConfig:
    try:
        return WorldModelConfig(
            EncoderConfig(metadata.architecture, metadata.z_dim, metadata.image_size,
                          metadata.uses_depth, metadata.proprio_dim),
            TransitionConfig(**metadata.transition))
    except (ConfigurationError, TypeError) as error:  # TypeError: a value of another type
        raise BundleError(f'{path}: {error}; save the bundle anew') from error


def _write(model: WorldModel, path: Path, extra: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
    try:
        with temporary.open('wb') as stream, _silent_deprecation():
            torch.jit.save(torch.jit.script(model), stream, _extra_files=extra)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _silent_deprecation() -> Iterator[None]:
    # Torch 2.9 and newer advise torch.export, which holds one method a file; a bundle has five.
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', r'`torch\.jit\.\w+` is', DeprecationWarning)
        yield
