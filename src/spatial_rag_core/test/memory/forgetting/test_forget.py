from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spatial_rag_core.memory.forgetting.forget import forget, release_space
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, MemorySelection, Pose, Position

import numpy as np
import pytest

COUNT = 2300
EVERYTHING = MemorySelection(everything=True)


def memory(n: int) -> Memory:
    return Memory(f'id-{n}', as_latent([n]), Pose(Position(n, 0)), '8d', float(n), 'model',
                  session=f's{n % 2}',
                  thumbnail=np.random.default_rng(n).bytes(2300) if n < COUNT else b'')


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal.open_writer(tmp_path / 'memory.db', JournalSpec(z_dim=1)) as journal:
        journal.append([memory(n) for n in range(COUNT)])
        yield journal


def test_what_is_meant_is_forgotten_and_all_else_stays(journal: Journal) -> None:
    progress = list[tuple[int, int]]()
    assert forget(journal, MemorySelection(session='s1'),
                  lambda done, total: progress.append((done, total))) == COUNT // 2
    assert progress == [(500, 1150), (1000, 1150), (1150, 1150)]
    assert journal.stats().count == COUNT - COUNT // 2
    found = journal.get(range(1, COUNT + 1))
    assert {int(again.timestamp) % 2 for again in found.values()} == {0}
    assert all(len(again.thumbnail) == 2300 for again in found.values())
    assert forget(journal, MemorySelection(session='s1')) == 0


def test_a_follower_hears_of_all_that_was_forgotten(journal: Journal) -> None:
    forget(journal, MemorySelection(before=1999.0))
    changes = journal.changes_after(0)
    assert changes is not None
    assert changes.forgotten.tolist() == list(range(1, 2001))


def test_the_space_goes_back_to_the_disk(journal: Journal, tmp_path: Path) -> None:
    forget(journal, MemorySelection(before=COUNT * 0.75))
    assert journal.count == COUNT // 4 - 1
    journal.close()
    size = (tmp_path / 'memory.db').stat().st_size
    with Journal.open_writer(tmp_path / 'whole.db', JournalSpec(z_dim=1)) as other:
        other.append([memory(n) for n in range(COUNT // 4 - 1)])
    assert size < 1.3 * (tmp_path / 'whole.db').stat().st_size


def test_space_is_released_in_steps_that_end(journal: Journal) -> None:
    journal.forget(range(1, COUNT + 1))
    assert release_space(journal, max_pages=0) == 0
    assert release_space(journal, max_pages=100) == 100 * journal.page_size
    assert release_space(journal) > 100 * journal.page_size
    assert release_space(journal) == 0
    journal.append([memory(COUNT)])
    assert journal.get([COUNT + 1])[COUNT + 1].id == f'id-{COUNT}'


def test_an_interrupted_run_can_be_taken_up_again(journal: Journal) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        forget(journal, EVERYTHING, interrupt)
    assert journal.stats().count == COUNT - 500
    assert forget(journal, EVERYTHING) == COUNT - 500
    assert journal.stats().count == 0
