"""The embedded index: memories of one H3 cell lie together, answers within a region are exact."""

from __future__ import annotations

from typing import Any

from spatial_rag_core.memory.index import IndexRows, Ranked
from spatial_rag_core.records import Box, MemoryQuery, Pose, Vector
from spatial_rag_core.spatial.h3_cells import H3Grid, MAX_COVER_CELLS

import faiss
import numpy as np
from numpy.typing import NDArray

_ROW = np.dtype([('seq', np.int64), ('timestamp', np.float64), ('position', np.float64, 3),
                 ('orientation', np.float32, 4), ('session', np.int32)])
Rows = NDArray[np.void]


class _Block:
    """The memories of one cell: latents [n, z_dim] and rows [n], in arrays that grow."""

    def __init__(self, z_dim: int) -> None:
        self._vectors = np.empty((8, z_dim), np.float32)
        self._rows = np.empty(8, _ROW)
        self._size = 0

    @property
    def vectors(self) -> Vector:
        return self._vectors[:self._size]

    @property
    def rows(self) -> Rows:
        return self._rows[:self._size]

    def extend(self, vectors: Vector, rows: Rows) -> None:
        needed = self._size + len(rows)
        if needed > len(self._rows):
            capacity = max(needed, 2 * len(self._rows))
            self._vectors = np.resize(self._vectors, (capacity, self._vectors.shape[1]))
            self._rows = np.resize(self._rows, capacity)
        self._vectors[self._size:needed] = vectors
        self._rows[self._size:needed] = rows
        self._size = needed


class CellIndex:
    """Finds memories by place first (H3 cells, then metres), then by latent, exactly."""

    def __init__(self, grid: H3Grid, z_dim: int) -> None:
        self._grid = grid
        self._z_dim = z_dim
        self._blocks: dict[str, _Block] = {}
        self._sessions: dict[str, int] = {}
        self.count = 0
        self.last_seq = 0

    @property
    def cell_count(self) -> int:
        """H3 cells that hold at least one memory."""
        return len(self._blocks)

    def add(self, rows: IndexRows) -> None:
        """Take in memories; sequence numbers ascend."""
        if not len(rows.seqs):
            return
        table = np.empty(len(rows.seqs), _ROW)
        table['seq'], table['timestamp'] = rows.seqs, rows.timestamps
        table['position'], table['orientation'] = rows.positions, rows.orientations
        table['session'] = [self._sessions.setdefault(name, len(self._sessions))
                            for name in rows.sessions]
        cells, owner, counts = np.unique(
            np.asarray(rows.cells), return_inverse=True, return_counts=True)
        groups = np.split(np.argsort(owner, kind='stable'), np.cumsum(counts)[:-1])
        for cell, members in zip(cells.tolist(), groups, strict=True):
            block = self._blocks.setdefault(cell, _Block(self._z_dim))
            block.extend(rows.vectors[members], table[members])
        self.count += len(table)
        self.last_seq = int(rows.seqs[-1])

    def search(self, query: MemoryQuery) -> list[Ranked]:
        """At most query.k memories, nearest first; equals by sequence number."""
        found = [(block.vectors[keep], block.rows[keep]) for block in self._region(query)
                 if (keep := self._admitted(block.rows, query)).any()]
        if not found:
            return []
        vectors = np.concatenate([vectors for vectors, _ in found])  # [n, z_dim]
        rows = np.concatenate([rows for _, rows in found])  # [n]
        distances: NDArray[np.floating[Any]]
        if query.rank_by == 'pose':
            assert query.pose is not None
            distances = pose_distance(rows['position'], rows['orientation'], query.pose)
        else:
            assert query.vector is not None
            distances = latent_distance(vectors, query.vector)
        return _nearest(rows['seq'], distances, query.k)

    def _region(self, query: MemoryQuery) -> list[_Block]:
        """Blocks that can hold an answer: those of the covering cells, or all."""
        limit = min(MAX_COVER_CELLS, len(self._blocks))  # beyond it all blocks are fewer cells
        cover: set[str] | None = None
        if query.radius_m is not None and query.pose is not None:
            cover = self._grid.cover_disc(query.pose.position, query.radius_m, limit)
        elif query.box is not None:
            cover = self._grid.cover_box(query.box, limit)
        if cover is None:
            return list(self._blocks.values())
        return [block for cell in cover if (block := self._blocks.get(cell)) is not None]

    def _admitted(self, rows: Rows, query: MemoryQuery) -> NDArray[np.bool_]:
        """Which rows satisfy the query's exact conditions, bool [n]."""
        keep = np.ones(len(rows), np.bool_)
        if query.radius_m is not None and query.pose is not None:
            keep &= _separation(rows['position'], query.pose) <= query.radius_m
        if query.box is not None:
            keep &= _inside(rows['position'], query.box)
        if query.min_age_sec > 0.0 and query.timestamp is not None:
            keep &= np.abs(rows['timestamp'] - query.timestamp) >= query.min_age_sec
        if query.after is not None:
            keep &= rows['timestamp'] >= query.after
        if query.before is not None:
            keep &= rows['timestamp'] <= query.before
        if query.session is not None:
            keep &= rows['session'] == self._sessions.get(query.session, -1)
        return keep


def _nearest(seqs: NDArray[np.int64], distances: NDArray[np.floating[Any]],
             k: int) -> list[Ranked]:
    """Return the k smallest distances in order; equals by sequence number, also at the k-th."""
    if k < len(distances):
        among = np.flatnonzero(distances <= np.partition(distances, k - 1)[k - 1])
        seqs, distances = seqs[among], distances[among]
    order = np.lexsort((seqs, distances))[:k]
    return [Ranked(int(seqs[i]), float(distances[i])) for i in order]


def latent_distance(vectors: Vector, vector: Vector) -> Vector:
    """L2 distance of `vector` to each of n latents, float32 [n]."""
    z = np.ascontiguousarray(vector, np.float32)
    vectors = np.ascontiguousarray(vectors, np.float32)
    squared = np.empty(len(vectors), np.float32)
    faiss.fvec_L2sqr_ny(  # type: ignore[attr-defined, unused-ignore]  # not in Faiss's stubs
        faiss.swig_ptr(squared), faiss.swig_ptr(z), faiss.swig_ptr(vectors), len(z), len(vectors))
    return np.sqrt(squared)


def _separation(positions: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
    """3-D distances [n] in metres."""
    return np.asarray(np.linalg.norm(positions - np.asarray(pose.position), axis=1))


def _inside(positions: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    return np.asarray(((positions >= box.low) & (positions <= box.high)).all(axis=1))


def pose_distance(positions: NDArray[np.float64], orientations: NDArray[np.float32],
                  pose: Pose) -> NDArray[np.float64]:
    """|Δp|² + 3·(1 − cos Δθ) [m²] for each of n poses, Δθ the angle of the rotation between."""
    cosine_half = orientations @ np.asarray(pose.orientation)
    cosine = np.minimum(2 * cosine_half ** 2 - 1, 1.0)
    offset = positions - np.asarray(pose.position)
    return np.asarray((offset * offset).sum(axis=1) + 3 * (1 - cosine), np.float64)
