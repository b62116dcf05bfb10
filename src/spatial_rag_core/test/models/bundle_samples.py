"""A small model, and bundle files with a part replaced."""

from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import zipfile

from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig

import torch

CREATE = 'spatial-rag bundle create-untrained'


def make(seed: int = 0) -> WorldModel:
    torch.manual_seed(seed)
    return WorldModel(WorldModelConfig(
        EncoderConfig(z_dim=4, use_depth=True, proprio_dim=3),
        TransitionConfig(z_dim=4, action_dim=3, hidden_dim=16, memory_action=False, topk=5)))


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Copy a bundle, with each entry of the archive replaced, or left out for None."""
    copy = path.with_name('rewritten.pt')
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, 'w') as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return copy


def with_metadata(path: Path, **values: object) -> Path:
    def change(name: str, data: bytes) -> bytes:
        if not name.endswith('metadata.json'):
            return data
        return json.dumps({**json.loads(data), **values}).encode()
    return rewritten(path, change)
