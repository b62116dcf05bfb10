"""A memory as it is drawn: an index that is looked at, not asked."""

from __future__ import annotations

from dataclasses import replace
from typing import NoReturn

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.index import IndexRows, MemoryIndex
from spatial_rag_core.memory.overview.places import own_cells
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import MemoryQuery
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_core.view.cell_hexagons import CellHexagons, Hexagon
from spatial_rag_core.view.memory_points import MemoryPoints
from spatial_rag_core.view.palette import Colors

import numpy as np
from numpy.typing import NDArray


class DrawnMemory(MemoryIndex):
    """
    Points and hexagons of all memories of a file; a Retriever feeds it as it feeds any index.

    One thread may use it.
    """

    def __init__(self, spec: JournalSpec) -> None:
        self.spec = spec
        self.points = MemoryPoints()
        self.hexagons = CellHexagons(LocalFrame(spec.datum), spec.h3_resolution)
        self._last_seq = 0

    @property
    def count(self) -> int:
        """Memories that are drawn."""
        return self.points.count

    @property
    def last_seq(self) -> int:
        """Newest sequence number ever taken in; 0: none."""
        return self._last_seq

    @property
    def cell_count(self) -> int:
        """Hexagons that are drawn."""
        return len(self.hexagons.counts)

    def add(self, rows: IndexRows) -> None:
        """Draw memories; a cell that is none of this memory's is reckoned from its place."""
        if len(rows.seqs):
            rows = replace(rows, cells=own_cells(self.spec, rows.cells, rows.positions))
            self.points.add(rows)
            self.hexagons.add(rows.cells, rows.positions[:, 2])
            self._last_seq = int(rows.seqs[-1])

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Draw them no more."""
        self.hexagons.remove(self.points.remove(seqs))

    def relabel(self, rows: IndexRows) -> None:
        """Nothing that is drawn depends on labels."""

    def search(self, query: MemoryQuery) -> NoReturn:
        """Raise IndexUnavailableError."""
        raise IndexUnavailableError('a drawing of a memory answers no query; ask the retriever')

    def views(self, seqs: NDArray[np.int64]) -> None:
        """Of none."""

    def settle(self) -> None:
        """Bring all colours up to date, for who draws everything."""
        self.points.take_changed()
        self.hexagons.take_changed()

    def all_points(self) -> tuple[NDArray[np.float64], Colors]:
        """Positions, float64 [N, 3] in the map frame [m], and colours."""
        chunks = [self.points.chunk(number) for number in range(self.points.chunk_count)]
        positions, colors = zip((np.empty((0, 3)), np.empty((0, 4), np.float32)), *chunks,
                                strict=True)
        return np.concatenate(positions), np.concatenate(colors)

    def all_hexagons(self) -> list[Hexagon]:
        """All cells that hold memories."""
        return [hexagon for number in range(self.hexagons.chunk_count)
                for hexagon in self.hexagons.chunk(number)]

    def close(self) -> None:
        """Nothing is held that must be given back."""
