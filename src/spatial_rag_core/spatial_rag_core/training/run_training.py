"""A whole training: perception, then dynamics on its latents, then the bundle."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
import math
from typing import Any

from spatial_rag_core.models.decoder import Decoder
from spatial_rag_core.models.encoder import Encoder
from spatial_rag_core.models.imagination import Imagination
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.training.dynamics_config import DynamicsConfig
from spatial_rag_core.training.encoding import encode_episodes
from spatial_rag_core.training.fitting import FitFigures, FitOptions, forget
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.latent_tracks import LatentTrack
from spatial_rag_core.training.perception import train_perception
from spatial_rag_core.training.train_dynamics import train_dynamics
from spatial_rag_core.training.training_config import TrainingConfig
from spatial_rag_core.training.training_data import TrainingData
from spatial_rag_core.training.windows import WindowSet

_VALIDATION_WINDOWS = 1000


@dataclass(frozen=True, eq=False)
class Trained:
    """A model in evaluation mode; facts: figures of its two trainings, as JSON can say them."""

    model: WorldModel
    facts: dict[str, Any]


def run_training(data: TrainingData, config: TrainingConfig, options: FitOptions,
                 tell: Callable[[str], None], start: Encoder | None = None) -> Trained:
    """
    Train encoder and decoder, then the transition.

    options.folder: gets a folder for each of the two. tell: is told what begins.
    start: an encoder to begin with, of published weights. Raises
    TrainingError where the data do not do, or a loss is not finite.
    """
    if options.folder is not None and not options.resume:
        forget(options.folder / 'dynamics')  # it knows another encoder's latents
    frames = FrameSet.from_episodes(data.shown or data.train)
    valid = None if data.shown else FrameSet.from_episodes(data.valid)
    tell(f'perception: {len(frames)} pictures')
    seen = train_perception(frames, config.perception, encoder=config.encoder, valid=valid,
                            seed=config.seed, start=start,
                            options=_in_folder(options, 'perception'))
    tracks = encode_episodes(seen.encoder, data.train, config.step_sec)
    asked = encode_episodes(seen.encoder, data.valid, config.step_sec, data.remembered)
    dynamics = fitting_horizon(config.dynamics, tracks, asked)
    windows, validation = (WindowSet(part, dynamics.fence, dynamics.horizon, dynamics.history)
                           for part in (tracks, asked))
    tell(f'dynamics: {len(windows)} windows of {windows.steps} steps')
    foreseen = train_dynamics(config.transition, dynamics, windows,
                              validation.thinned(_VALIDATION_WINDOWS), config.seed,
                              _in_folder(options, 'dynamics'))
    return Trained(
        assembled(seen.encoder, seen.decoder, foreseen.network, config),
        {'perception': {**_facts(seen.training), **_finite(seen.figures)},
         'dynamics': {'horizon': dynamics.horizon, **_facts(foreseen.figures)}})


def fitting_horizon(config: DynamicsConfig, *parts: Sequence[LatentTrack]) -> DynamicsConfig:
    """
    Shorten the horizon to what half of the maps have room for, in each part.

    One drive that broke off is not to take the others' far sight.
    """
    longest = [sorted(track.longest_drive for track in part) for part in parts]
    room = min(lengths[len(lengths) // 2] for lengths in longest) - config.history
    return replace(config, horizon=max(1, min(config.horizon, room)))


def assembled(encoder: Encoder, decoder: Decoder, network: Imagination,
              config: TrainingConfig) -> WorldModel:
    """One model of the three."""
    model = WorldModel(WorldModelConfig(config.encoder, config.transition))
    model.encoder.load_state_dict(encoder.state_dict())
    model.decoder.load_state_dict(decoder.state_dict())
    model.imagination.load_state_dict(network.state_dict())
    return model.eval().requires_grad_(False)


def _in_folder(options: FitOptions, name: str) -> FitOptions:
    return options if options.folder is None else replace(options, folder=options.folder / name)


def _facts(figures: FitFigures) -> dict[str, Any]:
    return {'best': round(figures.best, 5), 'best_step': figures.best_step,
            'steps': figures.steps, 'seconds': round(figures.seconds, 1),
            'stopped_early': figures.stopped_early}


def _finite(figures: Mapping[str, Any]) -> dict[str, Any]:
    """What JSON can say: a figure that could not be measured is left out."""
    return {name: value for name, value in figures.items()
            if not isinstance(value, float) or math.isfinite(value)}
