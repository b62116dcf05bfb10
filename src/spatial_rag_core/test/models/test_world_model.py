from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.imagination import Bank
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig

import pytest
import torch

from .transitions import poses


@pytest.mark.parametrize('image_size', [32, 64, 96])
def test_a_decoded_picture_has_the_encoders_size_and_lies_in_0_to_1(image_size: int) -> None:
    model = WorldModel(WorldModelConfig(EncoderConfig(image_size=image_size))).eval()
    rgb = model.decode(10.0 * torch.randn(2, 32)).detach()
    assert rgb.shape == (2, 3, image_size, image_size)
    assert 0.0 <= float(rgb.min()) <= float(rgb.max()) <= 1.0


def test_the_default_model_stays_below_5_megabytes() -> None:
    parameters = WorldModel(WorldModelConfig()).parameters()
    assert sum(p.numel() * p.element_size() for p in parameters) < 5e6


def bank(n: int = 20) -> Bank:
    return Bank(torch.randn(4, n, 32), torch.ones(4, n, dtype=torch.bool), poses(4, n),
                torch.randn(4, n, 2))


def test_every_part_learns_from_an_imagined_drive() -> None:
    torch.manual_seed(0)
    model = WorldModel(WorldModelConfig())
    z = model.encode(torch.rand(4, 3, 64, 64))
    imagined = model.rollout(z, torch.randn(4, 3, 2), *bank())
    loss = (model.decode(imagined.z[:, -1]).square().mean() + imagined.position.square().sum()
            + imagined.log_variance.square().sum())
    loss.backward()
    still = [name for name, p in model.named_parameters()
             if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == []


def test_a_history_of_no_moments_is_no_history() -> None:
    torch.manual_seed(0)
    model = WorldModel(WorldModelConfig()).eval().requires_grad_(False)
    z, none = torch.randn(4, 32), (torch.zeros(4, 0, 32), torch.zeros(4, 0, 2))
    given = (z, torch.randn(4, 2), *bank(8))
    assert torch.equal(model.predict(*given), model.predict(*given, *none))
    assert torch.equal(model.rollout(z, torch.zeros(4, 3, 2), *bank(0)).z,
                       model.rollout(z, torch.zeros(4, 3, 2), *bank(0), *none).z)


def test_two_latent_sizes_in_one_model_are_refused() -> None:
    with pytest.raises(ConfigurationError, match='got 16 for the encoder and 32'):
        WorldModelConfig(EncoderConfig(z_dim=16), TransitionConfig(z_dim=32))
