from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spatial_rag_core.memory.forgetting.selection import matching_seqs
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Box, Memory, MemorySelection, Pose, Position

import numpy as np
import pytest

COUNT = 300


def memory(n: int) -> Memory:
    x, y, z = np.random.default_rng(n).uniform(-5, 5, 3)
    return Memory(
        f'id-{n}', as_latent([n]), Pose(Position(x, y, z)), '8d', 1000.0 + n, 'model',
        session=f's{n % 3}', robot=f'r{n % 2}', map_id=f'm{n % 5}',
        labels=('door', 'red')[:n % 3])


MEMORIES = {n + 1: memory(n) for n in range(COUNT)}


@pytest.fixture(scope='module')
def journal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journal]:
    path: Path = tmp_path_factory.mktemp('selection') / 'memory.db'
    with Journal.open_writer(path, JournalSpec(z_dim=1)) as journal:
        journal.append(list(MEMORIES.values()))
        yield journal


def is_meant(memory: Memory, wanted: MemorySelection) -> bool:
    """The definition, one memory at a time."""
    position = np.array(memory.position)
    return all((
        not wanted.ids or memory.id in wanted.ids,
        wanted.session in (None, memory.session), wanted.robot in (None, memory.robot),
        wanted.map_id in (None, memory.map_id), set(wanted.labels) <= set(memory.labels),
        wanted.after is None or memory.timestamp >= wanted.after,
        wanted.before is None or memory.timestamp <= wanted.before,
        wanted.radius_m is None
        or np.linalg.norm(position - np.array(wanted.center)) <= wanted.radius_m,
        wanted.box is None or bool(
            (position >= wanted.box.low).all() and (position <= wanted.box.high).all())))


@pytest.mark.parametrize('selection', [
    MemorySelection(everything=True),
    MemorySelection(session='s1'),
    MemorySelection(session=''),
    MemorySelection(robot='r1', map_id='m2'),
    MemorySelection(labels=('door',)),
    MemorySelection(labels=('red', 'door'), session='s2'),
    MemorySelection(labels=('window',)),
    MemorySelection(after=1010.0, before=1020.0),
    MemorySelection(before=1000.0),
    MemorySelection(after=5000.0),
    MemorySelection(center=Position(1, 1, 1), radius_m=3.0),
    MemorySelection(box=Box(Position(-1, -2, -3), Position(4, 3, 2))),
    MemorySelection(box=Box(Position(-1, -2, -3), Position(4, 3, 2)), robot='r0', after=1100.0),
    MemorySelection(ids=('id-7', 'id-3', 'id-7', 'never', 'id-299')),
    MemorySelection(ids=('id-7', 'id-3'), session='s1'),
    MemorySelection(ids=('never',)),
])
def test_exactly_those_that_satisfy_every_field_are_meant(
        journal: Journal, selection: MemorySelection) -> None:
    expected = [seq for seq, one in MEMORIES.items() if is_meant(one, selection)]
    seqs = matching_seqs(journal, selection)
    assert seqs.dtype == np.int64
    assert seqs.tolist() == expected


def test_random_selections_agree_with_the_definition(journal: Journal) -> None:
    chance = np.random.default_rng(1)
    sizes = set()
    for _ in range(100):
        low = chance.uniform(-5, 3, 3)
        selection = MemorySelection(
            session=chance.choice([None, 's0', 's1']), robot=chance.choice([None, 'r1']),
            after=chance.choice([None, 1100.0]), center=Position(*chance.uniform(-5, 5, 3)),
            radius_m=float(chance.uniform(0.5, 8)),
            box=Box(Position(*low), Position(*(low + chance.uniform(1, 8, 3)))))
        expected = [seq for seq, one in MEMORIES.items() if is_meant(one, selection)]
        assert matching_seqs(journal, selection).tolist() == expected
        sizes.add(len(expected))
    assert len(sizes) > 10
