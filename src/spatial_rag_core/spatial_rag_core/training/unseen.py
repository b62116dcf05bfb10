"""What a trained model can do on maps that it never saw."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from spatial_rag_core.evaluation.open_loop import BankOf, open_loop
from spatial_rag_core.evaluation.other_memories import no_memory, other_maps_memory
from spatial_rag_core.models.world_model import WorldModel
from spatial_rag_core.training.encoding import encode_episodes
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.latent_health import place_figures
from spatial_rag_core.training.perception import encode_frames, reconstruction_psnr_db
from spatial_rag_core.training.run_training import fitting_horizon
from spatial_rag_core.training.training_config import TrainingConfig
from spatial_rag_core.training.training_data import TrainingData
from spatial_rag_core.training.windows import WindowSet

_HORIZONS = (1, 5, 15)
_MOST_WINDOWS = 2000


def unseen_figures(model: WorldModel, data: TrainingData,
                   config: TrainingConfig) -> dict[str, Any]:
    """
    Relative errors after 1, 5 and 15 steps with and without memory, and what the latent can do.

    On the test maps, where there are none on what the training was stopped by; empty where no
    drive is long enough.
    """
    episodes, where = (data.test, 'test maps') if data.test else (data.valid, 'validation')
    if data.shown and not data.test:
        where = 'validation, its pictures known'
    tracks = encode_episodes(model.encoder, episodes, config.step_sec,
                             () if data.test else data.remembered)
    longest = replace(config.dynamics, horizon=_HORIZONS[-1])
    horizons = [steps for steps in _HORIZONS if steps <= fitting_horizon(longest, tracks).horizon]
    found: dict[str, Any] = {'measured_on': where, **_places(model, episodes)}
    if not horizons:
        return found
    windows = WindowSet(tracks, config.dynamics.fence, horizons[-1],
                        config.dynamics.history).thinned(_MOST_WINDOWS)
    banks: dict[str, BankOf | None] = {'with_memory': None, 'without_memory': no_memory}
    if len(tracks) > 1:
        banks['with_another_maps_memory'] = other_maps_memory(0)
    for name, bank_of in banks.items():
        errors = open_loop(model.imagination, windows, horizons, bank_of)
        found[name] = {str(horizon): round(errors.relative(horizon), 4) for horizon in horizons}
        if name == 'with_memory':
            found['revisited_share'] = round(float(errors.is_revisited[:, -1].mean()), 3)
    return found


def _places(model: WorldModel, episodes: Any) -> dict[str, Any]:
    frames = FrameSet.from_episodes(episodes)
    places = place_figures(encode_frames(model.encoder, frames), frames)
    psnr_db = reconstruction_psnr_db(model.encoder, model.decoder, frames)
    found: dict[str, Any] = {'psnr_db': round(psnr_db, 2), 'place_queries': places.queries}
    if places.queries:
        found |= {'recall_at_1': round(places.recall_at_1, 4),
                  'near_far_auc': round(places.near_far_auc, 4)}
    return found
