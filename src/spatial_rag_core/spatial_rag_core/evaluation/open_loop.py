"""How far imagined futures are from what came: step by step, with whatever memories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from spatial_rag_core.evaluation.result_sums import GroupSums, MapResult
from spatial_rag_core.models.imagination import Bank, Imagination, Rollout
from spatial_rag_core.training.windows import Windows, WindowSet

import numpy as np
from numpy.typing import NDArray
import torch

BankOf = Callable[[WindowSet, NDArray[np.int64], Windows], Bank]
"""Which memories the windows of these numbers are given instead of their own."""

Predictor = Callable[[Windows], Rollout]

REVISITED_M2 = 0.5
"""A place counts as revisited below this |dp|^2 + 3 (1 - cos angle) to a memory [m^2]."""

_WINDOWS_AT_ONCE = 128

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class OpenLoop:
    """
    Errors of W windows at H horizons.

    horizons: steps ahead.  error: squared latent error, mean over its numbers, [W, H];
    copy_last: of copying the last latent.  sigma: what the model expected, RMS [W, H].
    is_revisited: whether a memory shows where the robot is then, bool [W, H].  maps: int64 [W].
    drift_m: between imagined and true position [m], [W, H].
    """

    horizons: tuple[int, ...]
    error: Floats
    copy_last: Floats
    sigma: Floats
    is_revisited: NDArray[np.bool_]
    maps: NDArray[np.int64]
    drift_m: Floats

    def relative(self, horizon: int, chosen: NDArray[np.bool_] | None = None) -> float:
        """Error after `horizon` steps over that of copying, of all windows or of the chosen."""
        column = self.horizons.index(horizon)
        rows = slice(None) if chosen is None else chosen
        return float(self.error[rows, column].sum() / self.copy_last[rows, column].sum())

    @classmethod
    def joined(cls, parts: Sequence[OpenLoop]) -> OpenLoop:
        """Results of other maps one after the other; map numbers count on."""
        columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in (
            'error', 'copy_last', 'sigma', 'is_revisited', 'drift_m')}
        maps = np.concatenate([np.full(len(part.maps), number)
                               for number, part in enumerate(parts)])
        return cls(parts[0].horizons, maps=maps, **columns)

    def by_map(self, map_ids: Sequence[str]) -> tuple[MapResult, ...]:
        """Sums for each map: all windows, and those revisited or novel after each horizon."""
        return tuple(MapResult(name, self._groups(self.maps == number))
                     for number, name in enumerate(map_ids) if (self.maps == number).any())

    def _groups(self, rows: NDArray[np.bool_]) -> dict[str, GroupSums]:
        chosen = {'all': np.ones_like(self.is_revisited), 'revisited': self.is_revisited,
                  'novel': ~self.is_revisited}
        return {name: self._sums(rows[:, None] & cells) for name, cells in chosen.items()
                if cells[rows].any()}

    def _sums(self, cells: NDArray[np.bool_]) -> GroupSums:
        """Of the windows that have any such horizon; other horizons of theirs count nothing."""
        some = cells.any(axis=1)
        return GroupSums.of(self.horizons, np.where(cells, self.error, 0.0)[some],
                            np.where(cells, self.copy_last, 0.0)[some])


def open_loop(network: Imagination, windows: WindowSet, horizons: Sequence[int],
              bank_of: BankOf | None = None) -> OpenLoop:
    """
    Imagine every window and compare.

    bank_of: gives other memories than the robot's own, for controls. Places count as revisited
    by the robot's own memories in any case.
    """
    def imagine(batch: Windows) -> Rollout:
        hidden = network.transition.warm_up(batch.history_z, batch.history_a)
        rollout: Rollout = network(batch.z[:, 0], batch.actions, batch.bank, hidden)
        return rollout
    return compare(imagine, windows, horizons, bank_of)


def compare(predictor: Predictor, windows: WindowSet, horizons: Sequence[int],
            bank_of: BankOf | None = None) -> OpenLoop:
    """As open_loop, for anything that gives a Rollout for a batch."""
    columns = torch.tensor(list(horizons))
    parts = []
    with torch.inference_mode():
        for start in range(0, len(windows), _WINDOWS_AT_ONCE):
            chosen = np.arange(start, min(start + _WINDOWS_AT_ONCE, len(windows)))
            own = windows.batch(chosen)
            given = own if bank_of is None else own._replace(bank=bank_of(windows, chosen, own))
            parts.append(_compared(predictor(given), own, columns))
    error, copied, sigma, revisited, drift = (
        np.concatenate(column) for column in zip(*parts, strict=True))
    return OpenLoop(tuple(horizons), error, copied, sigma, revisited, windows.maps, drift)


def _compared(rollout: Rollout, own: Windows, horizons: torch.Tensor,
              ) -> tuple[NDArray[np.float64], ...]:
    """Error, copy_last, sigma, is_revisited, drift of a batch, [B, H] each."""
    after = horizons - 1
    then, pose = own.z[:, horizons], own.poses[:, horizons]
    error = (rollout.z[:, after] - then).square().mean(dim=2)
    copied = (own.z[:, :1] - then).square().mean(dim=2)
    sigma = (0.5 * rollout.log_variance[:, after]).exp()
    drift = (rollout.position[:, after] - pose[..., :3]).norm(dim=2)
    revisited = _nearest_memory_m2(pose, own.bank) < REVISITED_M2
    return tuple(part.numpy().astype(bool if part.dtype is torch.bool else np.float64)
                 for part in (error, copied, sigma, revisited, drift))


def _nearest_memory_m2(pose: torch.Tensor, bank: Bank) -> torch.Tensor:
    """Of true poses [B, H, 9] to the nearest memory, [B, H] [m^2]; inf without one."""
    apart = torch.cdist(pose[..., :3], bank.pose[..., :3]).square()  # [B, H, N]
    third = torch.linalg.cross(pose[..., 3:6], pose[..., 6:])
    third_of_bank = torch.linalg.cross(bank.pose[..., 3:6], bank.pose[..., 6:])
    trace = (torch.cat([pose[..., 3:], third], dim=2)
             @ torch.cat([bank.pose[..., 3:], third_of_bank], dim=2).transpose(1, 2))
    distance = apart + 4.5 - 1.5 * trace
    return distance.masked_fill(~bank.mask.unsqueeze(1), torch.inf).amin(dim=2)
