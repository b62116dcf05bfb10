"""Memories as rows of the journal's tables, and back."""

from __future__ import annotations

import json
from typing import Any

from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.records import Memory, Pose, Position, Quaternion

import numpy as np

Row = tuple[Any, ...]

INSERT = ('INSERT INTO memories (id, timestamp, x, y, z, qx, qy, qz, qw, h3_cell, vector, '
           'action, session, robot, map_id, labels) VALUES (' + ', '.join('?' * 16) + ')')


def values_of(memory: Memory) -> Row:
    """Values for INSERT."""
    return (memory.id, memory.timestamp, *memory.position, *memory.orientation, memory.h3_cell,
            memory.vector.astype('<f4').tobytes(), memory.action.astype('<f4').tobytes(),
            memory.session, memory.robot, memory.map_id, json.dumps(memory.labels))


def index_rows(rows: list[Row], z_dim: int) -> IndexRows:
    """From rows (seq, h3_cell, vector, x, y, z, qx, qy, qz, qw, timestamp, session)."""
    return IndexRows(
        seqs=np.array([row[0] for row in rows], np.int64),
        cells=[row[1] for row in rows],
        vectors=np.frombuffer(b''.join(row[2] for row in rows), '<f4').reshape(len(rows), z_dim),
        positions=np.array([row[3:6] for row in rows], np.float64).reshape(-1, 3),
        orientations=np.array([row[6:10] for row in rows], np.float32).reshape(-1, 4),
        timestamps=np.array([row[10] for row in rows], np.float64),
        sessions=[row[11] for row in rows])


def memory_from_row(row: Row, model_id: str) -> Memory:
    """From the columns of a memory in the order of the table, and its picture."""
    (memory_id, timestamp, x, y, z, qx, qy, qz, qw, h3_cell, vector, action,
     session, robot, map_id, labels, jpeg) = row
    return Memory(
        id=memory_id, vector=np.frombuffer(vector, '<f4').astype(np.float32),
        pose=Pose(Position(x, y, z), Quaternion(qx, qy, qz, qw)),
        h3_cell=h3_cell, timestamp=timestamp, model_id=model_id,
        action=np.frombuffer(action, '<f4').astype(np.float32),
        session=session, robot=robot, map_id=map_id,
        labels=tuple(json.loads(labels)), thumbnail=jpeg or b'')
