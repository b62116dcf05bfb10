"""Memories whose whole content follows from their number, so that any store can be judged."""

from __future__ import annotations

import functools
import hashlib
import math

from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position, Quaternion
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np

SPEC = JournalSpec(z_dim=8)
MODEL = 'torture'
MOVE = Position(3.0, -2.0, 0.5)
"""How far one re-anchoring moves every memory [m]."""
_GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)


def labels_at_birth(number: int) -> frozenset[str]:
    return frozenset(('new', f'room {number % 7}') if number % 2 else ())


def id_of(number: int) -> str:
    return f'm{number:07d}'


@functools.lru_cache(100_000)
def _noise(number: int) -> bytes:
    return hashlib.shake_128(b'%d' % number).digest(64)


def vector_of(number: int) -> list[float]:
    """The latent; its first element is the number itself."""
    return [float(number), *(float(byte) for byte in _noise(number)[:SPEC.z_dim - 1])]


def position_of(number: int, moves: int = 0) -> Position:
    noise = _noise(number)
    return Position(noise[8] / 8 + moves * MOVE.x, noise[9] / 8 + moves * MOVE.y,
                    noise[10] / 100 + moves * MOVE.z)


def thumbnail_of(number: int) -> bytes:
    """Nothing, some kB, and now and then more than fits any page."""
    if number % 5 == 0:
        return b''
    size = 60_000 if number % 97 == 0 else 300 + 20 * _noise(number)[11]
    return b'\xff\xd8' + hashlib.shake_128(b'picture %d' % number).digest(size)


@functools.lru_cache(2000)
def memory_of(number: int, labels: frozenset[str] | None = None, moves: int = 0) -> Memory:
    """The memory of this number after so many re-anchorings."""
    noise = _noise(number)
    position, yaw = position_of(number, moves), noise[12] / 40
    return Memory(
        id=id_of(number), vector=as_latent(vector_of(number)),
        pose=Pose(position, Quaternion(0.0, 0.0, math.sin(yaw / 2), math.cos(yaw / 2))),
        h3_cell=_GRID.cell(position), timestamp=1.8e9 + number / 20, model_id=MODEL,
        action=as_action([noise[13], -noise[14]]) if number % 4 else np.zeros(0, np.float32),
        session=f'session {number // 100}', robot='r', map_id=f'floor {number % 2}',
        labels=tuple(sorted(labels_at_birth(number) if labels is None else labels)),
        thumbnail=thumbnail_of(number))


def difference(found: Memory, expected: Memory) -> str:
    """Name the first field in which they differ; empty where they are the same."""
    for name in ('id', 'h3_cell', 'timestamp', 'model_id', 'session', 'robot', 'map_id',
                 'thumbnail'):
        if getattr(found, name) != getattr(expected, name):
            return name
    if sorted(found.labels) != sorted(expected.labels):
        return 'labels'
    if found.vector.tobytes() != expected.vector.tobytes():
        return 'vector'
    if found.action.tobytes() != expected.action.tobytes():
        return 'action'
    if (math.dist(found.position, expected.position) > 1e-6
            or math.dist(found.orientation, expected.orientation) > 1e-6):
        return 'pose'
    return ''
