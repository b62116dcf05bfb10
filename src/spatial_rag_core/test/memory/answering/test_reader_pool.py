from __future__ import annotations

from collections.abc import Iterator
import contextlib
from pathlib import Path

from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.answering.reader_pool import ReaderPool
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Journal.open_writer(tmp_path / 'memory.db', JournalSpec()):
        pass
    return tmp_path / 'memory.db'


@pytest.fixture
def pool(path: Path) -> Iterator[ReaderPool]:
    first = Journal.open_reader(path)
    assert first is not None
    with contextlib.closing(ReaderPool(first)) as pool:
        yield pool


def test_a_reader_is_lent_to_one_at_a_time_and_then_to_the_next(pool: ReaderPool) -> None:
    with pool.reader() as first, pool.reader() as second:
        assert first is not second
        assert (first.count, second.count) == (0, 0)
    with pool.reader() as third, pool.reader() as fourth:
        assert {third, fourth} == {first, second}


def test_of_a_file_that_was_replaced_no_more_readers_are_opened(
        pool: ReaderPool, path: Path) -> None:
    with Journal.open_writer(path.with_name('other.db'), JournalSpec()):
        pass
    path.with_name('other.db').replace(path)
    with pool.reader() as reader:
        assert reader.count == 0
        with pytest.raises(JournalUnavailableError, match='deleted or replaced'), pool.reader():
            pass
    path.unlink()
    with (pool.reader(), pytest.raises(JournalUnavailableError, match='deleted or replaced'),
          pool.reader()):
        pass


def test_a_closed_pool_has_closed_them_all(pool: ReaderPool) -> None:
    with pool.reader() as first, pool.reader() as second:
        pass
    pool.close()
    for reader in (first, second):
        with pytest.raises(JournalUnavailableError):
            _ = reader.count
