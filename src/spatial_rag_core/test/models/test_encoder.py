from __future__ import annotations

import math
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.encoder import (
    Encoder,
    EncoderConfig,
    IMAGE_MEAN,
    IMAGE_STD,
    ResNet18Encoder,
    TinyEncoder,
)

import pytest
import torch

ENCODERS = {'tiny': TinyEncoder, 'resnet18': ResNet18Encoder}
H, W = 64, 96


def make(architecture: str, **options: Any) -> Encoder:
    torch.manual_seed(0)
    config = EncoderConfig(architecture, z_dim=16, **options)
    encoder = ENCODERS[architecture](config).eval().requires_grad_(False)
    # Outgoing weights near zero would hide that an input counts.
    torch.nn.init.normal_(encoder.head.weight)
    return encoder


def pictures(batch: int = 2) -> torch.Tensor:
    return torch.rand(batch, 3, H, W, generator=torch.Generator().manual_seed(1))


def depths(batch: int = 2) -> torch.Tensor:
    return 0.5 + 4.0 * torch.rand(batch, 1, H, W, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize('architecture', ENCODERS)
def test_a_picture_gives_one_latent_and_a_feature_map_of_a_32nd_of_its_size(
        architecture: str) -> None:
    encoder = make(architecture)
    assert encoder(pictures()).shape == (2, 16)
    assert encoder.features(pictures()).shape == (2, 512, H // 32, W // 32)


@pytest.mark.parametrize('architecture', ENCODERS)
@pytest.mark.parametrize('image_size', [32, 96, 160])
def test_every_multiple_of_32_pixels_is_encoded(architecture: str, image_size: int) -> None:
    z = make(architecture, image_size=image_size)(torch.rand(1, 3, image_size, image_size))
    assert z.isfinite().all()


@pytest.mark.parametrize('architecture', ENCODERS)
def test_a_row_of_a_batch_has_the_latent_that_it_has_alone(architecture: str) -> None:
    encoder = make(architecture)
    alone = torch.cat([encoder(picture[None]) for picture in pictures()])
    torch.testing.assert_close(encoder(pictures()), alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize('architecture', ENCODERS)
def test_where_a_thing_stands_in_the_picture_changes_the_latent(architecture: str) -> None:
    encoder = make(architecture)
    left = torch.zeros(1, 3, H, W)
    left[:, :, :, :W // 3] = 1.0
    assert (encoder(left) - encoder(left.flip(3))).abs().max() > 1e-3


def test_normalisation_lies_inside_the_net() -> None:
    encoder = make('tiny')
    encoder.backbone = torch.nn.Identity()
    mean = torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1).expand(1, 3, H, W)
    one_deviation = torch.tensor(IMAGE_STD).view(1, 3, 1, 1)
    torch.testing.assert_close(encoder.features(mean), torch.zeros(1, 3, H, W))
    torch.testing.assert_close(encoder.features(mean + one_deviation), torch.ones(1, 3, H, W))


@pytest.mark.parametrize('architecture', ENCODERS)
def test_missing_depth_is_depth_that_is_unknown_everywhere(architecture: str) -> None:
    encoder = make(architecture, use_depth=True)
    unknown = torch.full((2, 1, H, W), math.nan)
    assert torch.equal(encoder(pictures()), encoder(pictures(), unknown))
    assert torch.equal(encoder(pictures()), encoder(pictures(), torch.zeros(2, 1, H, W)))


@pytest.mark.parametrize('architecture', ENCODERS)
def test_depth_changes_latent_and_features(architecture: str) -> None:
    encoder = make(architecture, use_depth=True)
    assert not torch.allclose(encoder(pictures()), encoder(pictures(), depths()))
    assert not torch.allclose(encoder.features(pictures()),
                              encoder.features(pictures(), depths()))


def test_unknown_depth_and_infinite_depth_are_not_the_same_and_stay_finite() -> None:
    encoder = make('tiny', use_depth=True)
    holes, far = depths(), depths()
    holes[:, :, :H // 2] = -math.inf
    far[:, :, :H // 2] = math.inf
    assert encoder(pictures(), holes).isfinite().all()
    assert encoder(pictures(), far).isfinite().all()
    assert not torch.allclose(encoder(pictures(), holes), encoder(pictures(), far))


@pytest.mark.parametrize('architecture', ENCODERS)
def test_missing_proprioception_is_not_the_same_as_zeros(architecture: str) -> None:
    encoder = make(architecture, proprio_dim=3)
    zeros = encoder(pictures(), None, torch.zeros(2, 3))
    assert not torch.allclose(encoder(pictures()), zeros)
    assert not torch.allclose(encoder(pictures(), None, torch.ones(2, 3)), zeros)


def test_a_batch_may_mix_known_and_unknown_proprioception() -> None:
    encoder = make('tiny', proprio_dim=3)
    proprio = torch.tensor([[1.0, 2.0, 3.0], [math.nan, 2.0, 3.0]])
    mixed = encoder(pictures(), None, proprio)
    torch.testing.assert_close(mixed[0], encoder(pictures(), None, proprio[:1].expand(2, 3))[0])
    torch.testing.assert_close(mixed[1], encoder(pictures())[1])


def test_the_resnet_takes_published_weights_by_torchvisions_names() -> None:
    weights = make('resnet18').backbone.state_dict()
    # torchvision.models.resnet18 has 11 689 512 parameters, 513 000 of them in fc.
    learned = sum(w.numel() for name, w in weights.items()
                  if 'running' not in name and 'batches' not in name)
    assert learned == 11_689_512 - 513_000
    assert len(weights) == 122 - 2
    assert list(weights)[:6] == ['conv1.weight', 'bn1.weight', 'bn1.bias', 'bn1.running_mean',
                                 'bn1.running_var', 'bn1.num_batches_tracked']
    assert weights['layer2.0.downsample.0.weight'].shape == (128, 64, 1, 1)
    assert weights['layer4.1.conv2.weight'].shape == (512, 512, 3, 3)
    assert 'layer1.0.downsample.0.weight' not in weights


@pytest.mark.parametrize(('options', 'message'), [
    ({'architecture': 'vit'}, "architecture must be one of .*, got 'vit'"),
    ({'z_dim': 0}, 'z_dim must be > 0, got 0'),
    ({'image_size': 100}, 'multiple of 32 px, got 100'),
    ({'image_size': 0}, 'multiple of 32 px, got 0'),
    ({'proprio_dim': -1}, 'proprio_dim must be >= 0 .*, got -1'),
])
def test_a_value_out_of_range_is_refused_at_birth(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        EncoderConfig(**options)
