from __future__ import annotations

import json
from pathlib import Path
import signal
import sqlite3
import subprocess
import sys

from spatial_rag_core.errors import (
    JournalDamagedError,
    JournalMismatchError,
    SchemaVersionError,
)
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables import migrations
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position, Quaternion

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=3, h3_resolution=12, datum_latitude_deg=48.0)
VERSION_1 = Path(__file__).with_name('version_1.sql').read_text()


def memory(n: int) -> Memory:
    return Memory(
        f'id-{n}', as_latent([n, 0.1, -1e-30]),
        Pose(Position(n / 3, -n, 0.5), Quaternion(0.0, 0.0, 0.6, 0.8)), f'8d754e64992d{n % 7}ff',
        1.76e9 + n / 20, 'model-a', as_action([n, 1] if n % 2 else []), f'session-{n % 3}',
        'r2', 'kitchen', ('door', 'Tür "3"')[:n % 3], bytes([n % 256]) * (n % 5 * 700))


def make_old_file(path: Path, count: int) -> None:
    """As version 1 wrote it; the last memory was taken away by hand."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.executescript(VERSION_1)
    connection.execute('BEGIN')
    connection.executemany('INSERT INTO meta VALUES (?, ?)', [
        *vars(SPEC).items(), ('model_id', 'model-a')])
    for n in range(count + 1):
        old = memory(n)
        seq = connection.execute(
            f'INSERT INTO memories VALUES (NULL{", ?" * 16})',
            (old.id, old.timestamp, *old.position, *old.orientation, old.h3_cell,
             old.vector.tobytes(), old.action.tobytes(), old.session, old.robot, old.map_id,
             json.dumps(old.labels))).lastrowid
        if old.thumbnail:
            connection.execute('INSERT INTO thumbnails VALUES (?, ?)', (seq, old.thumbnail))
    connection.execute('DELETE FROM memories WHERE seq = ?', (count + 1,))
    connection.execute('DELETE FROM thumbnails WHERE seq = ?', (count + 1,))
    connection.execute('COMMIT')
    connection.close()


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / 'memory.db'
    make_old_file(path, 2500)
    return path


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        return int(connection.execute('PRAGMA user_version').fetchone()[0])
    finally:
        connection.close()


def same(a: Memory, b: Memory) -> bool:
    plain = ('id', 'h3_cell', 'timestamp', 'model_id', 'session', 'robot', 'map_id', 'labels',
             'thumbnail', 'position')
    return (all(getattr(a, name) == getattr(b, name) for name in plain)
            and a.vector.tobytes() == b.vector.tobytes()
            and a.action.tobytes() == b.action.tobytes()
            and np.allclose(a.orientation, b.orientation, atol=1e-15))


def require_all_of(journal: Journal) -> None:
    found = journal.get(range(1, 2502))
    assert sorted(found) == list(range(1, 2501))
    assert all(same(found[n + 1], memory(n)) for n in range(2500))
    assert (journal.count, journal.stats().count, journal.last_seq) == (2500, 2500, 2501)
    assert journal.seqs_of(['id-7']) == {'id-7': 8}


def test_a_writer_brings_an_old_file_up_to_date_and_every_memory_stays_what_it_was(
        old: Path) -> None:
    with Journal.open_writer(old, SPEC) as journal:
        require_all_of(journal)
        assert journal.model_id == 'model-a'
        assert journal.append([memory(3000)]) == [2502]  # no number is ever used twice
        assert journal.append([memory(8)]) == [9]
        assert journal.forget([2502]) == 1
        assert journal.relabel([1], add=['hall']) == 1
    assert version(old) == 2
    with Journal.open_existing_writer(old) as journal:
        assert journal.get([1])[1].labels == ('hall',)
        assert journal.count == 2500
    connection = sqlite3.connect(old)
    assert connection.execute('PRAGMA integrity_check').fetchall() == [('ok',)]
    assert connection.execute('PRAGMA foreign_key_check').fetchall() == []
    connection.close()


def test_the_command_lines_writer_brings_it_up_to_date_as_well(old: Path) -> None:
    with Journal.open_existing_writer(old) as journal:
        assert journal.spec == SPEC
        require_all_of(journal)


def test_an_empty_old_file_becomes_an_empty_new_one(tmp_path: Path) -> None:
    make_old_file(tmp_path / 'm.db', 0)
    with Journal.open_existing_writer(tmp_path / 'm.db') as journal:
        assert (journal.count, journal.last_seq) == (0, 1)
        assert journal.append([memory(1)]) == [2]


def test_a_reader_of_an_old_file_is_told_who_can_bring_it_up_to_date(old: Path) -> None:
    with pytest.raises(SchemaVersionError, match='older schema version 1, this software reads 2; '
                       'start the memory writer on it or run `spatial-rag memory compact '):
        Journal.open_reader(old)
    assert version(old) == 1


def test_an_old_file_of_another_make_is_refused_and_stays_old(old: Path) -> None:
    before = old.read_bytes()
    with pytest.raises(JournalMismatchError, match='h3_resolution 12, asked for 13'):
        Journal.open_writer(old, JournalSpec(z_dim=3, datum_latitude_deg=48.0))
    assert old.read_bytes() == before


def test_a_migration_that_fails_leaves_the_old_file(
        old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(migrations, '_renew_meta', fail)
    with pytest.raises(KeyboardInterrupt):
        Journal.open_writer(old, SPEC)
    monkeypatch.undo()
    assert version(old) == 1
    with Journal.open_writer(old, SPEC) as journal:
        require_all_of(journal)


def test_a_migration_that_is_killed_leaves_the_old_file(old: Path) -> None:
    program = """
import os, signal, sys
from spatial_rag_core.memory.tables import migrations
from spatial_rag_core.memory.journal import Journal

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

migrations._renew_meta = die
Journal.open_existing_writer(sys.argv[1])
"""
    died = subprocess.run([sys.executable, '-c', program, str(old)], timeout=60)
    assert died.returncode == -signal.SIGKILL
    assert version(old) == 1
    with Journal.open_writer(old, SPEC) as journal:
        require_all_of(journal)


@pytest.mark.parametrize('statement', [
    "UPDATE memories SET vector = x'0000' WHERE seq = 1700",
    "UPDATE memories SET h3_cell = 'here' WHERE seq = 1700",
    "UPDATE memories SET labels = '[' WHERE seq = 1700",
    "UPDATE memories SET timestamp = 'now' WHERE seq = 1700"])
def test_an_old_file_with_impossible_values_is_damaged_and_stays_old(
        old: Path, statement: str) -> None:
    connection = sqlite3.connect(old)
    with connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(JournalDamagedError, match=f'{old} is damaged'):
        Journal.open_writer(old, SPEC)
    assert version(old) == 1
