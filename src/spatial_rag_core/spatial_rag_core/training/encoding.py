"""From episodes to latents that belong to places and times."""

from __future__ import annotations

from collections.abc import Iterable

from spatial_rag_core.data.episodes import Episode
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.encoder import Encoder
from spatial_rag_core.records import Vector
from spatial_rag_core.training.latent_tracks import join_tracks, LatentTrack

import numpy as np
from numpy.typing import NDArray
import torch

_PICTURES_AT_ONCE = 128
_RATE_TOLERANCE = 0.05


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

    remembered: episodes that are memories for the others and no more. Raises TrainingError where
    an episode's rate does not divide into such steps.
    """
    return [track for track in join_tracks(
        _track(encoder, episode, step_sec, is_asked)
        for is_asked, group in ((True, episodes), (False, remembered)) for episode in group)
        if track.is_asked.any()]


def step_actions(actions: Vector, every: int) -> Vector:
    """Return the mean action of the `every` moments from each on, fewer at the end, [T, A]."""
    sums = np.concatenate([np.zeros((1, actions.shape[1])),
                           np.cumsum(actions, axis=0, dtype=np.float64)])
    ends = np.minimum(np.arange(len(actions)) + every, len(actions))
    means = (sums[ends] - sums[:-1]) / (ends - np.arange(len(actions)))[:, None]
    return np.asarray(means, np.float32)


def _track(encoder: Encoder, episode: Episode, step_sec: float, is_asked: bool) -> LatentTrack:
    stride, count = stride_of(episode.rate_hz, step_sec), len(episode)
    return LatentTrack(
        episode.map_id or episode.name, encode_pictures(encoder, episode.rgb),
        step_actions(episode.actions, stride), episode.poses, episode.stamps,
        np.zeros(count, np.int64), np.full(count, is_asked), stride)


def stride_of(rate_hz: float, step_sec: float) -> int:
    """Moments of a recording in one step; raises TrainingError where they do not fit."""
    stride = round(rate_hz * step_sec)
    if stride < 1 or abs(stride / rate_hz - step_sec) > _RATE_TOLERANCE * step_sec:
        raise TrainingError(f'step_sec {step_sec:g} s is not a whole number of moments at '
                            f'{rate_hz:g} Hz; collect at {max(1, stride) / step_sec:g} Hz, or set '
                            f'step_sec: {max(1, stride) / rate_hz:g}')
    return stride
