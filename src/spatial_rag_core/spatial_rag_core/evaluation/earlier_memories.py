"""What a robot could have remembered of a recording at a moment of it, and nothing newer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
import tempfile

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.memory_bank import MemoryBank
from spatial_rag_core.records import (
    as_action,
    as_latent,
    Memory,
    MemoryQuery,
    Pose,
    Position,
    Quaternion,
    Vector,
)
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.spatial.pose_arrays import PoseArray
from spatial_rag_core.training.map_memory import FenceConfig

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Seen:
    """
    What was seen on the way, a moment each: z float32 [N, z_dim], poses float64 [N, 7].

    actions: float32 [N, action_dim], what led there; NaN where not known.  stamps: float64 [N]
    [s], in any order.
    """

    z: Vector
    poses: PoseArray
    actions: Vector
    stamps: NDArray[np.float64]

    @classmethod
    def joined(cls, parts: Iterable[Seen]) -> Seen:
        """Return all parts as one."""
        given = list(parts)
        return cls(*(np.concatenate([getattr(part, name) for part in given])
                     for name in ('z', 'poses', 'actions', 'stamps')))


class EarlierMemories:
    """
    A journal of all that was seen, and a retriever that asks it as the robot does.

    It lies in a folder of its own until close() or the end of its `with` block.
    """

    def __init__(self, seen: Seen, model_id: str, fence: FenceConfig) -> None:
        self._fence = fence
        self._spec = JournalSpec(seen.z.shape[1], seen.actions.shape[1])
        self._folder = tempfile.TemporaryDirectory(prefix='spatial_rag_evaluate_')
        path = Path(self._folder.name) / 'memory.db'
        with Journal.open_writer(path, self._spec) as journal:
            journal.append(_memories(seen, model_id, self._spec))
        self._retriever = Retriever(path)
        self._retriever.refresh()

    def __enter__(self) -> EarlierMemories:
        """Return itself: it is open already."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Throw the journal away."""
        self._retriever.close()
        self._folder.cleanup()

    def at(self, stamp: float, pose: Pose) -> list[Memory]:
        """Return what a robot that stands at pose at that moment [s] could look up."""
        fence = self._fence
        hits = self._retriever.query(MemoryQuery(
            k=fence.most, pose=pose, radius_m=fence.reach_m, rank_by='pose',
            newest_only=True, before=stamp - fence.fence_sec))
        return [hit.memory for hit in hits]

    def bank(self, stamp: float, pose: Pose) -> MemoryBank:
        """Return the same as a prediction takes it."""
        return MemoryBank.from_memories(self.at(stamp, pose), pose, self._spec.z_dim,
                                        self._spec.action_dim)


def pose_of(row: PoseArray) -> Pose:
    """Return the pose of x, y, z, qx, qy, qz, qw, float64 [7]."""
    x, y, z, *turn = row.tolist()
    return Pose(Position(x, y, z), Quaternion(*turn))


def _memories(seen: Seen, model_id: str, spec: JournalSpec) -> list[Memory]:
    grid = H3Grid(LocalFrame(spec.datum), spec.h3_resolution)
    memories = []
    for number, row in enumerate(np.argsort(seen.stamps, kind='stable')):
        pose = pose_of(seen.poses[row])
        known = bool(np.isfinite(seen.actions[row]).all())
        memories.append(Memory(
            f'{number:08}', as_latent(seen.z[row]), pose, grid.cell(pose.position),
            float(seen.stamps[row]), model_id,
            as_action(seen.actions[row] if known else ())))
    return memories
