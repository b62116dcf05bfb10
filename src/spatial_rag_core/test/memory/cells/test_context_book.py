from __future__ import annotations

from spatial_rag_core.memory.cells.context_book import ContextBook, MAX_ANSWERS
from spatial_rag_core.memory.index import Context
from spatial_rag_core.records import MemoryQuery

import numpy as np


def query(**fields: object) -> MemoryQuery:
    return MemoryQuery(vector=np.zeros(2, np.float32), **fields)  # type: ignore[arg-type]


def test_a_context_keeps_its_number_whatever_its_key_is() -> None:
    book = ContextBook()
    one, two = Context('a'), Context('b', labels=('x',))
    first = book.numbers_of(np.int32([9, 9, 3]), {9: one, 3: two})
    second = book.numbers_of(np.int32([5, 3, 7]), {5: two, 3: one, 7: Context('c')})
    assert first.tolist() == [first[0], first[0], first[2]]
    assert second.tolist()[:2] == [first[2], first[0]]
    assert len({*first.tolist(), *second.tolist()}) == 3


def test_what_is_admitted_follows_the_contexts_that_come_later() -> None:
    book = ContextBook()
    number = book.numbers_of(np.int32([0]), {0: Context('a', 'r')})
    admitted = book.admitted(query(session='a', robot='r'))
    assert admitted is not None
    assert admitted[number].all()
    later = book.numbers_of(np.int32([1, 2]), {1: Context('b'), 2: Context('a', 'r', 'm', ('x',))})
    assert not admitted.take(later, mode='clip').any()
    renewed = book.admitted(query(session='a', robot='r'))
    assert renewed is not None
    assert renewed[later].tolist() == [False, True]


def test_a_query_without_words_admits_every_context() -> None:
    assert ContextBook().admitted(query()) is None


def test_many_different_questions_do_not_pile_up() -> None:
    book = ContextBook()
    book.numbers_of(np.int32([0]), {0: Context('7')})
    for number in range(1000):
        admitted = book.admitted(query(session=str(number)))
        assert admitted is not None
        assert admitted[0] == (number == 7)
    assert len(book._answers) <= MAX_ANSWERS
