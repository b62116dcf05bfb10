from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
import contextlib
import math
from pathlib import Path
import sqlite3
import threading
import time

from spatial_rag_core.errors import (
    IndexUnavailableError,
    JournalDamagedError,
    JournalError,
    JournalMismatchError,
    LatentError,
    ModelMismatchError,
)
from spatial_rag_core.memory.forgetting.forget import forget
from spatial_rag_core.memory.index import IndexRows, MemoryIndex
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.retriever import embedded_index, Retriever
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import (
    as_latent,
    Memory,
    MemoryQuery,
    MemorySelection,
    Pose,
    Position,
)
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=3)
GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)
ORIGIN = np.zeros(3, np.float32)


def memory(n: int, model_id: str = 'model-a', session: str = 'drive') -> Memory:
    """The n-th memory of a drive along x, one a metre and second, its latent (n, 0, 0)."""
    position = Position(float(n), 0.0, 0.0)
    return Memory(f'id-{n}', as_latent([n, 0, 0]), Pose(position), GRID.cell(position),
                  1000.0 + n, model_id, session=session, thumbnail=b'jpeg')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory.db'


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open_writer(path, SPEC) as journal:
        yield journal


@pytest.fixture
def retriever(path: Path) -> Iterator[Retriever]:
    with contextlib.closing(Retriever(path)) as retriever:
        yield retriever


def ids(retriever: Retriever, k: int = 100, **fields: object) -> list[str]:
    """What is found, from the start of the drive."""
    return [hit.memory.id for hit in retriever.query(MemoryQuery(k=k, vector=ORIGIN, **fields))]


def named(numbers: Iterator[int] | range | list[int]) -> list[str]:
    return [f'id-{n}' for n in numbers]


def test_before_there_is_a_file_nothing_is_found_and_then_all_is(
        path: Path, retriever: Retriever) -> None:
    assert retriever.refresh() == 0
    assert retriever.query(MemoryQuery(vector=ORIGIN, model_id='any')) == []
    assert retriever.get_memory('id-0') is None
    assert retriever.spec is retriever.model_id is retriever.loading is retriever.damage is None
    assert retriever.stats().count == retriever.index_count == retriever.cell_count == 0
    with Journal.open_writer(path, SPEC) as journal:
        assert retriever.refresh() == 0
        assert retriever.spec == SPEC
        assert ids(retriever) == []
        journal.append([memory(n) for n in range(5)])
        assert retriever.refresh() == 5
        assert retriever.model_id == 'model-a'
        assert ids(retriever, k=2) == ['id-0', 'id-1']


def test_new_rows_are_tailed(journal: Journal, retriever: Retriever) -> None:
    for n in range(10):
        [seq] = journal.append([memory(n)])
        assert retriever.refresh() == 1
        assert retriever.refresh() == 0
        assert retriever.index_last_seq == seq
    [nearest] = retriever.query(MemoryQuery(k=1, vector=as_latent([9, 0, 0])))
    assert nearest.memory.id == 'id-9'
    assert retriever.stats().count == retriever.index_count == 10


def test_where_nothing_happened_a_refresh_costs_next_to_nothing(
        journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(n) for n in range(10)])
    retriever.refresh()
    start = time.perf_counter()
    assert sum(retriever.refresh() for _ in range(1000)) == 0
    assert time.perf_counter() - start < 1.0  # 15 ms on a quiet machine


def test_a_hit_is_the_whole_memory_with_both_distances(
        journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(n) for n in range(10)])
    retriever.refresh()
    query = MemoryQuery(k=3, vector=as_latent([4, 0, 0]), pose=Pose(Position(2.0, 0.0, 0.5)),
                        radius_m=1.5, model_id='model-a')
    hits = retriever.query(query)
    assert [hit.memory.id for hit in hits] == ['id-3', 'id-2', 'id-1']
    assert [hit.distance for hit in hits] == [1.0, 2.0, 3.0]
    assert [hit.separation_m for hit in hits] == pytest.approx(
        [math.hypot(1, 0.5), 0.5, math.hypot(1, 0.5)])
    assert hits[0].memory.session == 'drive'
    assert hits[0].memory.thumbnail == b''
    assert retriever.query(query, with_thumbnails=True)[0].memory.thumbnail == b'jpeg'


def test_without_a_pose_the_separation_is_not_known(
        journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(1)])
    retriever.refresh()
    assert math.isnan(retriever.query(MemoryQuery(vector=ORIGIN))[0].separation_m)


def test_with_diversity_hits_are_unlike_each_other(
        journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(n) for n in (1, 1001, 1002, 1003, 1030)])
    retriever.refresh()
    assert ids(retriever, k=2) == ['id-1', 'id-1001']
    asked = MemoryQuery(k=2, vector=as_latent([1000, 0, 0]), diversity=0.7)
    assert [hit.memory.id for hit in retriever.query(asked)] == ['id-1001', 'id-1']


def test_one_memory_is_had_by_its_id(journal: Journal, retriever: Retriever) -> None:
    retriever.refresh()
    journal.append([memory(7)])
    found = retriever.get_memory('id-7')
    assert found is not None
    assert (found.timestamp, found.thumbnail) == (1007.0, b'jpeg')
    bare = retriever.get_memory('id-7', with_thumbnail=False)
    assert bare is not None
    assert bare.thumbnail == b''
    assert retriever.get_memory('id-8') is None


def test_a_latent_of_another_model_or_length_is_refused(
        journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(1)])
    retriever.refresh()
    with pytest.raises(ModelMismatchError, match='of model model-a, got one of model model-b'):
        retriever.query(MemoryQuery(vector=ORIGIN, model_id='model-b'))
    with pytest.raises(LatentError, match=r'shape \[2\], expected \[3\] \(z_dim\)'):
        retriever.query(MemoryQuery(vector=ORIGIN[:2]))
    with pytest.raises(LatentError, match='not finite'):
        retriever.query(MemoryQuery(vector=np.float32([0, np.nan, 0])))


def test_poses_of_another_frame_are_refused(journal: Journal, path: Path) -> None:
    with contextlib.closing(Retriever(path, map_frame='world')) as retriever:
        for ask in (retriever.open, retriever.refresh):
            with pytest.raises(JournalMismatchError, match="frame 'map', asked in 'world'"):
                ask()


def test_what_is_forgotten_is_found_no_more_and_counted_no_more(
        journal: Journal, retriever: Retriever) -> None:
    first = journal.append([memory(n, session='first') for n in range(3)])
    rest = journal.append([memory(n, session='second') for n in range(3, 6)])
    retriever.refresh()
    journal.forget([*first, rest[-1]])
    assert ids(retriever) == named([3, 4]), 'although the index still has the others'
    assert retriever.refresh() == 0
    assert ids(retriever) == named([3, 4])
    stats = retriever.stats()
    assert (stats.count, retriever.index_count, stats.session_count) == (2, 2, 1)
    assert (stats.oldest, stats.newest) == (1003.0, 1004.0)
    assert retriever.index_last_seq == stats.last_seq == rest[-1]
    assert retriever.get_memory('id-0') is None


def test_new_labels_are_found_at_the_next_refresh(
        journal: Journal, retriever: Retriever) -> None:
    seqs = journal.append([memory(n) for n in range(5)])
    retriever.refresh()
    assert ids(retriever, labels=('door',)) == []
    journal.relabel(seqs[1:3], add=['door'])
    retriever.refresh()
    assert ids(retriever, labels=('door',)) == named([1, 2])
    journal.relabel(seqs[1:2], remove=['door'])
    retriever.refresh()
    assert ids(retriever, labels=('door',)) == named([2])


class GatedIndexes:
    """Makes embedded indexes; from the second on, they take memories in once the gate opens."""

    def __init__(self) -> None:
        self.gate, self.is_waiting = threading.Event(), threading.Event()
        self._made = 0

    def __call__(self, spec: JournalSpec) -> MemoryIndex:
        index = embedded_index(spec)
        self._made += 1
        if self._made > 1:
            add: Callable[[IndexRows], None] = index.add

            def gated(rows: IndexRows) -> None:
                self.is_waiting.set()
                assert self.gate.wait(20.0)
                add(rows)
            index.add = gated  # type: ignore[method-assign]
        return index


def renewed(journal: Journal, path: Path) -> None:
    journal.renew_generation()


def replaced(journal: Journal, path: Path) -> None:
    journal.close()
    other = path.with_name('other.db')
    with Journal.open_writer(other, SPEC) as new:
        new.append([memory(n) for n in range(4)])
    other.replace(path)


@pytest.mark.parametrize(('change', 'after'), [(renewed, range(8)), (replaced, range(4))])
def test_while_an_index_is_built_anew_the_old_one_answers(
        journal: Journal, path: Path, change: Callable[[Journal, Path], None],
        after: range) -> None:
    indexes = GatedIndexes()
    journal.append([memory(n) for n in range(8)])
    with contextlib.closing(Retriever(path, indexes)) as retriever:
        retriever.refresh()
        change(journal, path)
        with ThreadPoolExecutor() as pool:
            refreshing = pool.submit(retriever.refresh)
            assert indexes.is_waiting.wait(20.0)
            assert ids(retriever) == named(range(8))
            assert retriever.is_whole
            assert retriever.loading == (0, len(after))
            indexes.gate.set()
            assert refreshing.result(20.0) == len(after)
        assert ids(retriever) == named(after)
        assert retriever.loading is None


def test_a_file_of_another_model_takes_the_old_ones_place_at_once(
        journal: Journal, path: Path) -> None:
    indexes = GatedIndexes()
    journal.append([memory(1)])
    with contextlib.closing(Retriever(path, indexes)) as retriever:
        retriever.refresh()
        journal.close()
        with Journal.open_writer(path.with_name('other.db'), SPEC) as new:
            new.append([memory(2, 'model-b')])
        path.with_name('other.db').replace(path)
        with ThreadPoolExecutor() as pool:
            refreshing = pool.submit(retriever.refresh)
            assert indexes.is_waiting.wait(20.0)
            assert ids(retriever, model_id='model-b') == []
            assert not retriever.is_whole
            indexes.gate.set()
            refreshing.result(20.0)
        assert ids(retriever, model_id='model-b') == ['id-2']


def test_an_index_that_cannot_be_built_anew_now_leaves_the_old_one_answering(
        journal: Journal, path: Path) -> None:
    is_down = False

    def make_index(spec: JournalSpec) -> MemoryIndex:
        if is_down:
            raise IndexUnavailableError('no server')
        return embedded_index(spec)
    journal.append([memory(1)])
    with contextlib.closing(Retriever(path, make_index)) as retriever:
        retriever.refresh()
        journal.renew_generation()
        journal.append([memory(2)])
        is_down = True
        for _ in range(2):
            with pytest.raises(IndexUnavailableError):
                retriever.refresh()
            assert ids(retriever) == ['id-1']
        is_down = False
        assert retriever.refresh() == 2
        assert ids(retriever) == ['id-1', 'id-2']


def test_a_deleted_file_is_forgotten_at_once(
        journal: Journal, path: Path, retriever: Retriever) -> None:
    journal.append([memory(1)])
    retriever.refresh()
    path.unlink()
    retriever.refresh()
    assert ids(retriever) == []
    assert retriever.stats().count == 0


def test_a_change_log_that_was_pruned_meanwhile_costs_a_new_index_and_no_answer(
        journal: Journal, retriever: Retriever) -> None:
    seqs = journal.append([memory(n) for n in range(6)])
    retriever.refresh()
    journal.forget(seqs[:2])
    with journal.transaction() as connection:
        connection.execute('DELETE FROM changes WHERE number <= 1')
        connection.execute("UPDATE meta SET value = 1 WHERE key = 'changes_pruned_to'")
    assert retriever.refresh() == 4
    assert ids(retriever) == named(range(2, 6))


def spoil(journal: Journal, seq: int) -> None:
    """Flip a bit of a memory, as a bad disk does."""
    with journal.transaction() as connection:
        [record] = connection.execute('SELECT record FROM memories WHERE seq = ?',
                                      (seq,)).fetchone()
        spoilt = record[:20] + bytes([record[20] ^ 1]) + record[21:]
        connection.execute('UPDATE memories SET record = ? WHERE seq = ?', (spoilt, seq))


def test_memories_that_cannot_be_read_are_told_once_and_all_others_are_found(
        journal: Journal, retriever: Retriever) -> None:
    seqs = journal.append([memory(n) for n in range(2000)])
    for n in (0, 7, 1999):
        spoil(journal, seqs[n])
    with pytest.raises(JournalDamagedError, match='3 memories cannot be read, the first is 1;'):
        retriever.refresh()
    assert retriever.refresh() == 0
    assert retriever.damage == '3 memories cannot be read, the first is 1'
    assert retriever.index_count == 1997
    assert ids(retriever, k=7) == named([1, 2, 3, 4, 5, 6, 8])
    journal.append([memory(2000)])
    assert retriever.refresh() == 1


def test_a_memory_that_goes_bad_later_is_left_out_and_told(
        journal: Journal, retriever: Retriever) -> None:
    seqs = journal.append([memory(n) for n in range(8)])
    retriever.refresh()
    spoil(journal, seqs[3])
    assert ids(retriever) == named([0, 1, 2, 4, 5, 6, 7])
    with pytest.raises(JournalDamagedError, match='1 memory cannot be read, the first is 4'):
        retriever.refresh()
    assert retriever.refresh() == 0
    with pytest.raises(JournalDamagedError, match='memory 4'):
        retriever.get_memory('id-3')


def test_memories_that_vanished_without_a_trace_are_missed(
        journal: Journal, retriever: Retriever) -> None:
    seqs = journal.append([memory(n) for n in range(8)])
    with journal.transaction() as connection:
        connection.execute('DELETE FROM memories WHERE seq IN (?, ?)', seqs[2:4])
    with pytest.raises(JournalDamagedError, match='2 memories missing'):
        retriever.refresh()
    assert retriever.refresh() == 0
    assert ids(retriever) == named([0, 1, 4, 5, 6, 7])
    journal.append([memory(8)])
    assert retriever.refresh() == 1


def test_damage_is_told_again_after_a_while(
        journal: Journal, retriever: Retriever, monkeypatch: pytest.MonkeyPatch) -> None:
    [seq] = journal.append([memory(1)])
    spoil(journal, seq)
    monkeypatch.setattr('spatial_rag_core.memory.file.damage.TELL_AGAIN_SEC', 0.0)
    for _ in range(3):
        with pytest.raises(JournalDamagedError):
            retriever.refresh()


def test_a_damaged_file_is_told_and_tried_again(path: Path, retriever: Retriever) -> None:
    path.write_bytes(b'garbage' * 1000)
    for _ in range(2):
        with pytest.raises(JournalError, match='damaged'):
            retriever.refresh()
        assert ids(retriever) == []
    path.unlink()
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(1)])
        assert retriever.refresh() == 1


def test_a_closed_retriever_begins_anew(journal: Journal, retriever: Retriever) -> None:
    journal.append([memory(1)])
    assert retriever.refresh() == 1
    retriever.close()
    retriever.close()
    assert retriever.index_count == 0
    assert retriever.refresh() == 1


def test_closing_ends_a_refresh_within_one_batch(journal: Journal, path: Path) -> None:
    journal.append([memory(n) for n in range(25_000)])
    indexes = GatedIndexes()
    indexes(SPEC)  # so that the next one is gated
    retriever = Retriever(path, indexes)
    with ThreadPoolExecutor() as pool:
        refreshing = pool.submit(retriever.refresh)
        assert indexes.is_waiting.wait(20.0)
        closing = pool.submit(retriever.close, 20.0)
        while not retriever._is_ending.is_set():
            time.sleep(0.001)
        indexes.gate.set()
        assert refreshing.result(20.0) == 10_000
        closing.result(20.0)
    assert retriever.index_count == 0


def test_a_refresh_that_hangs_holds_up_no_end(journal: Journal, path: Path) -> None:
    journal.append([memory(1)])
    indexes = GatedIndexes()
    indexes(SPEC)
    retriever = Retriever(path, indexes)
    with ThreadPoolExecutor() as pool:
        refreshing = pool.submit(retriever.refresh)
        assert indexes.is_waiting.wait(20.0)
        retriever.close(0.1)
        assert not refreshing.done()
        indexes.gate.set()
        refreshing.result(20.0)
    assert retriever.spec is None, 'it closed the file itself when it came back'
    assert retriever.refresh() == 1, 'and who begins again takes in what there is'
    retriever.close()


def test_a_long_memory_can_be_asked_while_it_is_read(journal: Journal, path: Path) -> None:
    journal.append([memory(n) for n in range(12_000)])
    indexes = GatedIndexes()
    indexes(SPEC)
    with contextlib.closing(Retriever(path, indexes)) as retriever, ThreadPoolExecutor() as pool:
        refreshing = pool.submit(retriever.refresh)
        assert indexes.is_waiting.wait(20.0)
        assert retriever.loading == (0, 12_000)
        assert not retriever.is_whole
        assert ids(retriever) == []
        indexes.gate.set()
        assert refreshing.result(20.0) == 12_000
        assert retriever.is_whole
        assert retriever.index_last_seq == journal.last_seq


def test_several_threads_ask_while_memories_come_and_go(path: Path, retriever: Retriever) -> None:
    is_over = threading.Event()

    def ask(z: int) -> int:
        count = 0
        while not is_over.is_set():
            hits = retriever.query(MemoryQuery(k=3, vector=as_latent([z, 0, 0])), True)
            for hit in hits:
                n = int(hit.memory.vector[0])
                assert (hit.memory.id, hit.memory.position.x) == (f'id-{n}', n)
                assert hit.distance == abs(n - z)
            count += bool(hits)
        return count

    with Journal.open_writer(path, SPEC) as journal, ThreadPoolExecutor() as pool:
        asking = [pool.submit(ask, z) for z in (0, 50, 120, 400)]
        try:
            for n in range(0, 600, 3):
                seqs = journal.append([memory(n), memory(n + 1), memory(n + 2)])
                retriever.refresh()
                journal.forget(seqs[:1])
        finally:
            is_over.set()
        assert all(found.result(20.0) > 0 for found in asking)
    retriever.refresh()
    assert retriever.index_count == 400


def test_an_answer_outlives_the_index_that_it_was_asked_of(
        journal: Journal, path: Path, retriever: Retriever) -> None:
    journal.append([memory(n) for n in range(4)])
    retriever.refresh()
    with retriever._answering() as answering:
        assert answering is not None
        projection, reader = answering
        replaced(journal, path)
        retriever.refresh()
        assert retriever.index_count == 4
        assert reader.count == 4, 'it is still open'
        assert len(projection.index.search(MemoryQuery(vector=ORIGIN))) == 4
    with pytest.raises((JournalError, sqlite3.Error)):
        _ = reader.count


def test_a_hit_names_the_number_of_its_memory(retriever: Retriever, journal: Journal) -> None:
    journal.append([memory(n) for n in range(5)])
    retriever.refresh()
    for hit in retriever.query(MemoryQuery(vector=ORIGIN, model_id='model-a')):
        found = retriever.get_by_seq(hit.seq)
        assert found is not None
        assert found.id == hit.memory.id
    assert retriever.get_by_seq(99) is None


def test_the_newest_memory_is_the_last_that_is_left(
        retriever: Retriever, journal: Journal) -> None:
    assert retriever.newest() is None
    journal.append([memory(n) for n in range(3)])
    retriever.refresh()
    forget(journal, MemorySelection(ids=('id-2',)))
    newest = retriever.newest()
    assert newest is not None
    assert (newest[0], newest[1].id) == (2, 'id-1')
    forget(journal, MemorySelection(everything=True))
    assert retriever.newest() is None


def test_the_cells_count_what_is_remembered_and_not_forgotten(
        retriever: Retriever, journal: Journal) -> None:
    assert len(retriever.cells().cells) == 0
    journal.append([memory(n) for n in range(50)])
    retriever.refresh()
    forget(journal, MemorySelection(ids=('id-0',)))
    retriever.refresh()
    cells = retriever.cells()
    expected: dict[str, list[float]] = {}
    for n in range(1, 50):
        expected.setdefault(memory(n).h3_cell, []).append(memory(n).timestamp)
    assert {f'{cell:x}': (count, oldest, newest) for cell, count, oldest, newest in zip(
        cells.cells.tolist(), cells.counts.tolist(), cells.oldest.tolist(),
        cells.newest.tolist(), strict=True)} == {
            cell: (len(times), min(times), max(times)) for cell, times in expected.items()}


def test_coarser_cells_hold_the_same_memories(retriever: Retriever, journal: Journal) -> None:
    journal.append([memory(n) for n in range(50)])
    retriever.refresh()
    cells = retriever.cells()
    coarse = cells.coarsened(2)
    assert len(coarse.cells) <= 2 < len(cells.cells)
    assert coarse.counts.sum() == 50
    assert (coarse.oldest.min(), coarse.newest.max()) == (1000.0, 1049.0)
    assert coarse.resolution is not None
    assert cells.resolution == SPEC.h3_resolution > coarse.resolution
    assert cells.coarsened(1000) is cells
