"""Small memory files."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.identifiers import new_memory_id
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np


def remember(path: Path, model_id: str) -> None:
    """Make a memory file with one memory of this model."""
    pose = Pose(Position(1.0, 2.0))
    cell = H3Grid(LocalFrame(), 13).cell(pose.position)
    with Journal.open_writer(path, JournalSpec()) as journal:
        journal.append([Memory(new_memory_id(), np.zeros(32, np.float32), pose, cell, 1000.0,
                               model_id)])
