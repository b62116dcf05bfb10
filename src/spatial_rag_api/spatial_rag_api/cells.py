"""The ground as hexagons: how much is remembered of each, and how old it is."""

from __future__ import annotations

from spatial_rag_api.followed_memory import FollowedMemory
from spatial_rag_api.schemas.memories import CellOut, CellsAnswer
from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.cells.figures import CellFigures
from spatial_rag_core.spatial.local_frame import LocalFrame

import h3.api.basic_int as h3


def cells_answer(memory: FollowedMemory, most: int) -> CellsAnswer:
    """At most `most` cells, coarser ones where there are more; raises JournalError."""
    memory.require_whole()
    spec = memory.retriever.spec
    if spec is None:
        raise JournalUnavailableError(f'{memory.path} was closed just now; ask again')
    figures = memory.retriever.cells().coarsened(most)
    frame = LocalFrame(spec.datum)
    now = float(figures.newest.max(initial=0.0))
    cells = [_cell(figures, row, frame, now) for row in range(len(figures.cells))]
    return CellsAnswer(cells=cells, h3_resolution=figures.resolution,
                       map_frame=spec.map_frame)


def _cell(figures: CellFigures, row: int, frame: LocalFrame, now_sec: float) -> CellOut:
    cell, newest = int(figures.cells[row]), float(figures.newest[row])
    corners = h3.cell_to_boundary(cell)
    return CellOut(
        h3_cell=h3.int_to_str(cell), count=int(figures.counts[row]),
        oldest_sec=float(figures.oldest[row]), newest_sec=newest, age_sec=now_sec - newest,
        boundary_m=[frame.to_map(*corner) for corner in corners], boundary_deg=list(corners))
