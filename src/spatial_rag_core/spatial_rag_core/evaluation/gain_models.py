"""The trainings of the experiment: perceptions for each seed and size, dynamics on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.evaluation.gain_config import GainConfig, LONG_HISTORY
from spatial_rag_core.evaluation.gain_data import read_chosen, read_split
from spatial_rag_core.evaluation.result_files import REMEDY
from spatial_rag_core.models.decoder import Decoder
from spatial_rag_core.models.encoder import Encoder, ResNet18Encoder, TinyEncoder
from spatial_rag_core.models.imagination import Imagination
from spatial_rag_core.training.encoding import encode_episodes
from spatial_rag_core.training.fitting import FitFigures
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.latent_tracks import LatentTrack
from spatial_rag_core.training.perception import train_perception
from spatial_rag_core.training.tensor_file import read_tensors, write_tensors
from spatial_rag_core.training.train_dynamics import train_dynamics, TrainedDynamics
from spatial_rag_core.training.windows import WindowSet

import torch

_VALIDATION_WINDOWS = 600
_KIND_AND_REMEDY = 'model of the experiment', REMEDY


@dataclass(frozen=True, eq=False)
class Perception:
    """Networks that saw the chosen maps and no others."""

    encoder: Encoder
    decoder: Decoder


@dataclass(frozen=True, eq=False)
class GainTrial:
    """One seed at one size: its maps, its perception, and what is trained on its latents."""

    config: GainConfig
    folder: Path
    maps: int
    seed: int

    @cached_property
    def train_episodes(self) -> list[Episode]:
        """The episodes that this trial may learn from."""
        return read_chosen(self.folder / 'episodes.h5', self.maps, self.seed)

    @cached_property
    def valid_episodes(self) -> list[Episode]:
        """Those that trainings are stopped by; the same for all trials."""
        return read_split(self.folder / 'episodes.h5', 'valid')

    @cached_property
    def test_episodes(self) -> list[Episode]:
        """Those that nothing was chosen by; the same for all trials."""
        return read_split(self.folder / 'episodes.h5', 'test')

    @cached_property
    def perception(self) -> Perception:
        """Train encoder and decoder on this trial's maps, or read them where that was done."""
        path = self.folder / 'models' / f'perception-{self.maps}-{self.seed}.pt'
        encoder, decoder = _networks(self.config)
        if not path.exists():
            write_tensors(path, self._trained_perception())
        weights = read_tensors(path, *_KIND_AND_REMEDY)
        encoder.load_state_dict(weights['encoder'])
        decoder.load_state_dict(weights['decoder'])
        return Perception(encoder.eval().requires_grad_(False),
                          decoder.eval().requires_grad_(False))

    def _trained_perception(self) -> dict[str, dict[str, torch.Tensor]]:
        config = replace(self.config.training.perception,
                         training_steps=self.config.perception_steps)
        found = train_perception(
            FrameSet.from_episodes(self.train_episodes), config,
            encoder=self.config.training.encoder,
            valid=FrameSet.from_episodes(self.valid_episodes), seed=self.seed)
        return {'encoder': found.encoder.state_dict(), 'decoder': found.decoder.state_dict()}

    def tracks(self, episodes: Sequence[Episode],
               remembered: Sequence[Episode] = ()) -> list[LatentTrack]:
        """Episodes in this trial's latents."""
        return encode_episodes(self.perception.encoder, episodes, self.config.training.step_sec,
                               remembered)

    @cached_property
    def train_tracks(self) -> list[LatentTrack]:
        """What this trial learns from, in latents."""
        return self.tracks(self.train_episodes)

    def trained(self, variant: str) -> TrainedDynamics:
        """Train one variant of the transition, or read it where that was done."""
        path = self.folder / 'models' / f'{variant}-{self.maps}-{self.seed}.pt'
        if not path.exists():
            found = self._train(variant)
            write_tensors(path, {'weights': found.network.state_dict(),
                                 'figures': asdict(found.figures)})
        content = read_tensors(path, *_KIND_AND_REMEDY)
        network = Imagination(self.config.transition(variant))
        network.load_state_dict(content['weights'])
        return TrainedDynamics(network.eval().requires_grad_(False),
                               FitFigures(**content['figures']))

    def _train(self, variant: str) -> TrainedDynamics:
        dynamics = self.config.dynamics(variant)
        windows, valid = (
            WindowSet(tracks, dynamics.fence, dynamics.horizon, dynamics.history)
            for tracks in (self.train_tracks, self.tracks(self.valid_episodes)))
        return train_dynamics(self.config.transition(variant), dynamics, windows,
                              valid.thinned(_VALIDATION_WINDOWS), self.seed)

    def test_windows(self, history: int) -> WindowSet:
        """
        Windows of the test drives' second halves, as long as the longest horizon.

        They begin at the same moments whatever the history.
        """
        middle = self.config.steps_per_drive // 2
        asked, before = ([one.part(*ends) for one in self.test_episodes]
                         for ends in ((middle, 2 * middle), (0, middle)))
        return WindowSet(self.tracks(asked, before), self.config.test_fence,
                         self.config.horizons[-1], LONG_HISTORY,
                         self.config.test_every).with_history(history)


def _networks(config: GainConfig) -> tuple[Encoder, Decoder]:
    encoder = config.training.encoder
    kind = TinyEncoder if encoder.architecture == 'tiny' else ResNet18Encoder
    return kind(encoder), Decoder(encoder.z_dim, encoder.image_size)
