from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import sqlite3
import subprocess
import sys

from spatial_rag_core.check_report import CheckReport
from spatial_rag_core.errors import JournalError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.rows import packed
from spatial_rag_core.memory.upkeep.integrity import check

import numpy as np
import pytest

from ..memory_files import contents, flip, make, memory, read

WRITER = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from memory_files import Journal, memory, SPEC
with Journal.open_writer(Path(sys.argv[1]), SPEC) as journal:
    for n in itertools.count():
        journal.append([memory(n)])
        if n % 3 == 0:
            journal.relabel([n], add=['seen'])
        if n % 4 == 0:
            journal.forget([n - 5])
        if n == 50:
            print('busy', flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of 200 memories, of which some were forgotten or relabelled."""
    make(tmp_path / 'memory.db', 200)
    with Journal.open_existing_writer(tmp_path / 'memory.db') as journal:
        journal.forget([10, 11, 12, 200])
        journal.relabel([20, 21], add=['seen'])
    return tmp_path / 'memory.db'


def edit(path: Path, statement: str, *values: object) -> None:
    """Change a file as no Journal would."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement, values)
    connection.close()


def only_problem(path: Path) -> str:
    report = check(path)
    assert len(report.problems) == 1, report.problems
    return report.problems[0]


def test_a_sound_file_is_clean_and_stays_as_it_is(path: Path) -> None:
    before, steps = path.read_bytes(), list[tuple[int, int]]()
    report = check(path, lambda *step: steps.append(step))
    assert report == CheckReport(196, ())
    assert report.is_clean
    assert steps[-1] == (196, 196)
    assert path.read_bytes() == before


def test_an_empty_memory_is_clean(tmp_path: Path) -> None:
    assert check(make(tmp_path / 'memory.db', 0)) == CheckReport(0, ())


def test_a_file_that_another_process_writes_is_clean_at_any_moment(tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    folder = Path(__file__).parents[1]
    with subprocess.Popen([sys.executable, '-c', WRITER, path, folder], text=True,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == 'busy\n'
        counts = list[int]()
        for _ in range(20):
            report = check(path)
            assert report.problems == ()
            counts.append(report.count)
        process.kill()
        process.communicate()
    assert counts[-1] > counts[0]


def test_there_must_be_a_file(tmp_path: Path) -> None:
    with pytest.raises(JournalError, match=r'none\.db: no memory file, or an empty one'):
        check(tmp_path / 'none.db')
    (tmp_path / 'empty.db').touch()
    with pytest.raises(JournalError, match=r'empty\.db: no memory file, or an empty one'):
        check(tmp_path / 'empty.db')


def test_what_is_no_database_is_told(tmp_path: Path) -> None:
    for content in (b'short', b'no database at all' * 100):
        (tmp_path / 'text.db').write_bytes(content)
        assert 'cannot be read' in only_problem(tmp_path / 'text.db')


def test_a_head_that_hides_all_tables_is_told(path: Path) -> None:
    whole = bytearray(path.read_bytes())
    whole[103:105] = b'\0\0'  # how many tables the first page tells of
    path.write_bytes(whole)
    assert 'cannot be read' in only_problem(path)


def test_one_changed_bit_is_told_with_the_number_of_its_memory(path: Path) -> None:
    sound = path.read_bytes()
    for needle, at, words in (
            (memory(76).vector.tobytes(), 0, 'memory 77 (id-76): its pose, latent or context'),
            (np.float64(memory(33).position.x).tobytes(), 3, 'memory 34 (id-33): its pose'),
            (memory(37).action.tobytes(), 0, 'memory 38: its id, action or picture'),
            (memory(88).thumbnail, 200, 'picture 89 is not what was written')):
        path.write_bytes(sound)
        flip(path, needle, at)
        assert only_problem(path).startswith(words)


@pytest.mark.parametrize(('statement', 'words'), [
    ('DELETE FROM memories WHERE seq = 60', 'it should hold 196 memories, 195 were found'),
    ('DELETE FROM thumbnails WHERE seq = 60', 'picture 60 is missing'),
    ("INSERT INTO thumbnails VALUES (11, x'ff')", 'picture 11 belongs to no memory'),
    ("INSERT INTO thumbnails VALUES (7777, x'ff')", 'picture 7777 belongs to no memory'),
    ("UPDATE contexts SET robot = 'robot-7' WHERE id = 2", 'context 2 (session, robot, labels)'),
    ('DELETE FROM changes WHERE number = 2', 'changes 2 to 2 are missing'),
    ('UPDATE changes SET seq = 5 WHERE number = 2', 'change 2 is not what was written'),
    ("UPDATE meta SET value = 5 WHERE key = 'z_dim'", 'table meta is not what was written'),
    ("UPDATE meta SET value = 'x' WHERE key = 'generation'", 'table meta: generation'),
    ("UPDATE meta SET value = 3 WHERE key = 'forgotten_count'", 'it should hold 197 memories'),
    ('DELETE FROM sqlite_sequence', 'it does not tell how many'),
    ("UPDATE memories SET action = x'00' WHERE seq = 60", 'memory 60: its id, action or picture'),
    ('PRAGMA user_version = 77', 'it has schema version 77, this software knows 1 to 2'),
    ('PRAGMA application_id = 5', 'it is an SQLite file, but not marked'),
])
def test_rows_that_were_changed_by_another_hand_are_told(path: Path, statement: str,
                                                         words: str) -> None:
    edit(path, statement)
    assert any(problem.startswith(words) for problem in check(path).problems), check(path)


@pytest.mark.parametrize(('number', 'told'), [(1, '1 to 1'), (3, '3 to 3'), (6, '6 to 6')])
def test_a_change_that_vanished_is_told_wherever_it_was(path: Path, number: int,
                                                        told: str) -> None:
    edit(path, 'DELETE FROM changes WHERE number = ?', number)
    assert only_problem(path) == f'changes {told} are missing'


def test_a_context_that_is_gone_is_told_for_each_of_its_memories(path: Path) -> None:
    edit(path, 'DELETE FROM contexts WHERE id = 2')
    assert all('its context (session, robot, labels) is gone' in problem
               for problem in check(path).problems[:-1])


def test_what_should_never_have_been_written_is_told(tmp_path: Path) -> None:
    path = make(tmp_path / 'memory.db', 20)
    changes: tuple[tuple[str, object, str], ...] = (
        ('vector', np.nan, 'its latent is not finite'),
        ('timestamp', np.inf, 'its timestamp is not finite'),
        ('position', 2e7, 'its position is not on the map'),
        ('orientation', 0.3, 'its orientation is no rotation'),
        ('cell', 0x8d754e64992d6ff, 'its H3 cell 8d754e64992d6ff is not that of its position'))
    for seq, (field, value, words) in enumerate(changes, start=1):
        with Journal.open_existing_writer(path) as journal:
            sound = journal.records([seq])
            records = sound.copy()
            records[field] = value
            journal.replace(records)
            assert packed(records.copy()) != packed(sound.copy())
        assert only_problem(path).startswith(f'memory {seq}: {words}')
        assert check(path, only_damage=True).is_clean
        with Journal.open_existing_writer(path) as journal:
            journal.replace(sound)
    assert check(path).is_clean


def test_the_first_twenty_problems_are_told_and_how_many_more(path: Path) -> None:
    edit(path, 'UPDATE memories SET crc = 5 WHERE seq BETWEEN 31 AND 80')
    problems = check(path).problems
    assert len(problems) == 21
    assert problems[0].startswith('memory 31:')
    assert problems[-1] == 'and 30 more'


Damage = Callable[[bytearray, np.random.Generator], None]


def flip_bits(whole: bytearray, chance: np.random.Generator) -> None:
    whole[int(chance.integers(len(whole)))] ^= 1 << int(chance.integers(8))


def cut(whole: bytearray, chance: np.random.Generator) -> None:
    del whole[int(chance.integers(1, len(whole))):]


def blank_a_page(whole: bytearray, chance: np.random.Generator) -> None:
    page = 8192 * int(chance.integers(len(whole) // 8192))
    whole[page:page + 8192] = bytes(8192)


@pytest.mark.parametrize('damage', [flip_bits, cut, blank_a_page])
def test_damage_anywhere_is_told_unless_every_memory_is_as_it_was(
        path: Path, tmp_path: Path, damage: Damage) -> None:
    sound, chance = path.read_bytes(), np.random.default_rng(0)
    expected, told = contents(read(path)), 0
    damaged = tmp_path / 'damaged.db'
    for _ in range(150):
        whole = bytearray(sound)
        damage(whole, chance)
        damaged.write_bytes(whole)
        report = check(damaged)
        if report.is_clean:
            assert contents(read(damaged)) == expected
        told += not report.is_clean
    assert told > 75
