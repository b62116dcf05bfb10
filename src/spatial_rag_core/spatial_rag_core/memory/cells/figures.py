"""How many memories lie in each H3 cell, and how old they are."""

from __future__ import annotations

from typing import NamedTuple

from spatial_rag_core.memory.overview.layout import parents

import h3.api.basic_int as h3
import numpy as np
from numpy.typing import NDArray


class CellFigures(NamedTuple):
    """
    C cells of one resolution that hold memories, in order of their numbers.

    cells uint64 [C]; counts int64 [C]; oldest and newest float64 [C]: Unix times [s].
    """

    cells: NDArray[np.uint64]
    counts: NDArray[np.int64]
    oldest: NDArray[np.float64]
    newest: NDArray[np.float64]

    @classmethod
    def none(cls) -> CellFigures:
        """Of a memory that holds nothing."""
        return cls(np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0), np.zeros(0))

    @property
    def resolution(self) -> int | None:
        """The H3 resolution of the cells; None where there are none."""
        return h3.get_resolution(int(self.cells[0])) if len(self.cells) else None

    def coarsened(self, most: int) -> CellFigures:
        """The same memories in the finest cells, from these on, of which there are `most`."""
        figures = self
        while len(figures.cells) > most and (resolution := figures.resolution):
            figures = _joined(parents(figures.cells, resolution - 1), figures.counts,
                              figures.oldest, figures.newest)
        return figures


def figures_of(cells: NDArray[np.uint64], timestamps: NDArray[np.float64]) -> CellFigures:
    """Count memories: the cell of each, uint64 [N], and its time, float64 [N], Unix [s]."""
    return _joined(cells, np.ones(len(cells), np.int64), timestamps, timestamps)


def _joined(cells: NDArray[np.uint64], counts: NDArray[np.int64], oldest: NDArray[np.float64],
            newest: NDArray[np.float64]) -> CellFigures:
    unique, owner = np.unique(cells, return_inverse=True)
    figures = CellFigures(unique, np.bincount(owner, counts, len(unique)).astype(np.int64),
                          np.full(len(unique), np.inf), np.full(len(unique), -np.inf))
    np.minimum.at(figures.oldest, owner, oldest)
    np.maximum.at(figures.newest, owner, newest)
    return figures
