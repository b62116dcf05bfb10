from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from spatial_rag_core.errors import ConfigurationError, JournalError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.labelling import relabel_selected
from spatial_rag_core.memory.retriever import Retriever
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import (
    as_latent,
    MAX_LABELS,
    Memory,
    MemoryQuery,
    MemorySelection,
    Pose,
    Position,
)

import pytest

KITCHEN = MemorySelection(center=Position(100.0, 0.0), radius_m=50.0)
ORIGIN = Pose(Position(0.0, 0.0))


def memory(number: int) -> Memory:
    return Memory(f'id-{number}', as_latent([number, 1]), Pose(Position(number, 0)),
                  '8d754e64992d6ff', 1e9 + number, 'model')


@pytest.fixture
def committer(tmp_path: Path) -> Iterator[Committer]:
    with closing(Committer(lambda: Journal.open_writer(tmp_path / 'memory.db',
                                                       JournalSpec(z_dim=2)))) as one:
        yield one


def labelled(path: Path, *labels: str) -> set[int]:
    with closing(Retriever(path)) as retriever:
        retriever.refresh()
        return {round(hit.memory.vector[0]) for hit in retriever.query(MemoryQuery(
            1000, pose=ORIGIN, rank_by='pose', labels=labels))}


def test_a_region_is_labelled_and_found_by_its_word(committer: Committer) -> None:
    committer.submit([memory(number) for number in range(500)])
    assert relabel_selected(committer, KITCHEN, add=('kitchen', 'wet')) == 101
    assert labelled(committer.path, 'kitchen') == set(range(50, 151))
    assert relabel_selected(committer, KITCHEN, add=('kitchen',)) == 0, 'it has the word already'
    one = MemorySelection(ids=('id-100',), labels=('wet',))
    assert relabel_selected(committer, one, remove=('wet',)) == 1
    assert labelled(committer.path, 'kitchen', 'wet') == set(range(50, 151)) - {100}


def test_a_retriever_that_is_at_work_follows(committer: Committer) -> None:
    committer.submit([memory(number) for number in range(10)])
    assert committer.flush(20.0)
    with closing(Retriever(committer.path)) as retriever:
        retriever.refresh()
        relabel_selected(committer, MemorySelection(ids=('id-3',)), add=('door',))
        retriever.refresh()
        [hit] = retriever.query(MemoryQuery(5, pose=ORIGIN, rank_by='pose', labels=('door',)))
    assert hit.memory.labels == ('door',)


def test_a_request_without_a_word_is_refused(committer: Committer) -> None:
    with pytest.raises(ConfigurationError, match='name words to add or to remove'):
        relabel_selected(committer, KITCHEN)
    for words in (('',), ('x' * 256,), tuple(map(str, range(101)))):
        with pytest.raises(ConfigurationError):
            relabel_selected(committer, KITCHEN, add=words)


def test_a_memory_carries_no_more_labels_than_one_may_ask_for(committer: Committer) -> None:
    committer.submit([memory(100), memory(120), memory(140)])
    first, second = (tuple(f'{letter}{n}' for n in range(MAX_LABELS // 2)) for letter in 'ab')
    one = MemorySelection(ids=('id-120',))
    assert relabel_selected(committer, KITCHEN, add=first) == 3
    assert relabel_selected(committer, one, add=second) == 1
    with pytest.raises(ConfigurationError, match='carries 64 labels would carry 65, and 64 are'):
        relabel_selected(committer, KITCHEN, add=('one more',))
    assert labelled(committer.path, 'one more') == set(), 'not even those that have room'
    assert relabel_selected(committer, one, add=('one more',), remove=('b0',)) == 1
    assert labelled(committer.path, 'one more') == {120}


def test_more_labels_than_that_in_an_older_file_can_be_taken_away(committer: Committer) -> None:
    many = tuple(f'label-{n}' for n in range(240))
    committer.submit([replace(memory(100), labels=many)])
    assert relabel_selected(committer, KITCHEN, remove=many[:64]) == 1
    with pytest.raises(ConfigurationError, match='carries 176 labels would carry 177'):
        relabel_selected(committer, KITCHEN, add=('door',))


def test_a_writer_that_is_closed_says_so(committer: Committer) -> None:
    committer.submit([memory(100)])
    assert committer.flush(20.0)
    committer.close()
    with pytest.raises(JournalError, match='is closed'):
        relabel_selected(committer, KITCHEN, add=('kitchen',))
