from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path
import signal
import subprocess
import sys
import threading

from spatial_rag_core.errors import IndexUnavailableError
from spatial_rag_core.memory.qdrant.edge import EdgeStore
from spatial_rag_core.memory.qdrant_index import QdrantIndex
from spatial_rag_core.records import Box, MemoryQuery, Pose, Position

import numpy as np
import pytest

from ..index_contract import GRID, part, require_brute_force, scattered_rows, some_rows, Z_DIM

ZERO = np.zeros(Z_DIM, np.float32)
EVERYTHING = MemoryQuery(k=10_000, vector=ZERO)


def make(folder: Path) -> QdrantIndex:
    store = EdgeStore(folder, Z_DIM, GRID.resolution)
    return QdrantIndex(store, GRID, store.seqs())


@pytest.fixture
def index(tmp_path: Path) -> Iterator[QdrantIndex]:
    with contextlib.closing(make(tmp_path / 'edge')) as index:
        yield index


def test_numbers_that_qdrant_reads_a_last_bit_off_change_no_answer(index: QdrantIndex) -> None:
    rows = scattered_rows(400)
    index.add(rows)
    for n in range(0, 399, 7):
        pose, moment = Pose(Position(*rows.positions[n].tolist())), float(rows.timestamps[n])
        reach = float(np.linalg.norm(rows.positions[n + 1] - rows.positions[n]))
        for query in (
                MemoryQuery(k=400, vector=ZERO, pose=pose, radius_m=reach),
                MemoryQuery(k=400, vector=ZERO, box=Box(pose.position, pose.position)),
                MemoryQuery(k=400, vector=ZERO, pose=pose, max_dz_m=0.0),
                MemoryQuery(k=400, vector=ZERO, after=moment, before=moment)):
            hits = index.search(query)
            require_brute_force(rows, query, hits)
            assert int(rows.seqs[n]) in [hit.seq for hit in hits]


def test_memories_far_from_the_origin_of_the_map_keep_their_order(index: QdrantIndex) -> None:
    rows = scattered_rows(200)
    rows.positions[:] += (9e6, -9e6, 0.0)  # float32 knows such places to a metre
    index.add(rows)
    for rank_by in ('pose', 'latent'):
        query = MemoryQuery(k=8, vector=ZERO, rank_by=rank_by,  # type: ignore[arg-type]
                            pose=Pose(Position(9e6, -9e6)))
        require_brute_force(rows, query, index.search(query))


def test_what_it_held_can_be_found_at_once_when_it_is_opened_again(tmp_path: Path) -> None:
    rows = some_rows(600)
    first = make(tmp_path)
    first.add(rows)
    first.close()
    again = make(tmp_path)
    assert (again.count, again.last_seq) == (600, 0)
    require_brute_force(rows, EVERYTHING, again.search(EVERYTHING))
    again.close()


def test_told_again_it_stores_what_it_lacks_and_removes_what_is_too_much(tmp_path: Path) -> None:
    rows, chance = some_rows(600), np.random.default_rng(0)
    first = make(tmp_path)
    first.add(part(rows, chance.random(600) < 0.7))
    first.close()
    again, kept = make(tmp_path), chance.random(600) < 0.8
    stored = count_of_stored(again)
    for start in range(0, 600, 100):
        chosen = kept & (np.arange(600) // 100 == start // 100)
        again.add(part(rows, chosen))
    rest = part(rows, kept)
    assert 0 < stored[0] < 250
    assert (again.count, again.last_seq) == (len(rest.seqs), rest.seqs[-1])
    assert again.cell_count == len(set(rest.cells.tolist()))
    require_brute_force(rest, EVERYTHING, again.search(EVERYTHING))
    again.close()


def count_of_stored(index: QdrantIndex) -> list[int]:
    """How many points are put from now on; a list of one."""
    stored, put = [0], index.store.put

    def counted(points: object) -> None:
        stored[0] += len(points.seqs)  # type: ignore[attr-defined]
        put(points)  # type: ignore[arg-type]

    index.store.put = counted  # type: ignore[method-assign, assignment]
    return stored


PROGRAM = """
import sys
from {package}.index_contract import GRID, part, scattered_rows, Z_DIM
from spatial_rag_core.memory.qdrant.edge import EdgeStore
from spatial_rag_core.memory.qdrant_index import QdrantIndex
index = QdrantIndex(EdgeStore(sys.argv[1], Z_DIM, GRID.resolution), GRID)
rows = scattered_rows(3000)
for start in range(0, 3000, 10):
    index.add(part(rows, slice(start, start + 10)))
    print(start + 10, flush=True)
"""


def test_a_killed_process_loses_nothing_that_it_had_taken_in(tmp_path: Path) -> None:
    folder = Path(__file__).parents[1]
    with subprocess.Popen(
            [sys.executable, '-c', PROGRAM.format(package=folder.name), str(tmp_path)],
            cwd=folder.parent, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        while int(process.stdout.readline()) < 500:
            pass
        process.send_signal(signal.SIGKILL)
        taken_in = max([500, *map(int, process.stdout.read().split())])
    index, rows = make(tmp_path), scattered_rows(3000)
    assert taken_in <= index.count <= taken_in + 10
    held = part(rows, slice(0, index.count))
    require_brute_force(held, EVERYTHING, index.search(EVERYTHING))
    index.close()


def test_a_folder_serves_one_index_at_a_time(tmp_path: Path) -> None:
    first = make(tmp_path)
    with pytest.raises(IndexUnavailableError, match='close what else uses the folder'):
        make(tmp_path)
    first.close()
    make(tmp_path).close()


def test_a_folder_of_another_dimension_is_refused(tmp_path: Path) -> None:
    EdgeStore(tmp_path, Z_DIM, 13).close()
    with pytest.raises(IndexUnavailableError, match='delete the folder'):
        EdgeStore(tmp_path, Z_DIM + 1, 13)


def test_a_folder_with_damaged_data_is_refused_and_not_searched(tmp_path: Path) -> None:
    index = make(tmp_path)
    index.add(some_rows(50))
    index.close()
    for segment in tmp_path.glob('segments/*/segment.json'):
        segment.write_bytes(segment.read_bytes()[:40])
    with pytest.raises(IndexUnavailableError, match='it is built anew from the memory file'):
        make(tmp_path)


def test_a_closed_index_says_so(tmp_path: Path) -> None:
    index = make(tmp_path)
    index.close()
    with pytest.raises(IndexUnavailableError):
        index.search(EVERYTHING)


def test_searches_in_several_threads_beside_one_that_adds_are_right(index: QdrantIndex) -> None:
    rows = scattered_rows(1500)
    index.add(part(rows, slice(0, 500)))
    query = MemoryQuery(k=5, vector=rows.vectors[3], pose=Pose(Position(
        *rows.positions[3].tolist())), radius_m=0.5)
    problems: list[BaseException] = []
    is_added = threading.Event()

    def ask() -> None:
        try:
            while not is_added.is_set():
                assert index.search(query)[0].seq == rows.seqs[3]
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for start in range(500, 1500, 20):
        index.add(part(rows, slice(start, start + 20)))
    is_added.set()
    for thread in threads:
        thread.join(30)
    assert problems == []
    require_brute_force(rows, EVERYTHING, index.search(EVERYTHING))


def test_room_of_removed_memories_is_given_back(tmp_path: Path) -> None:
    store = EdgeStore(tmp_path, Z_DIM, GRID.resolution)
    index, rows = QdrantIndex(store, GRID), scattered_rows(3000)
    index.add(rows)
    index.remove(rows.seqs[500:])
    store.compact()
    rest = part(rows, slice(0, 500))
    assert (index.count, store.seqs().tolist()) == (500, rest.seqs.tolist())
    require_brute_force(rest, EVERYTHING, index.search(EVERYTHING))
    near = MemoryQuery(k=500, vector=ZERO, pose=Pose(Position(0, 0)), radius_m=5.0)
    require_brute_force(rest, near, index.search(near))
    store.close()
