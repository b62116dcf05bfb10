"""What a robot remembers around it, as a prediction takes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from spatial_rag_core.errors import ActionError, InputError, LatentError, PoseError
from spatial_rag_core.records import as_latent, Memory, Pose, Vector
from spatial_rag_core.spatial.pose_arrays import (
    pose_array,
    POSE_CHANNELS,
    poses_seen_from,
)
from spatial_rag_core.spatial.seen_again import replaced_at

import numpy as np


@dataclass(frozen=True, eq=False)
class MemoryBank:
    """
    N memories as seen from the robot; N may be 0.

    z: latents, float32 [N, z_dim].  pose: float32 [N, 9], translation in the robot's frame [m]
    and the first two columns of the relative rotation.  action: what led there, float32
    [N, action_dim]; zeros where not known.  ids: their names, N of them, or none where nobody
    asks.  Raises InputError for shapes that do not agree.
    """

    z: Vector
    pose: Vector
    action: Vector
    ids: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.z.ndim != 2:
            raise LatentError(f'memories have shape {list(self.z.shape)}, expected [N, z_dim]')
        n = len(self.z)
        if self.pose.shape != (n, POSE_CHANNELS):
            raise PoseError(f'poses of memories have shape {list(self.pose.shape)}, expected '
                            f'[{n}, {POSE_CHANNELS}]; zeros where not known')
        if self.action.ndim != 2 or len(self.action) != n:
            raise ActionError(f'actions of memories have shape {list(self.action.shape)}, '
                              f'expected [{n}, action_dim]; zeros where not known')
        if len(self.ids) not in (0, n):
            raise InputError(f'{n} memories have {len(self.ids)} ids; name each, or none')
        _check_finite('latent', self.z, LatentError)
        _check_finite('pose', self.pose, PoseError)
        _check_finite('action', self.action, ActionError)

    def __len__(self) -> int:
        return len(self.z)

    def first(self, count: int) -> MemoryBank:
        """The first so many, or all."""
        if len(self) <= count:
            return self
        return MemoryBank(self.z[:count], self.pose[:count], self.action[:count],
                          self.ids[:count])

    @classmethod
    def empty(cls, z_dim: int, action_dim: int) -> MemoryBank:
        """No memory at all."""
        return cls(np.zeros((0, z_dim), np.float32), np.zeros((0, POSE_CHANNELS), np.float32),
                   np.zeros((0, action_dim), np.float32))

    @classmethod
    def from_memories(cls, memories: Sequence[Memory], pose: Pose, z_dim: int,
                      action_dim: int) -> MemoryBank:
        """
        Memories as seen from a pose; where a place was seen again, the newer view stands.

        An action of another length than action_dim counts as not known. Raises LatentError.
        """
        if not memories:
            return cls.empty(z_dim, action_dim)
        poses = np.array([pose_array(memory.pose) for memory in memories])
        current = np.isinf(replaced_at(poses, np.array([m.timestamp for m in memories])))
        actions = np.zeros((len(memories), action_dim), np.float32)
        for row, memory in enumerate(memories):
            if len(memory.action) == action_dim:
                actions[row] = memory.action
        z = np.array([as_latent(memory.vector, z_dim) for memory in memories])
        return cls(z[current], poses_seen_from(pose_array(pose), poses)[current],
                   actions[current],
                   tuple(memories[row].id for row in np.flatnonzero(current).tolist()))


def _check_finite(name: str, rows: Vector, error: type[InputError]) -> None:
    is_finite = np.isfinite(rows).all(axis=1)
    if not is_finite.all():
        raise error(f'{name} of memory {int(is_finite.argmin())} is not finite; leave that memory '
                    'out')
