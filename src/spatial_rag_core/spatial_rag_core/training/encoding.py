"""From episodes to latents that belong to places and times."""

from __future__ import annotations

from collections.abc import Iterable

from spatial_rag_core.data.episodes.episode import Episode
from spatial_rag_core.data.episodes.model_steps import moments_per_step, step_actions
from spatial_rag_core.models.encoder import Encoder
from spatial_rag_core.records import Vector
from spatial_rag_core.training.latent_tracks import join_tracks, LatentTrack

import numpy as np
from numpy.typing import NDArray
import torch

_PICTURES_AT_ONCE = 128


def encode_pictures(encoder: Encoder, rgb: NDArray[np.uint8]) -> Vector:
    """Latents of pictures uint8 [N, S, S, 3], float32 [N, z_dim]."""
    device = next(encoder.parameters()).device
    parts = []
    with torch.inference_mode():
        for start in range(0, len(rgb), _PICTURES_AT_ONCE):
            pictures = torch.from_numpy(rgb[start:start + _PICTURES_AT_ONCE]).to(device)
            parts.append(encoder(pictures.permute(0, 3, 1, 2).float() / 255.0).cpu().numpy())
    return np.concatenate(parts)


def encode_episodes(encoder: Encoder, episodes: Iterable[Episode], step_sec: float,
                    remembered: Iterable[Episode] = ()) -> list[LatentTrack]:
    """
    One track for each map; a step of the world model is step_sec long.

    remembered: episodes that are memories for the others and no more. Raises ConfigurationError
    where an episode's rate does not divide into such steps.
    """
    return [track for track in join_tracks(
        _track(encoder, episode, step_sec, is_asked)
        for is_asked, group in ((True, episodes), (False, remembered)) for episode in group)
        if track.is_asked.any()]


def _track(encoder: Encoder, episode: Episode, step_sec: float, is_asked: bool) -> LatentTrack:
    stride, count = moments_per_step(episode.rate_hz, step_sec), len(episode)
    return LatentTrack(
        episode.map_id or episode.name, encode_pictures(encoder, episode.rgb),
        step_actions(episode, stride), episode.poses, episode.stamps,
        np.zeros(count, np.int64), np.full(count, is_asked), stride, episode.actions_from)
