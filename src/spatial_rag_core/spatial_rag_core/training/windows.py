"""Windows of T steps with the memories that the robot could have had, as batches of tensors."""

from __future__ import annotations

from collections.abc import Sequence
import copy
from typing import NamedTuple

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.imagination import Bank
from spatial_rag_core.spatial.pose_arrays import poses_seen_from_each
from spatial_rag_core.training.latent_tracks import COLLECT_ANEW, LatentTrack
from spatial_rag_core.training.map_memory import bank_rows, FenceConfig

import numpy as np
from numpy.typing import NDArray
import torch

Rows = NDArray[np.int64]


class Windows(NamedTuple):
    """
    B windows of T steps.

    z: [B, T + 1, z_dim].  actions: [B, T, A].  poses: as seen from the start, [B, T + 1, 9].
    history_z: [B, C, z_dim], history_a: [B, C, A].  bank: see Bank.
    """

    z: torch.Tensor
    actions: torch.Tensor
    poses: torch.Tensor
    history_z: torch.Tensor
    history_a: torch.Tensor
    bank: Bank


class WindowSet:
    """
    All windows of some maps; which memories each may see is asked of the index once.

    steps: T.  history: C, the steps before the start.  every: moments between two starts.
    Raises TrainingError where no drive is long enough.
    """

    def __init__(self, tracks: Sequence[LatentTrack], fence: FenceConfig, steps: int,
                 history: int, every: int = 1) -> None:
        self.tracks = list(tracks)
        self.steps, self.history = steps, history
        starts = [track.starts(history, steps)[::every] for track in tracks]
        if not sum(map(len, starts)):
            raise TrainingError(f'no drive has {history + steps + 1} steps in a row; record '
                                'longer ones, or train with a shorter horizon')
        _check_alike(tracks)
        self.bank_rows = np.concatenate(bank_rows(tracks, starts, fence))  # [W, most]
        self.starts = np.concatenate(starts)  # [W], moments of their own map
        self.maps = np.repeat(np.arange(len(tracks)), list(map(len, starts)))  # [W]
        self._first = np.cumsum([0, *map(len, tracks)])
        self._stride = np.array([track.stride for track in tracks])
        self._z = np.concatenate([track.z for track in tracks])
        self._actions = np.concatenate([track.actions for track in tracks])
        self._memory_actions = np.concatenate([track.memory_actions for track in tracks])
        self._poses = np.concatenate([track.poses for track in tracks])

    def __len__(self) -> int:
        return len(self.starts)

    def with_history(self, history: int) -> WindowSet:
        """The same with fewer steps before each start."""
        shorter = copy.copy(self)
        shorter.history = min(history, self.history)
        return shorter

    def thinned(self, most: int) -> WindowSet:
        """The same with at most so many windows, evenly taken."""
        every = -(-len(self) // most)
        fewer = copy.copy(self)
        fewer.bank_rows, fewer.starts, fewer.maps = (
            part[::every] for part in (self.bank_rows, self.starts, self.maps))
        return fewer

    @property
    def first_steps(self) -> tuple[torch.Tensor, torch.Tensor]:
        """The first action of each window [W, A], and the pose that it led to [W, 9]."""
        here = self._first[self.maps] + self.starts
        there = self._poses[here + self._stride[self.maps]]
        return _tensor(self._actions[here]), _tensor(
            poses_seen_from_each(self._poses[here], there[:, None])[:, 0])

    def batch(self, windows: Rows, foreign: Rows | None = None) -> Windows:
        """
        The windows of these numbers [B].

        foreign: numbers of windows whose memories are put in place of the own [B]: as if the
        robot were at the other's start.
        """
        first = self._first[self.maps[windows]] + self.starts[windows]
        stride = self._stride[self.maps[windows]][:, None]
        rows = first[:, None] + stride * np.arange(self.steps + 1)
        before = first[:, None] + stride * np.arange(-self.history, 0)
        return Windows(
            _tensor(self._z[rows]), _tensor(self._actions[rows[:, :-1]]),
            _tensor(poses_seen_from_each(self._poses[first], self._poses[rows])),
            _tensor(self._z[before]), _tensor(self._actions[before]),
            self._bank(windows if foreign is None else foreign))

    def _bank(self, windows: Rows) -> Bank:
        table = self.bank_rows[windows]
        table = table[:, :max(1, int((table >= 0).sum(axis=1).max()))]
        offset = self._first[self.maps[windows]]
        rows = np.maximum(table, 0) + offset[:, None]
        here = self._poses[offset + self.starts[windows]]
        return Bank(_tensor(self._z[rows]), torch.from_numpy(table >= 0),
                    _tensor(poses_seen_from_each(here, self._poses[rows])),
                    _tensor(self._memory_actions[rows]))


def _check_alike(tracks: Sequence[LatentTrack]) -> None:
    for name, remedy in (('z', 'encode them with one encoder'),
                         ('actions', 'collect them with one ACTION_DIM')):
        widths = sorted({getattr(track, name).shape[1] for track in tracks})
        if len(widths) > 1:
            raise TrainingError(f'{name} of {widths} numbers on different maps; {remedy}')
    kinds = sorted({track.actions_from for track in tracks})
    if len(kinds) > 1:
        raise TrainingError(f'the actions are {kinds[0]} on one map, {kinds[1]} on another; '
                            f'{COLLECT_ANEW}')


def _tensor(array: NDArray[np.floating]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
