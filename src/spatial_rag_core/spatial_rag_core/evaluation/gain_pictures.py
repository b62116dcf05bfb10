"""What people look at: frames as they came and as they were imagined, and where errors lie."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.data.rooms.map_picture import draw_map
from spatial_rag_core.data.rooms.room_map import RoomMap
from spatial_rag_core.evaluation.gain_data import map_seed_of
from spatial_rag_core.evaluation.gain_models import GainTrial
from spatial_rag_core.evaluation.open_loop import open_loop
from spatial_rag_core.evaluation.results import ErrorMap, Strip
from spatial_rag_core.models.imagination import Imagination
from spatial_rag_core.training.windows import Windows, WindowSet

import numpy as np
from numpy.typing import NDArray
import torch

_STRIPS = 6
_SHOWN_STEPS = (1, 5, 10, 15, 25, 35, 50)
_MAPS = 2
_HORIZON = 15


def draw_examples(trial: GainTrial, folder: Path) -> None:
    """Write strips of windows at revisited places, and maps coloured by error."""
    windows = trial.test_windows(trial.config.training.dynamics.history)
    networks = trial.trained('memory').network, trial.trained('none').network
    for strip in _strips(trial, windows, *networks):
        strip.save(folder)
    for picture in _error_maps(trial, windows, *networks):
        picture.save(folder)


def _strips(trial: GainTrial, windows: WindowSet, with_memory: Imagination,
            without: Imagination) -> list[Strip]:
    revisited = open_loop(with_memory, windows, (_HORIZON,)).is_revisited[:, 0]
    rows = np.flatnonzero(revisited)
    if not len(rows):
        return []
    chosen = rows[np.linspace(0, len(rows) - 1, min(_STRIPS, len(rows))).round().astype(int)]
    steps = np.array([step for step in _SHOWN_STEPS if step <= windows.steps])
    batch = windows.batch(chosen)
    imagined = [_decoded(trial, network, batch, steps) for network in (with_memory, without)]
    return [Strip(f'window-{number}', _true(trial, windows, int(row), steps), imagined[0][number],
                  imagined[1][number], steps) for number, row in enumerate(chosen)]


def _decoded(trial: GainTrial, network: Imagination, batch: Windows,
             steps: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Imagined frames, uint8 [B, T, S, S, 3]."""
    with torch.inference_mode():
        hidden = network.transition.warm_up(batch.history_z, batch.history_a)
        z = network(batch.z[:, 0], batch.actions, batch.bank, hidden).z[:, steps - 1]
        rgb = trial.perception.decoder(z.flatten(0, 1)).permute(0, 2, 3, 1)
    pictures: NDArray[np.uint8] = (255.0 * rgb).round().to(torch.uint8).numpy()
    shown: NDArray[np.uint8] = pictures.reshape(*z.shape[:2], *pictures.shape[1:])
    return shown


def _true(trial: GainTrial, windows: WindowSet, row: int,
          steps: NDArray[np.int64]) -> NDArray[np.uint8]:
    track = windows.tracks[windows.maps[row]]
    drives = sorted((one for one in trial.test_episodes if one.map_id == track.map_id),
                    key=lambda one: float(one.stamps[0]))
    moments = windows.starts[row] + track.stride * steps
    shown: NDArray[np.uint8] = np.concatenate([drive.rgb for drive in drives])[moments]
    return shown


def _error_maps(trial: GainTrial, windows: WindowSet, with_memory: Imagination,
                without: Imagination) -> list[ErrorMap]:
    found = [open_loop(network, windows, (_HORIZON,)) for network in (with_memory, without)]
    scale = found[0].copy_last.mean()
    maps = []
    for number in range(min(_MAPS, len(windows.tracks))):
        rows = windows.maps == number
        track = windows.tracks[number]
        drive = next(one for one in trial.test_episodes if one.map_id == track.map_id)
        room_map = RoomMap.from_seed(map_seed_of(drive))
        x, y = track.poses[windows.starts[rows], :2].T
        width, height = room_map.size_m
        maps.append(ErrorMap(
            track.map_id, x, y, found[0].error[rows, 0] / scale, found[1].error[rows, 0] / scale,
            draw_map(room_map, 24), np.array([0.0, width, 0.0, height])))
    return maps
