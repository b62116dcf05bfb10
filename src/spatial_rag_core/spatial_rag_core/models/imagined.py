"""What a rollout is given beside the present, and what it returns; NumPy, no torch."""

from __future__ import annotations

from dataclasses import dataclass

from spatial_rag_core.errors import ActionError, LatentError
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Vector

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, eq=False)
class History:
    """
    The moments before the present, oldest first, step_sec apart.

    z: latents, float32 [C, z_dim].  actions: what was done at each, float32 [C, action_dim].
    """

    z: Vector
    actions: Vector

    def __post_init__(self) -> None:
        if len(self.z) != len(self.actions):
            raise LatentError(f'history has {len(self.z)} latents and {len(self.actions)} '
                              'actions; give one action for each latent')


@dataclass(frozen=True, eq=False)
class Imagined:
    """
    B imagined futures of T steps.

    z: latents, float32 [B, T, z_dim].  position: float32 [B, T, 3] [m] and rotation: float32
    [B, T, 3, 3], in the frame of the robot at the start.  sigma: expected RMS error of each
    latent number, float32 [B, T]; NaN where the model has no uncertainty.  memory_rows: which
    of the bank each step rests on, int64 [B, T, K], -1 for none, and weights: how much, float32
    [B, T, K].
    """

    z: Vector
    position: Vector
    rotation: Vector
    sigma: Vector
    memory_rows: NDArray[np.int64]
    weights: Vector


def as_plans(actions: ArrayLike, action_dim: int) -> Vector:
    """Copy to float32 [B, T, action_dim]; raises ActionError for another shape or not finite."""
    try:
        with np.errstate(over='ignore'):  # beyond float32 is infinite, which is told below
            plans = np.array(actions, np.float32)
    except (TypeError, ValueError) as error:
        raise ActionError(f'actions are no numbers [B, T, {action_dim}] ({error}); check the '
                          'planner') from error
    if plans.ndim != 3 or plans.shape[2] != action_dim or not plans.size:
        raise ActionError(f'actions have shape {list(plans.shape)}, expected [B, T, {action_dim}] '
                          'with B, T > 0; check the planner')
    if not np.isfinite(plans).all():
        raise ActionError('actions are not finite; check the planner')
    return plans


def history_arrays(history: History | None, length: int, z_dim: int, action_dim: int,
                   ) -> tuple[Vector, Vector]:
    """The newest `length` moments at most, float32 [1, C, z_dim] and [1, C, action_dim]."""
    if history is None:
        return np.zeros((1, 0, z_dim), np.float32), np.zeros((1, 0, action_dim), np.float32)
    z = np.asarray(history.z, np.float32)[-length:]
    actions = np.asarray(history.actions, np.float32)[-length:]
    if z.ndim != 2 or z.shape[1] != z_dim or not np.isfinite(z).all():
        raise LatentError(f'history has shape {list(z.shape)}, expected [C, {z_dim}], all finite; '
                          'leave it out, or start it anew')
    if actions.ndim != 2 or actions.shape[1] != action_dim or not np.isfinite(actions).all():
        raise ActionError(f'actions of the history have shape {list(actions.shape)}, expected '
                          f'[C, {action_dim}], all finite; leave it out, or start it anew')
    return z[None], actions[None]


def bank_arrays(bank: MemoryBank | None, z_dim: int, action_dim: int,
                ) -> tuple[Vector, NDArray[np.bool_], Vector, Vector]:
    """Latents, mask, poses and actions with a first axis of 1, filled up to 2^n memories."""
    bank = MemoryBank.empty(z_dim, action_dim) if bank is None else bank
    if bank.z.shape[1] != z_dim or bank.action.shape[1] != action_dim:
        raise LatentError(f'the bank has z_dim {bank.z.shape[1]} and action_dim '
                          f'{bank.action.shape[1]}, this model {z_dim} and {action_dim}; '
                          'fill it with memories of this model')
    slots = 8
    while slots < len(bank):
        slots *= 2
    z, pose, action = (_padded(part, slots) for part in (bank.z, bank.pose, bank.action))
    return z[None], (np.arange(slots) < len(bank))[None], pose[None], action[None]


def _padded(rows: Vector, slots: int) -> Vector:
    """Rows [N, C] as float32, and zeros after them, [slots, C]."""
    filled = np.zeros((slots, rows.shape[1]), np.float32)
    filled[:len(rows)] = rows
    return filled
