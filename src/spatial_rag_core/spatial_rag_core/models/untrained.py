"""A model that has learned nothing, for a first run and for tests."""

from __future__ import annotations

import copy
from pathlib import Path

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.bundle_metadata import BundleMetadata
from spatial_rag_core.models.encoder import Encoder, EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.settings import Settings

import torch
from torch import nn
from torch.nn import functional

_PICTURES = 64
_MAX_SIDE = 64
_MAX_DEPTH_M = 8.0
_MAX_SEED = 2 ** 32 - 1


def create_untrained_bundle(path: str | Path, settings: Settings, seed: int = 0) -> BundleMetadata:
    """
    Write a bundle of random weights; the same settings and seed give the same model_id.

    A stand-in until a trained bundle exists. A random encoder hardly tells pictures apart, so
    its statistics are set on seeded synthetic pictures: there each number of the latent has mean
    0 and deviation 1. The transition and the decoder stay random.
    Raises ConfigurationError for a seed out of range, BundleError where it cannot be written.
    """
    model = untrained_model(settings, seed)
    return save_bundle(model, path, trained=False, training={'seed': seed})


def untrained_model(settings: Settings, seed: int = 0) -> WorldModel:
    """Return the model of create_untrained_bundle; leaves the caller's random state alone."""
    if not 0 <= seed <= _MAX_SEED:
        raise ConfigurationError(f'seed must lie between 0 and {_MAX_SEED}, got {seed}')
    encoder = EncoderConfig('tiny' if settings.use_tiny_models else 'resnet18',
                            settings.z_dim, settings.image_size)
    transition = TransitionConfig(settings.z_dim, settings.action_dim, topk=settings.topk)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = WorldModel(WorldModelConfig(encoder, transition)).eval()
        calibrate(model.encoder, _synthetic_pictures(min(settings.image_size, _MAX_SIDE)))
    return model


def calibrate(encoder: Encoder, rgb: torch.Tensor) -> None:
    """
    Set batch statistics and the head so that latents of `rgb` [N, 3, H, W] have deviation 1.

    The sums run in double precision: rounded to single, they are the same on any machine.
    """
    exact = copy.deepcopy(encoder).double()
    with torch.no_grad():
        _set_batch_statistics(exact, rgb.double())
        _whiten_head(exact, rgb.double())
    encoder.load_state_dict(exact.state_dict())


def _set_batch_statistics(encoder: Encoder, rgb: torch.Tensor) -> None:
    for module in encoder.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the plain mean over what it sees
    encoder.train()
    encoder(rgb)
    encoder.eval()


def _whiten_head(encoder: Encoder, rgb: torch.Tensor) -> None:
    z = encoder(rgb)
    mean, std = z.mean(dim=0), z.std(dim=0)
    encoder.head.weight /= std[:, None]
    encoder.head.bias.copy_((encoder.head.bias - mean) / std)


def _synthetic_pictures(side: int) -> torch.Tensor:
    """Return blurred and blocky colours [N, 3, side, side] in 0..1, some dark, some pale."""
    rgb = torch.zeros(_PICTURES, 3, side, side)
    for cells, mode in ((2, 'bilinear'), (4, 'nearest'), (16, 'nearest')):
        noise = torch.randn(_PICTURES, 3, cells, cells)
        noise *= torch.rand(_PICTURES, 1, 1, 1)
        rgb += functional.interpolate(noise, size=(side, side), mode=mode)
    return torch.sigmoid(rgb + torch.randn(_PICTURES, 3, 1, 1))
