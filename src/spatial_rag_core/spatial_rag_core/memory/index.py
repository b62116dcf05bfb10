"""What every index of the memory answers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from spatial_rag_core.records import MemoryQuery, Vector

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class IndexRows:
    """
    What an index holds of N memories, in order of sequence number.

    seqs int64 [N]; cells: H3 cell of each; vectors float32 [N, z_dim]; positions float64 [N, 3],
    map frame [m]; orientations float32 [N, 4] (x, y, z, w); timestamps float64 [N], Unix [s];
    sessions: name of each.
    """

    seqs: NDArray[np.int64]
    cells: Sequence[str]
    vectors: Vector
    positions: NDArray[np.float64]
    orientations: NDArray[np.float32]
    timestamps: NDArray[np.float64]
    sessions: Sequence[str]


class Ranked(NamedTuple):
    """A memory's sequence number and its distance; smaller is nearer."""

    seq: int
    distance: float


class MemoryIndex(Protocol):
    """A projection of the journal that finds memories; it can be thrown away and rebuilt."""

    @property
    def count(self) -> int:
        """Memories that can be found."""

    @property
    def last_seq(self) -> int:
        """Newest sequence number taken in; 0 where there is none."""

    @property
    def cell_count(self) -> int:
        """H3 cells that hold at least one memory."""

    def add(self, rows: IndexRows) -> None:
        """Take in memories; sequence numbers ascend."""

    def search(self, query: MemoryQuery) -> list[Ranked]:
        """At most query.k memories, nearest first; equals by sequence number."""
