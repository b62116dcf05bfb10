"""Arenas for tests."""

from __future__ import annotations

from spatial_rag_core.memory.cells.arena import Arena, PAGE_ROWS
from spatial_rag_core.memory.index import IndexRows

import numpy as np


def filled_arena(memories: IndexRows) -> Arena:
    """Memories in rows 0, 1, 2 …; their contexts are keys of the table."""
    arena = Arena(memories.vectors.shape[1])
    arena.take_pages(-(-len(memories.seqs) // PAGE_ROWS))
    arena.write(np.arange(len(memories.seqs)), memories, memories.contexts)
    return arena
