"""How an encoder and a decoder are trained."""

from __future__ import annotations

from dataclasses import dataclass

from spatial_rag_core.errors import ConfigurationError

_POSITIVE = ('training_steps', 'passes_at_most', 'learning_rate', 'validate_every', 'patience',
             'temperature', 'near_m', 'near_deg')
_NOT_NEGATIVE = ('weight_decay', 'reconstruction_weight', 'edge_weight', 'place_weight',
                 'covariance_weight', 'latent_noise', 'brightness', 'colour', 'shift_px')


@dataclass(frozen=True)
class PerceptionConfig:
    """
    Optimisation of encoder and decoder; raises ConfigurationError for a value out of its range.

    training_steps: optimiser steps, fewer where they would see each picture more than
    passes_at_most times.  batch_size: pictures of a step, half of them anchors and half a
    neighbour of each, from maps_per_batch maps.  learning_rate (highest), weight_decay: of AdamW.
    validate_every, patience: steps between validations, and validations without a better one.

    A weight of 0 switches its term off.  reconstruction_weight: squared error of the picture.
    edge_weight: absolute error of differences between pixels side by side.  place_weight: of
    the views in a batch those of the same place are nearest, at `temperature`; what share each is
    due falls with distance and angle, to 1/e at near_m [m], and at near_deg.
    covariance_weight: the numbers of a latent tell different things.

    latent_noise: deviation of what is added to a latent before it is decoded.  brightness,
    colour: deviation of the logarithm of the factors on a whole picture and on each channel.
    shift_px: pictures are moved by up to so many pixels.
    drop_inputs: share of pictures that are seen without depth, and without proprioception.
    """

    training_steps: int = 2000
    passes_at_most: int = 160
    batch_size: int = 128
    maps_per_batch: int = 8
    learning_rate: float = 4e-3
    weight_decay: float = 1e-4
    validate_every: int = 200
    patience: int = 6
    reconstruction_weight: float = 1.0
    edge_weight: float = 0.0
    place_weight: float = 0.003
    temperature: float = 0.2
    near_m: float = 0.5
    near_deg: float = 20.0
    covariance_weight: float = 0.001
    latent_noise: float = 0.1
    brightness: float = 0.15
    colour: float = 0.05
    shift_px: int = 4
    drop_inputs: float = 0.3

    def __post_init__(self) -> None:
        for name in _POSITIVE:
            if getattr(self, name) <= 0:
                raise ConfigurationError(f'{name} must be > 0, got {getattr(self, name)}')
        for name in _NOT_NEGATIVE:
            if getattr(self, name) < 0:
                raise ConfigurationError(f'{name} must be >= 0, got {getattr(self, name)}')
        if self.batch_size < 4 or self.batch_size % 2:
            raise ConfigurationError(
                f'batch_size must be an even number >= 4, got {self.batch_size}')
        if not 1 <= self.maps_per_batch <= self.batch_size // 2:
            raise ConfigurationError(f'maps_per_batch must lie in 1 … {self.batch_size // 2}, '
                                     f'half of batch_size, got {self.maps_per_batch}')
        if not 0.0 <= self.drop_inputs <= 1.0:
            raise ConfigurationError(f'drop_inputs must lie in [0, 1], got {self.drop_inputs}')

    def steps_for(self, frames: int) -> int:
        """Optimiser steps for so many pictures."""
        most = -(-self.passes_at_most * frames // self.batch_size)
        return max(1, min(self.training_steps, most))
