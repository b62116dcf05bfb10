"""What there is to see of one moment: what is recalled, and what the model expects to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import Memory, Pose, Vector
from spatial_rag_core.spatial.pose_arrays import pose_array, poses_from

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:  # it brings torch
    from spatial_rag_core.models.bundle import Bundle
    from spatial_rag_core.models.imagined import History

SAME = 1e-6
"""Latents nearer than this are taken for one."""


@dataclass(frozen=True, eq=False)
class Moment:
    """
    The robot at one frame.

    z: its latent, float32 [z_dim].  recalled: what was retrieved for it, in any order.  action:
    what is being done, float32 [action_dim]; None: not known.  history: what was before.
    """

    pose: Pose
    z: Vector
    recalled: tuple[Memory, ...] = ()
    action: Vector | None = None
    history: History | None = None

    def nearness(self) -> NDArray[np.float64]:
        """
        How near each recalled latent is, [K]: 1 for the nearest, 0.5 at twice its distance.

        Ratios, for latents of different models have different scales.
        """
        distances = latent_distances(self.z, self.recalled)
        nearest = max(float(distances.min(initial=np.inf)), SAME)
        return nearest / np.maximum(distances, SAME)

    def best(self) -> Memory | None:
        """Return the recalled memory whose latent is nearest; None: nothing was recalled."""
        if not self.recalled:
            return None
        return self.recalled[int(latent_distances(self.z, self.recalled).argmin())]


def latent_distances(z: Vector, memories: Sequence[Memory]) -> NDArray[np.float64]:
    """L2 distances [K] between a latent and those of memories."""
    return np.array([np.linalg.norm(memory.vector - z) for memory in memories], np.float64)


@dataclass(frozen=True, eq=False)
class Foresight:
    """
    T steps that the model expects, if the action stays as it is.

    positions: float64 [T + 1, 3] in the map frame [m], and orientations, float64 [T + 1, 4]
    (x, y, z, w); the first is the present.  z: latents, float32 [T, z_dim].
    """

    positions: NDArray[np.float64]
    orientations: NDArray[np.float64]
    z: Vector


def foresee(bundle: Bundle, moment: Moment, steps: int) -> Foresight | None:
    """Imagine steps > 0 of the model; None where the action is not known. Raises InputError."""
    if moment.action is None:
        return None
    meta = bundle.metadata
    actions = np.tile(moment.action, (1, steps, 1))
    bank = MemoryBank.from_memories(moment.recalled, moment.pose, meta.z_dim, meta.action_dim)
    found = bundle.rollout(moment.z, actions, bank, moment.history)
    start = pose_array(moment.pose)
    poses = np.vstack([start, poses_from(start, found.position[0], found.rotation[0])])
    return Foresight(poses[:, :3], poses[:, 3:], found.z[0])
