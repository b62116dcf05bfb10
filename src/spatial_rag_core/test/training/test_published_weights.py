from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.encoder import EncoderConfig, ResNet18Encoder, TinyEncoder
from spatial_rag_core.training.published_weights import load_published_weights

import pytest
import torch


@pytest.fixture(scope='module')
def encoder() -> ResNet18Encoder:
    return ResNet18Encoder(EncoderConfig('resnet18', z_dim=4))


def published(encoder: ResNet18Encoder) -> dict[str, Any]:
    weights = {name: torch.full_like(weight, 2) for name, weight in
               encoder.backbone.state_dict().items()}
    return {**weights, 'fc.weight': torch.zeros(1000, 512), 'fc.bias': torch.zeros(1000)}


def test_published_weights_go_into_the_backbone_without_the_classifier(
        encoder: ResNet18Encoder, tmp_path: Path) -> None:
    torch.save(published(encoder), tmp_path / 'resnet18.pth')
    load_published_weights(encoder, tmp_path / 'resnet18.pth')
    assert all((weight == 2).all() for weight in encoder.backbone.state_dict().values())


def test_a_file_without_counters_of_batches_is_taken(
        encoder: ResNet18Encoder, tmp_path: Path) -> None:
    torch.save({name: weight for name, weight in published(encoder).items()
                if not name.endswith('num_batches_tracked')}, tmp_path / 'old.pth')
    load_published_weights(encoder, tmp_path / 'old.pth')


@pytest.mark.parametrize(('changes', 'message'), [
    ({'conv1.weight': None}, '1 missing or unknown weights, the first is conv1.weight'),
    ({'layer9.weight': torch.zeros(1)}, 'the first is layer9.weight'),
    ({'conv1.weight': torch.zeros(64, 1, 7, 7)}, r'shape \[64, 1, 7, 7\], not \[64, 3, 7, 7\]'),
    ({'bn1.bias': torch.full((64,), torch.nan)}, 'bn1.bias is not finite'),
    ({'epoch': 3}, 'something else than named weights'),
])
def test_another_network_is_refused(changes: dict[str, Any], message: str, tmp_path: Path,
                                    encoder: ResNet18Encoder) -> None:
    weights = {name: weight for name, weight in {**published(encoder), **changes}.items()
               if weight is not None}
    torch.save(weights, tmp_path / 'other.pth')
    with pytest.raises(TrainingError, match=message):
        load_published_weights(encoder, tmp_path / 'other.pth')


def test_a_file_with_code_in_it_is_not_run(encoder: ResNet18Encoder, tmp_path: Path) -> None:
    torch.save(encoder, tmp_path / 'module.pth')
    with pytest.raises(TrainingError, match='not a file of weights'):
        load_published_weights(encoder, tmp_path / 'module.pth')


def test_no_file_and_no_weights_are_told(encoder: ResNet18Encoder, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match='cannot be read'):
        load_published_weights(encoder, tmp_path / 'none.pth')
    (tmp_path / 'text.pth').write_text('not weights')
    with pytest.raises(TrainingError, match='not a file of weights'):
        load_published_weights(encoder, tmp_path / 'text.pth')


def test_the_tiny_encoder_has_no_place_for_them(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match='USE_TINY_MODELS=false'):
        load_published_weights(TinyEncoder(EncoderConfig()), tmp_path / 'any.pth')
