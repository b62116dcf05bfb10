"""Encoder, transition and decoder as one scriptable module."""

# No `from __future__ import annotations` here: TorchScript wants types, not strings.
from dataclasses import dataclass, field

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.decoder import Decoder
from spatial_rag_core.models.encoder import EncoderConfig, ResNet18Encoder, TinyEncoder
from spatial_rag_core.models.imagination import Bank, Imagination, Rollout
from spatial_rag_core.models.transition_config import TransitionConfig

import torch
from torch import nn


@dataclass(frozen=True)
class WorldModelConfig:
    """The parts of a world model; raises ConfigurationError where they do not fit together."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    transition: TransitionConfig = field(default_factory=TransitionConfig)

    def __post_init__(self) -> None:
        if self.encoder.z_dim != self.transition.z_dim:
            raise ConfigurationError(
                f'z_dim must be one number, got {self.encoder.z_dim} for the encoder and '
                f'{self.transition.z_dim} for the transition')


class WorldModel(nn.Module):
    """
    What a robot carries: see (encode), foresee (predict), show (decode).

    Source of the idea: Ha and Schmidhuber 2018, World Models, arXiv:1803.10122.
    """

    def __init__(self, config: WorldModelConfig) -> None:
        super().__init__()
        self.config = config
        encoder = TinyEncoder if config.encoder.architecture == 'tiny' else ResNet18Encoder
        self.encoder = encoder(config.encoder)
        self.imagination = Imagination(config.transition)
        self.decoder = Decoder(config.encoder.z_dim, config.encoder.image_size)

    @torch.jit.export
    def encode(self, rgb: torch.Tensor, depth: torch.Tensor | None = None,
               proprio: torch.Tensor | None = None) -> torch.Tensor:
        """Return latents [B, z_dim]; arguments as for Encoder.forward."""
        z: torch.Tensor = self.encoder(rgb, depth, proprio)
        return z

    @torch.jit.export
    def features(self, rgb: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """Return the feature map [B, 512, H/32, W/32]; arguments as for Encoder.features."""
        return self.encoder.features(rgb, depth)

    @torch.jit.export
    def predict(self, z: torch.Tensor, a: torch.Tensor, retrieved: torch.Tensor,
                mask: torch.Tensor, memory_pose: torch.Tensor | None = None,
                memory_action: torch.Tensor | None = None,
                history_z: torch.Tensor | None = None,
                history_a: torch.Tensor | None = None) -> torch.Tensor:
        """
        Return the next latents [B, z_dim]; arguments as for Transition.forward.

        history_z: latents before z, oldest first [B, C, z_dim]; history_a: their actions.
        """
        z_next: torch.Tensor = self.imagination.transition(
            z, a, retrieved, mask, memory_pose, memory_action,
            self._hidden(history_z, history_a)).z
        return z_next

    @torch.jit.export
    def rollout(self, z: torch.Tensor, actions: torch.Tensor, bank_z: torch.Tensor,
                bank_mask: torch.Tensor, bank_pose: torch.Tensor, bank_action: torch.Tensor,
                history_z: torch.Tensor | None = None,
                history_a: torch.Tensor | None = None) -> Rollout:
        """Imagine a step for each of actions [B, T, action_dim]; the bank as in Bank."""
        bank = Bank(bank_z, bank_mask, bank_pose, bank_action)
        rollout: Rollout = self.imagination(z, actions, bank, self._hidden(history_z, history_a))
        return rollout

    def _hidden(self, history_z: torch.Tensor | None,
                history_a: torch.Tensor | None) -> torch.Tensor | None:
        if history_z is None or history_a is None:
            return None
        return self.imagination.transition.warm_up(history_z, history_a)

    @torch.jit.export
    def decode(self, z: torch.Tensor) -> torch.Tensor:
        """Map z [B, z_dim] to RGB [B, 3, image_size, image_size] in 0..1."""
        rgb: torch.Tensor = self.decoder(z)
        return rgb
