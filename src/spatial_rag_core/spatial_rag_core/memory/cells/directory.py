"""Which pages of the arena hold the memories of an H3 cell, and which cells meet a region."""

from __future__ import annotations

from typing import NamedTuple

from spatial_rag_core.memory.cells.arena import Arena, PAGE_ROWS, Pages, Rows

import numpy as np
from numpy.typing import NDArray

DIGIT_BITS = 3  # of an H3 cell's number, for each resolution that it is finer than its base
FINEST = 15
BLOCK_BITS = np.uint64(2 * DIGIT_BITS)
SLOTS = 64  # of a block, which is a cell two resolutions coarser; at most 49 are in use

Bounds = NDArray[np.float64]
"""An axis-aligned box of the map as (high x, y, z, −low x, −low y, −low z), float64 [6] [m]."""


class _Groups(NamedTuple):
    """Memories sorted by cell: of each cell its slot, where its memories start and how many."""

    slots: NDArray[np.int64]
    starts: NDArray[np.int64]
    sizes: NDArray[np.int64]


class CellDirectory:
    """
    Bounding boxes of what cells and blocks of cells hold, and each cell's pages.

    A search goes by the boxes alone, in metres of the map. So it is exact wherever the map lies
    on the globe; that H3 cells are compact only makes it fast. A block is the parent two
    resolutions coarser. One thread may add while others search: a box and a page come before
    the memory that they are for.
    """

    def __init__(self, resolution: int) -> None:
        self._shift = np.uint64(DIGIT_BITS * (FINEST - resolution))
        self._blocks: dict[int, int] = {}
        # Boxes as (low x, y, z, −high x, −high y, −high z); nothing is within the empty ones.
        self._block_boxes = np.full((6, 8), np.inf)
        self._cell_boxes = np.full((8, 6, SLOTS), np.inf)
        self._pages: list[bytes] = []  # int32 page numbers of each slot
        self._tails = np.zeros(0, np.int64)  # next free row of each slot's last page
        self._counts = np.zeros(0, np.int64)
        self._cells = np.zeros(0, np.uint64)
        self._slot_of_page = np.zeros(0, np.int32)

    @property
    def cell_count(self) -> int:
        """Cells that hold a memory."""
        return int(np.count_nonzero(self._counts))

    def pages_within(self, bounds: Bounds) -> Pages:
        """Pages of all cells that can hold a memory within the bounds, int32 [n]."""
        limit = bounds[:, None]
        blocks = np.logical_and.reduce(self._block_boxes <= limit).nonzero()[0]
        inside = self._cell_boxes.take(blocks, axis=0) <= limit
        which, slots = np.logical_and.reduce(inside, axis=1).nonzero()
        slots += (blocks * SLOTS).take(which)
        return np.frombuffer(b''.join([self._pages[slot] for slot in slots.tolist()]), np.int32)

    def reach_from(self, place: tuple[float, float, float]) -> float:
        """Half the side of a box about a place that holds all memories [m]; none: −inf."""
        box = self._block_boxes.min(axis=1)
        return float(max((-box[3:] - place).max(), (place - box[:3]).max()))

    def cells_of(self, rows: Rows) -> NDArray[np.uint64]:
        """Cell of each row, uint64 [n]."""
        return self._cells.take(self._slot_of_page.take(rows // PAGE_ROWS))

    def place(self, cells: NDArray[np.uint64], positions: NDArray[np.float64],
              arena: Arena) -> Rows:
        """Give each memory a row, and make its cell's box contain it."""
        digits = cells >> self._shift  # alike for all cells of one slot, whatever they are
        order = np.argsort(digits, kind='stable')
        groups = self._grouped(digits[order])
        self._cells[groups.slots] = cells[order[groups.starts]]
        rows = np.empty(len(cells), np.int64)
        rows[order] = self._new_rows(groups, arena)
        self._widen(groups, positions[order])
        self._counts[groups.slots] += groups.sizes
        return rows

    def forget(self, rows: Rows) -> None:
        """Note that rows were erased; a cell that holds nothing any more is never met."""
        np.subtract.at(self._counts, self._slot_of_page.take(rows // PAGE_ROWS), 1)
        slots = np.unique(self._slot_of_page.take(rows // PAGE_ROWS))
        for slot in slots[self._counts.take(slots) == 0].tolist():
            self._cell_boxes[slot // SLOTS, :, slot % SLOTS] = np.inf

    def _grouped(self, digits: NDArray[np.uint64]) -> _Groups:
        starts = np.flatnonzero(np.concatenate([[True], digits[1:] != digits[:-1]]))
        unique = digits[starts]
        keys, owner = np.unique(unique >> BLOCK_BITS, return_inverse=True)
        blocks = np.array([self._block(key) for key in keys.tolist()])
        slots = blocks[owner] * SLOTS + (unique % np.uint64(SLOTS)).astype(np.int64)
        return _Groups(slots, starts, np.diff(starts, append=len(digits)))

    def _block(self, key: int) -> int:
        block = self._blocks.setdefault(key, len(self._blocks))
        if block * SLOTS == len(self._pages):
            self._make_room(block)
        return block

    def _make_room(self, block: int) -> None:
        self._pages.extend(SLOTS * [b''])
        if block * SLOTS == len(self._tails):
            more = max(8, block) * SLOTS
            self._tails = np.concatenate([self._tails, np.zeros(more, np.int64)])
            self._counts = np.concatenate([self._counts, np.zeros(more, np.int64)])
            self._cells = np.concatenate([self._cells, np.zeros(more, np.uint64)])
        if block == len(self._cell_boxes):  # cells first: a search looks at the blocks first
            more_boxes = np.full((block, 6, SLOTS), np.inf)
            self._cell_boxes = np.concatenate([self._cell_boxes, more_boxes])
            self._block_boxes = np.concatenate(
                [self._block_boxes, np.full((6, block), np.inf)], axis=1)

    def _new_rows(self, groups: _Groups, arena: Arena) -> Rows:
        """Rows for sorted memories: what is left of the cell's last page, then new pages."""
        tails = self._tails[groups.slots]
        left = -tails % PAGE_ROWS
        over = np.maximum(groups.sizes - left, 0)
        needed = -(-over // PAGE_ROWS)
        last = np.cumsum(needed)
        first_page = arena.take_pages(int(last[-1]))
        first_rows = (first_page + last - needed) * PAGE_ROWS
        nth = np.arange(int(groups.sizes.sum())) - np.repeat(groups.starts, groups.sizes)
        in_new = nth - np.repeat(left, groups.sizes)
        rows = np.where(in_new < 0, nth + np.repeat(tails, groups.sizes),
                        in_new + np.repeat(first_rows, groups.sizes))
        self._tails[groups.slots] = np.where(over > 0, first_rows + over, tails + groups.sizes)
        self._hand_out(groups.slots, needed, first_page)
        return rows

    def _hand_out(self, slots: NDArray[np.int64], needed: NDArray[np.int64],
                  first_page: int) -> None:
        """Give consecutive new pages to the slots."""
        growing = needed.nonzero()[0]
        slots, needed = slots[growing], needed[growing]
        end = first_page + int(needed.sum())
        if end > len(self._slot_of_page):
            self._slot_of_page = np.resize(self._slot_of_page, max(end, 2 * first_page))
        self._slot_of_page[first_page:end] = np.repeat(slots, needed)
        numbers = np.arange(first_page, end, dtype=np.int32).tobytes()
        start = 0
        for slot, stop in zip(slots.tolist(), (4 * np.cumsum(needed)).tolist(), strict=True):
            self._pages[slot] += numbers[start:stop]
            start = stop

    def _widen(self, groups: _Groups, positions: NDArray[np.float64]) -> None:
        boxes = np.concatenate([np.minimum.reduceat(positions, groups.starts),
                                -np.maximum.reduceat(positions, groups.starts)], axis=1)
        blocks, slots = np.divmod(groups.slots, SLOTS)
        self._cell_boxes[blocks, :, slots] = np.minimum(
            self._cell_boxes[blocks, :, slots], boxes)
        np.minimum.at(self._block_boxes.T, blocks, boxes)
