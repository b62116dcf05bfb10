"""An encoder and a decoder that learn together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from spatial_rag_core.models.decoder import Decoder
from spatial_rag_core.models.encoder import (
    Encoder,
    EncoderConfig,
    ResNet18Encoder,
    TinyEncoder,
)
from spatial_rag_core.training.pair_sampler import PairBatch
from spatial_rag_core.training.perception_config import PerceptionConfig
from spatial_rag_core.training.perception_losses import (
    edge_error,
    picture_error,
    place_contrast,
    shared_variance,
)

import lightning
import torch
from torch import nn


class PerceptionModule(lightning.LightningModule):
    """
    The sum of the losses of PerceptionConfig on batches of pairs.

    While it learns, each number of a latent is brought to mean 0 and deviation 1 over the batch;
    train_perception folds that into the encoder.
    """

    def __init__(self, encoder: EncoderConfig, config: PerceptionConfig,
                 training_steps: int) -> None:
        super().__init__()
        self.config, self.training_steps = config, training_steps
        kind = TinyEncoder if encoder.architecture == 'tiny' else ResNet18Encoder
        self.encoder: Encoder = kind(encoder)
        self.decoder = Decoder(encoder.z_dim, encoder.image_size)
        self.normalise = nn.BatchNorm1d(encoder.z_dim, affine=False, momentum=0.05)
        self.to(memory_format=torch.channels_last)  # a fifth faster on a CPU

    def training_step(self, batch: PairBatch, batch_index: int) -> torch.Tensor:
        """Return the loss of a batch."""
        true, depth_m = shifted(as_pictures(batch.rgb), batch.depth_m, self.config.shift_px)
        z = self._latents(self._jittered(true), *self._dropped(depth_m, batch.proprio))
        shown = self.decoder(z + self.config.latent_noise * torch.randn_like(z))
        loss, terms = self._loss(z, shown, true, batch)
        self.log_dict({f'train/{name}': value for name, value in terms.items()}, prog_bar=True)
        return loss

    def validation_step(self, batch: PairBatch, batch_index: int) -> None:
        """Log the loss of a batch as it is, and the peak signal-to-noise ratio [dB]."""
        true = as_pictures(batch.rgb)
        z = self._latents(true, batch.depth_m, batch.proprio)
        shown = self.decoder(z)
        loss, terms = self._loss(z, shown, true, batch)
        self.log('valid/loss', loss, prog_bar=True, batch_size=1)
        self.log_dict({f'valid/{name}': value for name, value in terms.items()}, batch_size=1)
        self.log('valid/psnr_db', -10.0 * (shown - true).square().mean().log10(), batch_size=1)

    def configure_optimizers(self) -> Any:
        """AdamW; the learning rate rises for a tenth of the steps, then falls by a cosine."""
        config = self.config
        optimizer = torch.optim.AdamW(self.parameters(), config.learning_rate,
                                      weight_decay=config.weight_decay)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, config.learning_rate, pct_start=0.1,
            total_steps=max(11, self.training_steps + 1))  # a shorter cycle divides by zero
        return {'optimizer': optimizer,
                'lr_scheduler': {'scheduler': schedule, 'interval': 'step'}}

    def _latents(self, rgb: torch.Tensor, depth_m: torch.Tensor | None,
                 proprio: torch.Tensor | None) -> torch.Tensor:
        z: torch.Tensor = self.normalise(self.encoder(rgb, depth_m, proprio))
        return z

    def _loss(self, z: torch.Tensor, shown: torch.Tensor, true: torch.Tensor,
              batch: PairBatch) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Return the weighted sum and its terms; a term of weight 0 is not computed."""
        config = self.config
        terms: list[tuple[str, float, Callable[[], torch.Tensor]]] = [
            ('picture', config.reconstruction_weight, lambda: picture_error(shown, true)),
            ('edge', config.edge_weight, lambda: edge_error(shown, true)),
            ('place', config.place_weight, lambda: place_contrast(
                z, batch.sameness, config.temperature)),
            ('covariance', config.covariance_weight, lambda: shared_variance(z))]
        values = {name: term() for name, weight, term in terms if weight}
        total = torch.zeros((), device=z.device)
        for name, weight, _ in terms:
            if weight:
                total = total + weight * values[name]
        return total, {name: value.detach() for name, value in values.items()}

    def _jittered(self, rgb: torch.Tensor) -> torch.Tensor:
        """Other exposure and white balance; the decoder is to show the picture as it was."""
        config = self.config
        if not config.brightness and not config.colour:
            return rgb
        factor = (config.brightness * torch.randn(len(rgb), 1, 1, 1, device=rgb.device)
                  + config.colour * torch.randn(len(rgb), 3, 1, 1, device=rgb.device))
        jittered: torch.Tensor = (rgb * factor.exp()).clamp(0.0, 1.0)
        return jittered

    def _dropped(self, depth_m: torch.Tensor | None, proprio: torch.Tensor | None,
                 ) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Depth and proprioception, unknown in some rows."""
        share = self.config.drop_inputs
        if depth_m is not None:
            lot = torch.rand(len(depth_m), 1, 1, 1, device=depth_m.device)
            depth_m = depth_m.masked_fill(lot < share, 0.0)
        if proprio is not None:
            lot = torch.rand(len(proprio), 1, device=proprio.device)
            proprio = proprio.masked_fill(lot < share, torch.nan)
        return depth_m, proprio


def as_pictures(rgb: torch.Tensor) -> torch.Tensor:
    """Bytes [B, S, S, 3] as the networks take them, [B, 3, S, S] in 0..1."""
    return rgb.permute(0, 3, 1, 2).float() / 255.0


def shifted(rgb: torch.Tensor, depth_m: torch.Tensor | None, limit_px: int,
            ) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Pictures [B, 3, S, S] and their depth, moved by up to limit_px; borders are drawn out."""
    if not limit_px:
        return rgb, depth_m
    side = torch.arange(rgb.shape[2], device=rgb.device)
    by = torch.randint(-limit_px, limit_px + 1, (2, len(rgb), 1), device=rgb.device)
    down, across = (side + by).clamp(0, len(side) - 1)  # each [B, S]
    row = torch.arange(len(rgb), device=rgb.device)[:, None, None]
    place = row, slice(None), down[:, :, None], across[:, None, :]
    # Indices around a slice put the channels last: [B, S, S, C].
    return rgb[place].movedim(3, 1), None if depth_m is None else depth_m[place].movedim(3, 1)
