from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spatial_rag_core.models.bundle import Bundle, save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.untrained import create_untrained_bundle
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.settings import Settings

import pytest
import torch

from .bundle_samples import make
from .transitions import PLAIN


@pytest.fixture(scope='module', autouse=True)
def one_torch_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope='session')
def untrained_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('bundle') / 'untrained.pt'
    create_untrained_bundle(path, Settings())
    return path


@pytest.fixture(scope='session')
def bundle(untrained_path: Path) -> Bundle:
    return Bundle.load(untrained_path, device='cpu')


@pytest.fixture(scope='session')
def rich_model() -> WorldModel:
    torch.manual_seed(0)
    model = WorldModel(WorldModelConfig(
        EncoderConfig(z_dim=6, use_depth=True, proprio_dim=3),
        TransitionConfig(z_dim=6, action_dim=2, memory_action=True, topk=4)))
    torch.nn.init.normal_(model.encoder.head.weight)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope='session')
def rich(rich_model: WorldModel, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    path = tmp_path_factory.mktemp('rich') / 'rich.pt'
    save_bundle(rich_model, path, trained=False, training={}, history=3)
    return Bundle.load(path, device='cpu')


@pytest.fixture(scope='session')
def plain(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The design's formula and nothing else."""
    path = tmp_path_factory.mktemp('plain') / 'plain.pt'
    torch.manual_seed(0)
    model = WorldModel(WorldModelConfig(transition=TransitionConfig(**PLAIN)))
    save_bundle(model, path, trained=False, training={})
    return Bundle.load(path, device='cpu')


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / 'model.pt'
    save_bundle(make(), path, trained=True, training={'epochs': 3}, step_sec=0.5, history=2)
    return path
