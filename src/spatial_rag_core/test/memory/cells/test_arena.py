from __future__ import annotations

import dataclasses

from spatial_rag_core.memory.cells.arena import Arena, PAGE_ROWS, Rows
from spatial_rag_core.memory.index import IndexRows

import numpy as np

from ..index_contract import part, scattered_rows, Z_DIM


def filled(memories: IndexRows, each: int = 10_000) -> tuple[Arena, Rows]:
    """Write memories in pages one after another; returns the arena and their rows."""
    arena = Arena(Z_DIM)
    rows = []
    for start in range(0, len(memories.seqs), each):
        some = part(memories, slice(start, start + each))
        first = arena.take_pages(-(-len(some.seqs) // PAGE_ROWS)) * PAGE_ROWS
        rows.append(np.arange(first, first + len(some.seqs)))
        arena.write(rows[-1], some, some.contexts)
    return arena, np.concatenate(rows)


def require_held(arena: Arena, rows: Rows, memories: IndexRows) -> None:
    columns = arena.columns
    assert (columns.seqs[rows] == memories.seqs).all()
    assert (columns.vectors[rows] == memories.vectors).all()
    assert (np.stack(columns.places_of(rows), axis=1) == memories.positions).all()
    assert (columns.orientations[rows] == memories.orientations).all()
    assert (columns.timestamps[rows] == memories.timestamps).all()
    assert (columns.contexts[rows] == memories.contexts).all()


def test_what_was_written_stays_while_the_arena_grows() -> None:
    memories = scattered_rows(3000)
    for each in (1, 7, 3000):
        arena, rows = filled(memories, each)
        require_held(arena, rows, memories)
        assert arena.count == 3000


def test_rows_without_a_memory_are_nowhere_and_have_no_number() -> None:
    arena, rows = filled(scattered_rows(13))
    empty = np.setdiff1d(np.arange(arena.size), rows)
    assert len(empty) == 3
    assert (arena.columns.seqs[empty] == 0).all()
    assert np.isinf(arena.columns.places_of(empty)).all()
    arena.erase(rows[4:6])
    assert (arena.columns.seqs[rows[4:6]] == 0).all()
    assert np.isinf(arena.columns.places_of(rows[4:6])).all()
    assert arena.count == 11


def test_memories_are_found_by_number_unless_they_were_erased() -> None:
    memories = scattered_rows(200)
    arena, rows = filled(memories)
    arena.erase(rows[50:60])
    asked = np.concatenate([memories.seqs[::-1], [0, -3, memories.seqs[-1] + 1]])
    found, held = arena.find(asked)
    assert held.tolist() == [*(not 50 <= i < 60 for i in range(199, -1, -1)), *3 * [False]]
    assert (found[held] == np.delete(rows, np.s_[50:60])[::-1]).all()
    assert (arena.live_rows() == np.delete(rows, np.s_[50:60])).all()


def test_an_empty_arena_holds_nothing() -> None:
    arena = Arena(Z_DIM)
    assert not arena.find(np.array([1, 2]))[1].any()
    assert (len(arena.live_rows()), arena.count, arena.page_count) == (0, 0, 0)


def test_who_reads_beside_a_writer_keeps_what_was_there() -> None:
    memories = scattered_rows(3000)
    arena, rows = filled(part(memories, slice(0, 100)))
    columns, (seqs, row_of) = arena.columns, arena.order
    later = dataclasses.replace(memories, seqs=memories.seqs + memories.seqs[99])
    arena.write(np.arange(arena.take_pages(375) * PAGE_ROWS, arena.size), later, later.contexts)
    assert len(arena.columns.seqs) > len(columns.seqs)  # it has moved on to larger columns
    assert (columns.vectors[rows] == memories.vectors[:100]).all()
    assert (seqs == memories.seqs[:100]).all()
    assert (row_of == rows).all()
