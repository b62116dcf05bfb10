"""Memories to draw: rows as an index is given them."""

from __future__ import annotations

from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.memory.tables.cell_numbers import cell_numbers
from spatial_rag_core.memory.tables.schema import JournalSpec

import numpy as np
from numpy.typing import NDArray

SPEC = JournalSpec(z_dim=2)


def rows(positions: NDArray[np.float64], first_seq: int = 1, step_sec: float = 1.0) -> IndexRows:
    """One memory a step_sec at each position [N, 3] [m]."""
    n = len(positions)
    return IndexRows(
        np.arange(first_seq, first_seq + n), cell_numbers(SPEC, positions[:, :2]),
        np.zeros((n, 2), np.float32), positions, np.tile(np.float32([0, 0, 0, 1]), (n, 1)),
        1.8e9 + step_sec * np.arange(first_seq, first_seq + n), np.zeros(n, np.int32),
        {0: Context('session')})


def line(n: int, step_m: float = 0.1, z: float = 0.0) -> NDArray[np.float64]:
    """Places along x."""
    return np.column_stack([step_m * np.arange(n), np.zeros(n), np.full(n, z)])
