"""Which memories an index was told of: what it would cost to count in Qdrant, counted here."""

from __future__ import annotations

from collections import Counter

import numpy as np
from numpy.typing import NDArray


class ToldMemories:
    """Sequence numbers and H3 cells, 16 bytes for each memory."""

    def __init__(self) -> None:
        self._seqs: NDArray[np.int64] = np.empty(1024, np.int64)
        self._cells: NDArray[np.uint64] = np.empty(1024, np.uint64)  # 0: removed
        self._used = self.count = 0
        self._per_cell: Counter[int] = Counter()

    @property
    def cell_count(self) -> int:
        """Cells that hold at least one memory."""
        return len(self._per_cell)

    def add(self, seqs: NDArray[np.int64], cells: NDArray[np.uint64]) -> None:
        """Count memories; their numbers ascend, also over calls."""
        if self._used + len(seqs) > len(self._seqs):
            self._make_room(len(seqs))
        part = slice(self._used, self._used + len(seqs))
        self._seqs[part], self._cells[part] = seqs, cells
        self._used += len(seqs)
        self.count += len(seqs)
        self._per_cell.update(cells.tolist())

    def _make_room(self, count: int) -> None:
        """Leave out what was removed, and have room for as many again."""
        kept = np.flatnonzero(self._cells[:self._used])
        self._seqs = np.resize(self._seqs[kept], 2 * (len(kept) + count))
        self._cells = np.resize(self._cells[kept], 2 * (len(kept) + count))
        self._used = len(kept)

    def remove(self, seqs: NDArray[np.int64]) -> None:
        """Count memories no more; numbers that were not told are passed over."""
        seqs = np.unique(seqs)
        places = np.searchsorted(self._seqs[:self._used], seqs)
        seqs, places = seqs[places < self._used], places[places < self._used]
        places = places[(self._seqs[places] == seqs) & (self._cells[places] != 0)]
        cells = self._cells[places].tolist()
        self._per_cell.subtract(cells)
        for cell in set(cells):
            if not self._per_cell[cell]:
                del self._per_cell[cell]
        self._cells[places] = 0
        self.count -= len(places)
