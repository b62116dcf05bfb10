from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
import math
from pathlib import Path
import sqlite3
import subprocess
import sys
import time

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.memory.forgetting.capacity import CapacityKeeper
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.commit_queue import CommitConfig
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=3, h3_resolution=14)
GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)
ENOUGH_SEC = 30.0


def wandering(count: int, seed: int = 0, first: int = 0) -> list[Memory]:
    random = np.random.default_rng(seed)
    steps = random.normal(0, 0.1, (count, 2)).cumsum(axis=0)
    return [Memory(f'{seed}-{number}', as_latent(random.normal(size=3)),
                   pose := Pose(Position(*step)), GRID.cell(pose.position),
                   1e9 + first + number, 'm', thumbnail=bytes(500))
            for number, step in enumerate(steps.tolist())]


class Rig:
    """A committer and its keeper."""

    def __init__(self, path: Path, capacity: int) -> None:
        self.path = path
        self.committer = Committer(lambda: Journal.open_writer(path, SPEC),
                                   CommitConfig(max_backlog=10 ** 6))
        self.keeper = CapacityKeeper(self.committer, capacity)

    def store(self, memories: list[Memory]) -> None:
        self.committer.submit(memories)
        assert self.committer.flush(ENOUGH_SEC)

    def until(self, condition: object) -> None:
        end = time.monotonic() + ENOUGH_SEC
        while not condition():  # type: ignore[operator]
            assert time.monotonic() < end, (self.committer.count, self.keeper.thinned)
            time.sleep(0.002)

    def close(self) -> None:
        self.keeper.close()
        self.committer.close()

    def cells(self) -> set[str]:
        reader = Journal.open_reader(self.path)
        assert reader is not None
        with reader:
            return {f'{cell:x}' for cell in reader.index_rows_after(0, 10 ** 6).cells.tolist()}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory.db'


@pytest.fixture
def rig(path: Path) -> Iterator[Rig]:
    with closing(Rig(path, 1000)) as rig:
        yield rig


def test_a_memory_stays_within_its_capacity_and_no_cell_vanishes(rig: Rig) -> None:
    memories = wandering(3000)
    for start in range(0, 3000, 5):
        rig.store(memories[start:start + 5])
    rig.until(lambda: rig.committer.count <= 995)  # where it would begin again
    assert rig.committer.count >= 980  # 1 % below, and what came since
    rig.until(lambda: rig.keeper.thinned == 3000 - rig.committer.count)
    assert rig.cells() == {memory.h3_cell for memory in memories}
    assert not rig.keeper.is_exhausted
    assert rig.keeper.take_error() is None


def test_storing_goes_on_while_it_thins(rig: Rig) -> None:
    rig.store(wandering(8000))
    durations = []
    for memory in wandering(2000, 1, 10_000):
        begin = time.monotonic()
        rig.store([memory])
        durations.append(time.monotonic() - begin)
        if rig.committer.count <= 1000:
            break
        time.sleep(0.005)
    assert rig.committer.count <= 1000
    assert rig.keeper.thinned >= 7000
    assert max(durations) < 1.0
    assert rig.committer.lost == 0


def test_what_is_labelled_or_new_is_kept(rig: Rig) -> None:
    z = as_latent([1, 2, 3])
    rig.store([Memory(f'{n}', z, Pose(Position(0, 0)), '8d754e64992d6ff', 1e9 + n, 'm',
                      labels=('dock',) * (n < 10)) for n in range(1200)])
    rig.until(lambda: rig.committer.count <= 1000)
    reader = Journal.open_reader(rig.path)
    assert reader is not None
    with reader:
        left = {int(m.id) for m in reader.get(
            reader.index_rows_after(0).seqs.tolist(), False).values()}
    assert left == {*range(10), *range(1200 - len(left) + 10, 1200)}


def test_where_each_place_has_but_one_memory_it_grows_beyond_and_says_so(path: Path) -> None:
    with closing(Rig(path, 10)) as rig:
        far_apart = [Memory(f'{n}', as_latent([0, 0, 0]), pose := Pose(Position(100 * n, 0)),
                            GRID.cell(pose.position), 1e9 + n, 'm') for n in range(20)]
        rig.store(far_apart[:15])
        rig.until(lambda: rig.keeper.is_exhausted)
        rig.store(far_apart[15:])
        assert rig.committer.count == 20
        assert rig.keeper.is_exhausted
        rig.keeper.set_capacity(30)
        assert not rig.keeper.is_exhausted
        assert (rig.keeper.thinned, rig.committer.lost) == (0, 0)


def test_it_is_unlimited_at_first_and_may_be_set_while_it_runs(path: Path) -> None:
    with closing(Rig(path, 0)) as rig:
        rig.store(wandering(500))
        assert (rig.committer.count, rig.keeper.thinned) == (500, 0)
        rig.keeper.set_capacity(200)
        rig.until(lambda: rig.committer.count == 198)
        rig.keeper.set_capacity(0)
        rig.store(wandering(300, 1, 1000))
        assert rig.committer.count == 498


@pytest.mark.parametrize(('capacity', 'expected'), [(1, 1), (2, 1), (3, 2), (100, 99)])
def test_also_a_tiny_capacity_holds(path: Path, capacity: int, expected: int) -> None:
    z = as_latent([1, 2, 3])
    with closing(Rig(path, capacity)) as rig:
        rig.store([Memory(f'{n}', z, Pose(Position(0, 0)), '8d754e64992d6ff', 1e9 + n, 'm')
                   for n in range(250)])
        rig.until(lambda: rig.committer.count <= expected)
        assert rig.committer.count == expected


def test_an_error_is_told_and_does_not_end_it(
        rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('spatial_rag_core.memory.forgetting.capacity._RETRY_SEC', 0.05)
    rig.store(wandering(1200)[:900])
    damage(rig.path)
    rig.keeper.set_capacity(100)
    errors: list[Exception] = []
    rig.until(lambda: any(errors.append(error) or True for error in [rig.keeper.take_error()]
                          if error is not None))
    assert 'is not what was written' in str(errors[0])
    assert 'spatial-rag memory check' in str(errors[0])
    assert rig.committer.count == 900
    rig.keeper.set_capacity(0)


def damage(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other, other:
        other.execute('UPDATE memories SET record = zeroblob(length(record)) WHERE seq = 500')


@pytest.mark.parametrize('is_forgetting', [False, True])
def test_closing_breaks_a_thinning_off(path: Path, is_forgetting: bool) -> None:
    rig = Rig(path, 0)
    rig.store(wandering(10_000))
    rig.keeper.set_capacity(10)
    if is_forgetting:
        rig.until(lambda: rig.keeper.thinned)
    begin = time.monotonic()
    rig.close()
    assert time.monotonic() - begin < 5.0
    assert rig.keeper.thinned < 9000


@pytest.mark.parametrize('capacity', [-1, 10 ** 9 + 1, math.inf])
def test_a_capacity_out_of_range_is_refused(rig: Rig, capacity: int) -> None:
    with pytest.raises(ConfigurationError, match=r'capacity must lie between 0 \(unlimited\) and'):
        rig.keeper.set_capacity(capacity)


def test_a_writer_without_a_capacity_is_spared_faiss() -> None:
    program = ('import sys, spatial_rag_core.memory.forgetting.capacity; '
               'print("faiss" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', program], check=True, timeout=60,
                          capture_output=True, text=True)
    assert done.stdout == 'False\n'
