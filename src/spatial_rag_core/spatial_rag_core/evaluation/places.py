"""Whether a picture finds the pictures of its place: by latent, and by grey values alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import Context, IndexRows
from spatial_rag_core.records import MemoryQuery, Metric, Position, Vector
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import cv2
import numpy as np
from numpy.typing import NDArray

RANKS = (1, 5, 10)
"""The k of recall@k."""
GREY_WIDTH_PX, GREY_HEIGHT_PX = 32, 24
_QUERIES_AT_ONCE = 256

Method = Literal['latent', 'grey', 'grey_centred']
Right = NDArray[np.bool_]
"""[Q, M]: which map frames are right answers to each query."""
Order = NDArray[np.int64]
"""[Q, k]: map frames, the most alike first."""
Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class PlaceTolerance:
    """How near a map frame must be to be a right answer; raises ConfigurationError."""

    radius_m: float = 0.25
    angle_deg: float = 20.0

    def __post_init__(self) -> None:
        if not 0.0 < self.radius_m < np.inf:
            raise ConfigurationError(f'radius_m must be > 0 m, got {self.radius_m}')
        if not 0.0 < self.angle_deg <= 180.0:
            raise ConfigurationError(
                f'angle_deg must lie in (0, 180] deg, got {self.angle_deg}')

    def right(self, query_poses: NDArray[np.float64], map_poses: NDArray[np.float64]) -> Right:
        """Return which map poses lie near each query pose, bool [Q, M]; poses [., 7]."""
        return np.concatenate([self._right(poses, map_poses) for poses in _parts(query_poses)])

    def _right(self, query_poses: NDArray[np.float64], map_poses: NDArray[np.float64]) -> Right:
        apart = np.linalg.norm(query_poses[:, None, :3] - map_poses[None, :, :3], axis=2)
        cosine = np.abs(query_poses[:, 3:] @ map_poses[:, 3:].T).clip(0.0, 1.0)
        turned_deg = np.degrees(2 * np.arccos(cosine))
        answers: Right = (apart <= self.radius_m) & (turned_deg <= self.angle_deg)
        return answers


@dataclass(frozen=True, eq=False)
class Answers:
    """
    How far down the list the first right answer came, for the queries that have one.

    ranks: method → int [n], 0 the best; RANKS[-1] where the list had none.
    blocks: int [n], equal for queries that are too close in time to be independent.
    chance: share of map frames that are right answers to each query, float [n].
    """

    ranks: dict[Method, NDArray[np.int64]]
    blocks: NDArray[np.int64]
    chance: NDArray[np.float64]
    without_answer: int

    @classmethod
    def joined(cls, parts: list[Answers]) -> Answers:
        """Return the answers of several folds as one."""
        return cls({name: np.concatenate([part.ranks[name] for part in parts])
                    for name in parts[0].ranks},
                   np.concatenate([part.blocks for part in parts]),
                   np.concatenate([part.chance for part in parts]),
                   sum(part.without_answer for part in parts))

    @classmethod
    def of(cls, orders: dict[Method, Order], right: Right,
           blocks: NDArray[np.int64]) -> Answers:
        """Judge the order that each method gave, for the queries that have a right answer."""
        has = right.any(axis=1)
        ranks = {name: first_right(order, right)[has] for name, order in orders.items()}
        return cls(ranks, blocks[has], right[has].mean(axis=1), int((~has).sum()))


def first_right(order: Order, right: Right) -> NDArray[np.int64]:
    """Place of the first right answer in each list, int [Q]; RANKS[-1] where there is none."""
    hit = np.take_along_axis(right, order, axis=1)
    return np.where(hit.any(axis=1), hit.argmax(axis=1), RANKS[-1])


def order_by_latent(map_z: Vector, query_z: Vector, metric: Metric = 'l2') -> Order:
    """Ask the project's own index without a region, as a robot that is lost does."""
    grid = H3Grid(LocalFrame(), 15)
    index = CellIndex(grid, map_z.shape[1])
    index.add(_index_rows(map_z, grid.cell_number(Position(0.0, 0.0))))
    found = [[hit.seq - 1 for hit in index.search(MemoryQuery(RANKS[-1], z, metric=metric))]
             for z in query_z]
    index.close()
    return np.array(found, np.int64)


def order_by_grey(map_rgb: Pictures, query_rgb: Pictures, centred: bool = False) -> Order:
    """Rank by the cosine of 32x24 grey pictures; centred: less the mean of each picture."""
    map_grey = _directions(map_rgb, centred)
    return np.concatenate([
        np.argsort(-(_directions(rgb, centred) @ map_grey.T), axis=1, kind='stable')[:, :RANKS[-1]]
        for rgb in _parts(query_rgb)])


def _parts(rows: NDArray[Any]) -> list[NDArray[Any]]:
    """Few rows at a time: all queries by all map frames would not fit into memory."""
    return np.array_split(rows, max(1, -(-len(rows) // _QUERIES_AT_ONCE)))


def _directions(rgb: Pictures, centred: bool) -> NDArray[np.float64]:
    grey = np.array([_grey(picture) for picture in rgb], np.float64)
    if centred:
        grey -= grey.mean(axis=1, keepdims=True)
    return np.asarray(grey / np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-9))


def _grey(rgb: Pictures) -> Pictures:
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey, (GREY_WIDTH_PX, GREY_HEIGHT_PX),
                                 interpolation=cv2.INTER_AREA), np.uint8).ravel()


def _index_rows(z: Vector, cell: int) -> IndexRows:
    """Memories 1, 2, … at one place: only their latents are asked about."""
    count = len(z)
    turns = np.tile(np.array([0, 0, 0, 1], np.float32), (count, 1))
    return IndexRows(
        seqs=np.arange(1, count + 1), cells=np.full(count, cell, np.uint64),
        vectors=np.asarray(z, np.float32), positions=np.zeros((count, 3)), orientations=turns,
        timestamps=np.zeros(count), contexts=np.zeros(count, np.int32),
        context_table={0: Context()})
