from __future__ import annotations

from pathlib import Path
import sqlite3

from spatial_rag_core.errors import JournalError, JournalInUseError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep.compact import compact
from spatial_rag_core.memory.upkeep.integrity import check

import pytest

from ..memory_files import contents, generation, make, memory, read, SPEC
from ..tables.test_migrations import make_old_file


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / 'memory.db', 1000)


def test_what_was_forgotten_takes_no_space_any_more(path: Path) -> None:
    with Journal.open_existing_writer(path) as journal:
        journal.forget([seq for seq in range(1, 1001) if seq % 4])
    kept, before, steps = contents(read(path)), path.stat().st_size, list[tuple[int, int]]()
    report = compact(path, lambda *step: steps.append(step))
    assert (report.bytes_before, report.bytes_after) == (before, path.stat().st_size)
    assert report.bytes_after < 0.4 * report.bytes_before
    assert contents(read(path)) == kept
    assert check(path).is_clean
    assert steps[-1] == (3, 3)


def test_numbers_and_readers_go_on(path: Path) -> None:
    reader = Journal.open_reader(path)
    assert reader is not None
    with reader:
        with Journal.open_existing_writer(path) as journal:
            journal.forget([1, 1000])
        before = generation(path)
        compact(path)
        assert not reader.is_detached
        assert reader.generation == before
        assert reader.records_after(0)['seq'].tolist() == list(range(2, 1000))
    with Journal.open_existing_writer(path) as journal:
        assert journal.append([memory(5000)]) == [1001]


def test_a_file_of_version_1_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / 'old.db'
    make_old_file(path, 100)
    compact(path)
    assert [memory.id for memory in read(path)] == [f'id-{n}' for n in range(100)]
    connection = sqlite3.connect(path)
    assert connection.execute('PRAGMA auto_vacuum').fetchone() == (2,)  # gives space back
    connection.close()


def test_a_file_that_is_written_is_left_alone(path: Path) -> None:
    with (Journal.open_writer(path, SPEC, holder='memory_writer'),
          pytest.raises(JournalInUseError, match='being written by memory_writer')):
        compact(path)


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match='no memory file, or an empty one'):
        compact(tmp_path / 'none.db')
