"""What every index of the memory answers to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from spatial_rag_core.records import MemoryQuery, Vector
from spatial_rag_core.spatial.pose_arrays import PoseArray

import numpy as np
from numpy.typing import NDArray


class Context(NamedTuple):
    """What many memories share: episode, robot, map and labels; empty: not named."""

    session: str = ''
    robot: str = ''
    map_id: str = ''
    labels: tuple[str, ...] = ()

    def meets(self, query: MemoryQuery) -> bool:
        """Whether memories of this context satisfy session, robot, map_id and labels."""
        return (query.session in (None, self.session) and query.robot in (None, self.robot)
                and query.map_id in (None, self.map_id)
                and set(query.labels).issubset(self.labels))


@dataclass(frozen=True, eq=False)
class IndexRows:
    """
    What an index holds of N memories, in order of sequence number.

    seqs int64 [N], ascending; cells uint64 [N]: H3 cell of each; vectors float32 [N, z_dim];
    positions float64 [N, 3], map frame [m]; orientations float32 [N, 4] (x, y, z, w);
    timestamps float64 [N], Unix [s]; contexts int32 [N]: keys of context_table.
    """

    seqs: NDArray[np.int64]
    cells: NDArray[np.uint64]
    vectors: Vector
    positions: NDArray[np.float64]
    orientations: NDArray[np.float32]
    timestamps: NDArray[np.float64]
    contexts: NDArray[np.int32]
    context_table: Mapping[int, Context]


class Views(NamedTuple):
    """Poses float64 [N, 7] (see pose_arrays.py) and timestamps float64 [N], Unix time [s]."""

    poses: PoseArray
    timestamps: NDArray[np.float64]


class Ranked(NamedTuple):
    """A memory's sequence number and its distance; smaller is nearer."""

    seq: int
    distance: float


class MemoryIndex(Protocol):
    """
    A projection of the journal that finds memories; it can be thrown away and rebuilt.

    Searches may run in several threads, and beside one thread that changes the index.
    """

    @property
    def count(self) -> int:
        """Memories that can be found."""

    @property
    def last_seq(self) -> int:
        """Newest sequence number ever taken in; 0 where there is none."""

    @property
    def cell_count(self) -> int:
        """H3 cells that hold at least one memory."""

    def add(self, rows: IndexRows) -> None:
        """Take in memories; sequence numbers ascend, also over calls."""

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Forget memories; numbers that it does not hold are passed over."""

    def relabel(self, rows: IndexRows) -> None:
        """Replace the context of memories that it holds; others are passed over."""

    def search(self, query: MemoryQuery) -> list[Ranked]:
        """
        At most query.k memories, nearest first; equals by sequence number.

        Exact where the query is bounded by radius_m or box; query.diversity is the caller's
        matter. Raises IndexUnavailableError where the index is on a server that does not answer.
        """

    def views(self, seqs: NDArray[np.int64]) -> Views | None:
        """Whence and when memories were seen; None: it does not hold that, or not all of them."""

    def close(self) -> None:
        """Give back what it holds; nothing is asked of it any more."""
