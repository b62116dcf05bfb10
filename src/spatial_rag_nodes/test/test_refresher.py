"""What the retriever's services tell of a memory that does not load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.answering.refresher import Refresher
from spatial_rag_core.memory.cell_index import CellIndex
from spatial_rag_core.memory.index import IndexRows
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame
from spatial_rag_msgs.srv import QueryMemory
from spatial_rag_nodes.health import Health
from spatial_rag_nodes.retriever_services import RetrieverServices

import numpy as np
import pytest

pytestmark = pytest.mark.ros

SPEC = JournalSpec(z_dim=2)


def memory(number: int) -> Memory:
    return Memory(f'id-{number}', np.zeros(2, np.float32), Pose(Position(0.0, 0.0)),
                  '8d754e64992d6ff', 1000.0, 'author')


def test_a_load_that_fails_half_way_tells_why(lab: Any, tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(1)])

    class Down(CellIndex):
        def add(self, rows: IndexRows) -> None:
            raise IndexUnavailableError('no space')

    retriever = Retriever(path, lambda _: Down(H3Grid(LocalFrame(), 13), 2))
    health = Health(lab.probe.node, dict)
    refresher = Refresher(retriever, 10.0, health.report_error)
    services = RetrieverServices(lab.probe.node, {'map_frame': 'map', 'k': 1}, health, retriever,
                                 refresher)
    answer = lab.probe.call(QueryMemory, '/spatial_rag/query_memory',
                            QueryMemory.Request(latent=[0.0, 0.0]))
    assert (answer.code, answer.message) == (answer.MEMORY_UNAVAILABLE, 'no space')
    refresher.close()
    services.close()
