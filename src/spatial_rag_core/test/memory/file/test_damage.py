"""Bytes that are not what was written are told, whatever they are; never a wrong answer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import sqlite3
from typing import Any

from spatial_rag_core.errors import JournalDamagedError, JournalError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=4)


def memory(n: int) -> Memory:
    return Memory(
        f'id-{n}', as_latent([n, 0.1, 2, 3]), Pose(Position(n, 2, 3)), '8d754e64992d6ff',
        1e9 + n, 'model', as_action([1, 2]), f'session-{n % 3}', 'r2', 'hall',
        ('door',) if n % 2 else (), b'jpeg' * 20 if n % 2 else b'')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / 'memory.db'
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(n) for n in range(12)])
        journal.forget([3, 4])
        journal.relabel([5], ['window'])
    return path


def spoil(path: Path, statement: str, *values: object) -> None:
    connection = sqlite3.connect(path)
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


def with_journal(path: Path, read: Callable[[Journal], Any]) -> Any:
    journal = Journal.open_reader(path)
    assert journal is not None
    with journal:
        return read(journal)


def read_through(journal: Journal) -> Any:
    """All that a file says, in values that can be compared."""
    with journal.snapshot():
        rows = journal.index_rows_after(0)
        journal.require_all(len(rows.seqs))
    found = journal.get(rows.seqs.tolist())
    seqs = journal.seqs_of([f'id-{n}' for n in range(13)])
    changes = journal.changes_after(0)
    return (
        [array.tobytes() for array in (rows.seqs, rows.cells, rows.vectors, rows.positions,
                                       rows.orientations, rows.timestamps)],
        [rows.context_table[number] for number in rows.contexts],
        [(seq, again.id, again.vector.tobytes(), again.action.tobytes(), again.pose,
          again.h3_cell, again.timestamp, again.session, again.robot, again.map_id,
          again.labels, again.thumbnail, again.model_id)
         for seq, again in sorted(found.items())],
        changes and (changes.last, changes.forgotten.tolist(), changes.relabelled.tolist()),
        sorted(seqs.items()), journal.spec, journal.stats().session_count)


@pytest.mark.parametrize('column', ['record', 'action'])
def test_each_flipped_byte_of_a_memory_is_told_by_its_number(path: Path, column: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    [blob] = connection.execute(f'SELECT {column} FROM memories WHERE seq = 6').fetchone()
    for at in range(len(blob)):
        flipped = bytes([*blob[:at], blob[at] ^ 1 << at % 8, *blob[at + 1:]])
        connection.execute(f'UPDATE memories SET {column} = ? WHERE seq = 6', (flipped,))
        with pytest.raises(JournalDamagedError, match=f'{path} is damaged: memory 6 is not what'):
            with_journal(path, lambda journal: journal.get([5, 6, 7]))
        if column == 'record':
            with pytest.raises(JournalDamagedError, match='memory 6 is not what was written'):
                with_journal(path, lambda journal: journal.index_rows_after(0))
    connection.close()


def test_damage_comes_with_a_remedy(path: Path) -> None:
    spoil(path, "UPDATE memories SET record = x'00' WHERE seq = 1")
    with pytest.raises(JournalDamagedError) as caught:
        with_journal(path, Journal.stats)
    assert f'`spatial-rag memory check {path}`' in str(caught.value)
    assert '`spatial-rag memory restore`' in str(caught.value)


@pytest.mark.parametrize(('statement', 'message'), [
    ("UPDATE memories SET record = x'00' WHERE seq = 6", 'memory 6 is not what was written'),
    ('UPDATE memories SET record = 5 WHERE seq = 6', 'memory 6'),
    ("UPDATE memories SET record = record || x'00' WHERE seq = 6", 'memory 6'),
    ('UPDATE memories SET record = (SELECT record FROM memories WHERE seq = 7) WHERE seq = 6',
     'memory 6'),
    ('UPDATE memories SET seq = 99 WHERE seq = 6', 'memory 99'),
    ("UPDATE memories SET id = 'id-99' WHERE seq = 6", 'memory 6'),
    ("UPDATE memories SET id = x'00' WHERE seq = 6", 'memory 6'),
    ("UPDATE memories SET action = x'0102' WHERE seq = 6", 'memory 6'),
    ("UPDATE memories SET action = 'none' WHERE seq = 6", 'memory 6'),
    ("UPDATE memories SET crc = 'here' WHERE seq = 6", 'memory 6'),
    ('UPDATE memories SET picture_crc = NULL WHERE seq = 6', 'memory 6'),
    ('UPDATE memories SET picture_crc = 1 << 62 WHERE seq = 6', 'memory 6'),
    ("UPDATE thumbnails SET jpeg = x'00' WHERE seq = 6", 'the picture of memory 6'),
    ("UPDATE thumbnails SET jpeg = 'text' WHERE seq = 6", 'the picture of memory 6'),
    ('DELETE FROM thumbnails WHERE seq = 6', 'the picture of memory 6'),
    ('UPDATE thumbnails SET seq = 5 WHERE seq = 6', 'the picture of memory 5'),
    ("UPDATE contexts SET labels = '[' WHERE id = 2", 'context 2 is not what was written'),
    ("UPDATE contexts SET session = 'evening' WHERE id = 2", 'context 2'),
    ("UPDATE contexts SET robot = x'00' WHERE id = 2", 'context 2'),
    ('DELETE FROM contexts WHERE id = 2', 'context 2 is gone'),
    ('DELETE FROM memories WHERE seq = 6', 'it should hold 10 memories, 9 were found'),
    ("UPDATE meta SET value = value + 1 WHERE key = 'forgotten_count'", 'should hold 9'),
    ("UPDATE meta SET value = 'none' WHERE key = 'forgotten_count'", 'lacks forgotten_count'),
    ("DELETE FROM meta WHERE key = 'forgotten_count'", 'lacks forgotten_count'),
    ("UPDATE sqlite_sequence SET seq = 40 WHERE name = 'memories'", 'should hold 38 memories'),
    ("UPDATE sqlite_sequence SET seq = 'x' WHERE name = 'memories'", "last number .* is 'x'"),
    ("DELETE FROM sqlite_sequence WHERE name = 'memories'", 'last number .* is gone'),
    ('UPDATE changes SET seq = 7 WHERE number = 1', 'entry 1 of its change log is not what'),
    ('UPDATE changes SET kind = 2 WHERE number = 1', 'entry 1'),
    ('UPDATE changes SET kind = 9 WHERE number = 1', 'entry 1'),
    ("UPDATE changes SET crc = 'x' WHERE number = 1", 'entry 1'),
    ("UPDATE changes SET seq = 'x' WHERE number = 1", 'entry 1'),
    ('DELETE FROM changes WHERE number = 2', 'entries of its change log after 0 are missing'),
    ("UPDATE meta SET value = 'x' WHERE key = 'changes_pruned_to'", "was pruned to 'x'"),
    ("UPDATE meta SET value = 'model-b' WHERE key = 'model_id'", 'its table meta says'),
    ("UPDATE meta SET value = 5 WHERE key = 'z_dim'", 'its table meta says'),
    ("DELETE FROM meta WHERE key = 'crc'", 'its table meta says'),
])
def test_whatever_is_changed_behind_our_back_is_told(
        path: Path, statement: str, message: str) -> None:
    with_journal(path, read_through)
    spoil(path, statement)
    with pytest.raises(JournalDamagedError, match=f'{path} is damaged: .*{message}'):
        with_journal(path, read_through)


def test_a_damaged_picture_does_not_keep_the_memory_from_being_read(path: Path) -> None:
    spoil(path, "UPDATE thumbnails SET jpeg = x'00' WHERE seq = 6")
    found = with_journal(path, lambda journal: journal.get([6], with_thumbnails=False))
    assert found[6].id == 'id-5'


def test_an_id_that_leads_to_another_memory_is_told(path: Path) -> None:
    spoil(path, "UPDATE memories SET id = 'id-99' WHERE seq = 6")
    with pytest.raises(JournalDamagedError, match='memory 6'):
        with_journal(path, lambda journal: journal.seqs_of(['id-99']))


def test_an_index_that_has_lost_an_id_is_told(path: Path) -> None:
    whole, messages, at = path.read_bytes(), list[str](), -1
    while (at := whole.find(b'id-7', at + 1)) >= 0:
        path.write_bytes(whole[:at] + b'n' + whole[at + 1:])
        with pytest.raises(JournalDamagedError) as caught:
            with_journal(path, read_through)
        messages.append(str(caught.value))
    assert len(messages) == 2  # in the table, and in the index
    assert sum('its index of ids has lost memory 8' in message for message in messages) == 1


def test_a_memory_that_vanished_is_no_forgotten_one(path: Path) -> None:
    spoil(path, 'DELETE FROM memories WHERE seq = 6')
    for ask in (Journal.get, Journal.records, Journal.index_rows):
        with pytest.raises(JournalDamagedError, match='memory 6 is gone, and nobody forgot it'):
            with_journal(path, lambda journal, ask=ask: ask(journal, [3, 4, 5, 6, 7, 99]))
        assert with_journal(path, lambda journal, ask=ask: len(ask(journal, [3, 4]).seqs)
                            if ask is Journal.index_rows else len(ask(journal, [3, 4]))) == 0


def test_a_damaged_memory_can_be_forgotten(path: Path) -> None:
    spoil(path, "UPDATE memories SET record = x'00' WHERE seq = 6")
    with Journal.open_existing_writer(path) as journal:
        assert journal.forget([6]) == 1
        assert journal.stats().count == 9


def test_a_file_that_has_lost_count_takes_no_memories_over_others(path: Path) -> None:
    spoil(path, "UPDATE sqlite_sequence SET seq = 2 WHERE name = 'memories'")
    with Journal.open_existing_writer(path) as journal, pytest.raises(
            JournalDamagedError, match='its last number is 2, but it holds 12'):
        journal.append([memory(50)])


def test_a_truncated_file_never_passes_for_a_smaller_memory(path: Path) -> None:
    whole = path.read_bytes()
    expected = with_journal(path, read_through)
    refused = 0
    for size in (*range(1, 200, 9), *range(200, len(whole), len(whole) // 60)):
        path.write_bytes(whole[:size])
        try:
            assert with_journal(path, read_through) == expected  # cut behind the last content
        except JournalError:
            refused += 1
    assert refused >= 70


@pytest.mark.parametrize('flips', [1, 30])
def test_whatever_bytes_are_damaged_the_answer_is_right_or_an_error_of_ours(
        path: Path, flips: int) -> None:
    whole = path.read_bytes()
    expected = with_journal(path, read_through)
    used = np.flatnonzero(np.frombuffer(whole, np.uint8))  # pages are mostly empty
    chance = np.random.default_rng(0)
    outcomes = {'right': 0, 'refused': 0}
    for _ in range(400):
        damaged = bytearray(whole)
        for at in chance.choice(used, flips):
            damaged[at] ^= 1 << int(chance.integers(8))
        path.write_bytes(damaged)
        try:
            assert with_journal(path, read_through) == expected
            outcomes['right'] += 1
        except JournalError:
            outcomes['refused'] += 1
    assert outcomes['refused'] > 200
    assert flips > 1 or outcomes['right'] > 5
