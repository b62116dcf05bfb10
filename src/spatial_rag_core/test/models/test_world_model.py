from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig

import pytest
import torch


@pytest.mark.parametrize('image_size', [32, 64, 96])
def test_a_decoded_picture_has_the_encoders_size_and_lies_in_0_to_1(image_size: int) -> None:
    model = WorldModel(WorldModelConfig(EncoderConfig(image_size=image_size))).eval()
    rgb = model.decode(10.0 * torch.randn(2, 32)).detach()
    assert rgb.shape == (2, 3, image_size, image_size)
    assert 0.0 <= float(rgb.min()) <= float(rgb.max()) <= 1.0


def test_the_default_model_stays_below_3_megabytes() -> None:
    parameters = WorldModel(WorldModelConfig()).parameters()
    assert sum(p.numel() * p.element_size() for p in parameters) < 3e6


def test_every_part_learns_from_a_prediction_of_the_next_picture() -> None:
    torch.manual_seed(0)
    model = WorldModel(WorldModelConfig())
    z = model.encode(torch.rand(4, 3, 64, 64))
    z_next = model.predict(z, torch.randn(4, 2), torch.randn(4, 8, 32),
                           torch.ones(4, 8, dtype=torch.bool))
    model.decode(z_next).square().mean().backward()
    still = [name for name, p in model.named_parameters()
             if p.grad is None or not p.grad.abs().sum() > 0]
    assert still == ['transition.gru.weight_hh']  # the GRU starts from rest


def test_two_latent_sizes_in_one_model_are_refused() -> None:
    with pytest.raises(ConfigurationError, match='got 16 for the encoder and 32'):
        WorldModelConfig(EncoderConfig(z_dim=16), TransitionConfig(z_dim=32))
