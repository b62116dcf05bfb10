"""One training of an encoder and a decoder, from frames to networks."""

from __future__ import annotations

from dataclasses import asdict
import math
from typing import NamedTuple
import warnings

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.decoder import Decoder
from spatial_rag_core.models.encoder import Encoder, EncoderConfig
from spatial_rag_core.records import Vector
from spatial_rag_core.training.fitting import fit, FitFigures, FitOptions, Schedule
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.latent_health import latent_health, place_figures
from spatial_rag_core.training.pair_sampler import PairBatch, PairBatches, PairSampler
from spatial_rag_core.training.perception_config import PerceptionConfig
from spatial_rag_core.training.perception_module import as_pictures, PerceptionModule

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

_VALIDATION_FRAMES = 2048
_CALIBRATION_FRAMES = 20_000
_CHUNK = 256


class PerceptionResult(NamedTuple):
    """
    Networks in evaluation mode, how their training went, and what they can do.

    figures: psnr_db, recall_at_1, near_far_auc and queries on the frames that `measured_on` names;
    z_dim, smallest_deviation, largest_deviation, effective_rank and dead on those trained on.
    """

    encoder: Encoder
    decoder: Decoder
    training: FitFigures
    figures: dict[str, float | int | str]


def train_perception(frames: FrameSet, config: PerceptionConfig, *,
                     encoder: EncoderConfig | None = None, valid: FrameSet | None = None,
                     seed: int = 0, options: FitOptions | None = None,
                     start: Encoder | None = None) -> PerceptionResult:
    """
    Train on `frames`, stop by `valid`, best of other maps; without it by `frames` themselves.

    Each number of the latents has mean 0 and deviation 1 on `frames`.  start: an encoder to
    begin with, as of load_published_weights.  Warns (UserWarning) of collapsed latents.
    Raises TrainingError for frames that do not fit the configuration, and see fit.
    """
    structure = encoder or EncoderConfig()
    for each in (frames, valid or frames):
        _check(each, structure)
    steps = config.steps_for(len(frames))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = PerceptionModule(structure, config, steps)
        if start is not None:
            module.encoder.load_state_dict(start.state_dict())
        training = fit(module, *_loaders(frames, valid or frames, config, seed), Schedule(
            steps, min(steps, config.validate_every), config.patience, 'valid/loss'),
            options or FitOptions())
    scale = _finish(module, frames.spread(_CALIBRATION_FRAMES))
    return PerceptionResult(module.encoder, module.decoder, training,
                            _figures(module.encoder, module.decoder, scale, frames, valid))


def encode_frames(encoder: Encoder, frames: FrameSet) -> Vector:
    """Return latents float32 [N, z_dim]; depth and proprioception only where both have them."""
    rows: list[torch.Tensor] = []
    with torch.inference_mode():
        for first in range(0, len(frames), _CHUNK):
            part = slice(first, first + _CHUNK)
            depth_m, proprio = frames.depth_m, frames.proprio
            rows.append(encoder(
                as_pictures(torch.from_numpy(frames.rgb[part])),
                None if depth_m is None or encoder.depth_branch is None
                else torch.from_numpy(depth_m[part].astype(np.float32))[:, None],
                None if proprio is None or encoder.proprio_branch is None
                else torch.from_numpy(proprio[part])))
    latents: Vector = torch.cat(rows).numpy()
    return latents


def reconstruction_psnr_db(encoder: Encoder, decoder: Decoder, frames: FrameSet) -> float:
    """Peak signal-to-noise ratio [dB] over all pixels of frames."""
    z = torch.from_numpy(encode_frames(encoder, frames))
    total = 0.0
    with torch.inference_mode():
        for first in range(0, len(frames), _CHUNK):
            part = slice(first, first + _CHUNK)
            shown = decoder(z[part])
            true = as_pictures(torch.from_numpy(frames.rgb[part]))
            total += float((shown - true).square().sum(dtype=torch.float64))
    return -10.0 * math.log10(max(total / frames.rgb.size, 1e-12))


def _check(frames: FrameSet, encoder: EncoderConfig) -> None:
    if len(frames) < 2:
        raise TrainingError(f'{len(frames)} pictures are too few to learn from; give at least 2')
    if frames.side != encoder.image_size:
        raise TrainingError(f'the pictures are {frames.side} px, the encoder takes '
                            f'{encoder.image_size} px; set IMAGE_SIZE={frames.side}')
    width = 0 if frames.proprio is None else frames.proprio.shape[1]
    if encoder.proprio_dim and width not in (0, encoder.proprio_dim):
        raise TrainingError(f'{width} numbers of proprioception, the encoder takes '
                            f'{encoder.proprio_dim}; set proprio_dim: {width}')


def _loaders(frames: FrameSet, valid: FrameSet, config: PerceptionConfig, seed: int,
             ) -> tuple[DataLoader[PairBatch], DataLoader[PairBatch]]:
    batches = PairBatches(PairSampler(frames, config, seed), seed)
    fixed = _Fixed(PairSampler(valid, config, 0), min(_VALIDATION_FRAMES, 2 * len(valid)))
    return DataLoader(batches, batch_size=None), DataLoader(fixed, batch_size=None)


def _finish(module: PerceptionModule, frames: FrameSet) -> Vector:
    """Fold the normalisation into head and seed; return the deviations that the head had."""
    module.cpu().eval().requires_grad_(False).to(memory_format=torch.contiguous_format)
    head, seed, used = module.encoder.head, module.decoder.seed, module.normalise
    raw = torch.from_numpy(encode_frames(module.encoder, frames)).double()
    mean, std = raw.mean(dim=0), raw.std(dim=0, correction=0).clamp(min=1e-6)
    assert used.running_mean is not None
    assert used.running_var is not None
    used_mean, used_std = used.running_mean.double(), (used.running_var.double() + used.eps).sqrt()
    # The decoder has learned (raw - used_mean) / used_std and is given (raw - mean) / std.
    seed.bias.add_((seed.weight.double() @ ((mean - used_mean) / used_std)).float())
    seed.weight.mul_((std / used_std).float())
    head.weight.div_(std[:, None].float())
    head.bias.copy_((head.bias.double() - mean) / std)
    deviations: Vector = std.numpy()
    return deviations


def _figures(encoder: Encoder, decoder: Decoder, scale: Vector, frames: FrameSet,
             valid: FrameSet | None) -> dict[str, float | int | str]:
    health = latent_health(encode_frames(encoder, frames.spread(_CALIBRATION_FRAMES)), scale)
    if health.warning:
        warnings.warn(health.warning, stacklevel=3)
    measured = frames if valid is None else valid
    places = place_figures(encode_frames(encoder, measured), measured)
    return {'measured_on': 'training' if valid is None else 'validation',
            'psnr_db': reconstruction_psnr_db(encoder, decoder, measured),
            **asdict(places), **asdict(health)}


class _Fixed(Dataset[PairBatch]):
    """The validation's batches, the same each time."""

    def __init__(self, sampler: PairSampler, frames: int) -> None:
        rng = np.random.default_rng(0)
        count = max(1, frames // sampler.config.batch_size)
        self._batches = [sampler.draw(rng) for _ in range(count)]

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> PairBatch:
        return self._batches[index]
