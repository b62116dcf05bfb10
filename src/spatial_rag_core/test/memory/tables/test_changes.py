from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.changes import log_changes, RELABELLED
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose, Position

import pytest

SPEC = JournalSpec(z_dim=2)


def memory(number: int, labels: tuple[str, ...] = ()) -> Memory:
    return Memory(f'id-{number}', as_latent([number, 1]), Pose(Position(number, 0)), '8d',
                  float(number), 'model', labels=labels, thumbnail=b'jpeg')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory.db'


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(number) for number in range(5)])
        yield journal


@pytest.fixture
def reader(journal: Journal, path: Path) -> Iterator[Journal]:
    reader = Journal.open_reader(path)
    assert reader is not None
    with reader:
        yield reader


def changes(reader: Journal, number: int, limit: int = 100) -> tuple[int, list[int], list[int]]:
    found = reader.changes_after(number, limit)
    assert found is not None
    return found.last, found.forgotten.tolist(), found.relabelled.tolist()


def test_what_was_forgotten_is_gone_and_counted(journal: Journal, reader: Journal) -> None:
    assert (reader.count, reader.last_seq) == (5, 5)
    assert journal.forget([2, 5, 99]) == 2
    assert journal.forget([2]) == 0
    assert (reader.count, reader.last_seq) == (3, 5)
    assert set(reader.get([1, 2, 3, 4, 5])) == {1, 3, 4}
    assert reader.index_rows([1, 2, 3]).seqs.tolist() == [1, 3]
    assert reader.seqs_of(['id-0', 'id-1', 'id-7']) == {'id-0': 1}
    assert reader.stats().count == 3
    assert journal.append([memory(9)]) == [6]


def test_a_follower_hears_of_each_change_once(journal: Journal, reader: Journal) -> None:
    assert changes(reader, 0) == (0, [], [])
    journal.forget([4, 1])
    journal.relabel([2, 3], add=['door'])
    assert reader.last_change == 4
    assert changes(reader, 0) == (4, [1, 4], [2, 3])
    assert changes(reader, 0, limit=3) == (3, [1, 4], [2])
    assert changes(reader, 3) == (4, [], [3])
    assert changes(reader, 4) == (4, [], [])


def test_labels_are_added_and_taken_away(journal: Journal, reader: Journal) -> None:
    journal.append([memory(5, ('old', 'door'))])
    assert journal.relabel([1, 6, 77], add=['door', 'kitchen']) == 2
    assert reader.get([1])[1].labels == ('door', 'kitchen')
    assert reader.get([6])[6].labels == ('old', 'door', 'kitchen')
    assert journal.relabel([1, 6], remove=['door']) == 2
    assert journal.relabel([1, 6], remove=['door']) == 0
    rows = reader.index_rows([6])
    assert rows.context_table[rows.contexts[0]].labels == ('old', 'kitchen')
    assert reader.get([6])[6].thumbnail == b'jpeg'


def test_an_outer_transaction_that_fails_undoes_all_within(
        journal: Journal, reader: Journal) -> None:
    generation = reader.generation

    def work() -> None:
        with journal.transaction():
            journal.append([memory(7, ('new',))])
            journal.forget([1])
            journal.relabel([2], add=['door'])
            journal.renew_generation()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    for seen in (reader, journal):
        assert (seen.count, seen.last_seq, seen.last_change) == (5, 5, 0)
        assert seen.generation == generation
        assert seen.get([2])[2].labels == ()
    journal.append([memory(7, ('new',))])
    assert reader.get([6])[6].labels == ('new',)


def test_a_new_generation_is_another_number(journal: Journal, reader: Journal) -> None:
    seen = {reader.generation}
    for _ in range(10):
        journal.renew_generation()
        assert reader.generation not in seen
        seen.add(reader.generation)


def test_the_data_version_tells_that_another_has_committed(
        journal: Journal, reader: Journal) -> None:
    before = reader.data_version
    assert reader.data_version == before
    journal.append([memory(8)])
    assert reader.data_version != before


def test_appending_the_same_memories_again_gives_the_numbers_that_they_have(
        journal: Journal) -> None:
    assert journal.append([memory(9), memory(1), memory(10), memory(3)]) == [6, 2, 7, 4]
    assert journal.count == 7
    with pytest.raises(Exception, match='already holds a memory of this id, id-1, with another'):
        journal.append([memory(1, ('other',))])
    assert journal.count == 7


def test_who_lags_behind_what_the_log_keeps_has_to_start_again(
        journal: Journal, reader: Journal) -> None:
    for first in (1, 11, 21):
        with journal.transaction() as connection:
            log_changes(connection, journal.path, range(first, first + 10), RELABELLED, kept=15)
    assert reader.changes_after(0) is None
    assert reader.changes_after(14) is None
    assert changes(reader, 15) == (30, [], list(range(16, 31)))
    assert changes(reader, 30) == (30, [], [])
    assert reader.changes_after(31) is None  # of another life of the file


def test_what_the_log_no_longer_tells_is_not_taken_for_damage(
        journal: Journal, reader: Journal) -> None:
    journal.forget([2])
    with journal.transaction() as connection:
        log_changes(connection, journal.path, [1], RELABELLED, kept=1)
    assert set(reader.get([1, 2, 3])) == {1, 3}


def test_a_transaction_within_another_can_fail_alone(journal: Journal, reader: Journal) -> None:
    with journal.transaction():
        journal.append([memory(7, ('new',))])
        with pytest.raises(JournalError, match='already holds'):
            journal.append([memory(8, ('other',)), memory(9), memory(9)])
        journal.append([memory(10, ('other',))])
    assert reader.count == 7
    assert reader.get([6, 7])[7].labels == ('other',)
    assert set(reader.seqs_of(['id-7', 'id-8', 'id-9', 'id-10'])) == {'id-7', 'id-10'}


def test_many_contexts_are_no_burden(journal: Journal, reader: Journal) -> None:
    journal.append([memory(100 + n, (f'label-{n}',)) for n in range(3000)])
    rows = reader.index_rows_after(5)
    assert [rows.context_table[number].labels for number in rows.contexts.tolist()] == [
        (f'label-{n}',) for n in range(3000)]
    assert journal.relabel(range(1, 4000), add=['all']) == 3005
    assert reader.get([3000])[3000].labels == ('label-2994', 'all')
