"""A loss of the newest part of a memory file is noticed, whatever happened to its log."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
import os
from pathlib import Path
import shutil

from spatial_rag_core.errors import JournalDamagedError
from spatial_rag_core.memory.file.high_water_mark import HighWaterMark, Lost, parsed_mark
from spatial_rag_core.memory.file.writer_lock import lock_path, noted, WriterLock
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.storing.committer import Committer
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.memory.upkeep.backup import backup, restore
from spatial_rag_core.memory.upkeep.integrity import check
from spatial_rag_core.records import as_latent, Memory, Pose, Position
from spatial_rag_core.spatial.h3_cells import H3Grid
from spatial_rag_core.spatial.local_frame import LocalFrame

import pytest

SPEC = JournalSpec(z_dim=2)
GRID = H3Grid(LocalFrame(SPEC.datum), SPEC.h3_resolution)


def memory(number: int) -> Memory:
    place = Position(number, 0)
    return Memory(f'id-{number}', as_latent([number, 1]), Pose(place), GRID.cell(place), number,
                  'model')


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """What a writer leaves that is killed after ten commits and two changes, five in the file."""
    path, live = tmp_path / 'memory.db', tmp_path / 'live.db'
    for numbers in (range(1, 6), range(6, 11)):
        with Journal.open_writer(live, SPEC) as journal:
            for number in numbers:
                journal.append([memory(number)])
            if number == 10:
                journal.forget([2, 3])
                for end in ('', '-wal', '.lock'):
                    shutil.copyfile(f'{live}{end}', f'{path}{end}')
    return path


def log_of(path: Path) -> Path:
    return Path(f'{path}-wal')


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def flip_a_frame(log: Path) -> None:
    flip(log, 40)


def flip_the_head(log: Path) -> None:
    flip(log, 10)


def cut(log: Path) -> None:
    os.truncate(log, 5000)


def empty(log: Path) -> None:
    os.truncate(log, 0)


DAMAGES: list[Callable[[Path], object]] = [flip_a_frame, flip_the_head, cut, empty, Path.unlink]


def read_seqs(path: Path) -> list[int]:
    reader = Journal.open_reader(path)
    assert reader is not None
    with reader:
        return [int(seq) for seq in reader.index_rows_after(0).seqs]


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_reader_refuses_a_file_whose_newest_memories_are_gone(
        path: Path, damage: Callable[[Path], object]) -> None:
    damage(log_of(path))
    with pytest.raises(JournalDamagedError, match=f'{path} lacks its newest 5 memories and 2 ch'):
        Journal.open_reader(path)


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_writer_counts_what_is_gone_and_goes_on(
        path: Path, damage: Callable[[Path], object]) -> None:
    with Journal.open_writer(shutil.copytree(path.parent, path.parent / 'sound') / path.name,
                             SPEC) as sound:
        assert sound.lost == Lost(0, 0)
        generation = sound.generation
    damage(log_of(path))
    with Journal.open_writer(path, SPEC) as journal:
        assert journal.lost == Lost(memories=5, changes=2)
        assert journal.generation != generation  # its next numbers were given before
        assert journal.append([memory(11)]) == [6]
    assert read_seqs(path) == [1, 2, 3, 4, 5, 6]
    assert check(path).is_clean
    with Journal.open_writer(path, SPEC) as journal:
        assert journal.lost == Lost(0, 0)


def test_check_tells_what_is_gone(path: Path) -> None:
    assert check(path).is_clean
    log_of(path).unlink()
    report = check(path)
    assert 'lacks its newest 5 memories and 2 changes' in report.problems[0]


def test_the_committer_tells_what_is_gone(path: Path) -> None:
    log_of(path).unlink()
    with closing(Committer(lambda: Journal.open_writer(path, SPEC))) as committer:
        [error] = committer.take_errors()
    assert isinstance(error, JournalDamagedError)
    assert 'lacks its newest 5 memories' in str(error)


def test_what_a_killed_writer_leaves_is_whole(path: Path) -> None:
    assert read_seqs(path) == [1, 4, 5, 6, 7, 8, 9, 10]
    with Journal.open_writer(path, SPEC) as journal:
        assert journal.lost == Lost()


def test_another_file_in_its_place_is_no_loss(path: Path, tmp_path: Path) -> None:
    with Journal.open_writer(tmp_path / 'other.db', SPEC) as other:
        other.append([memory(1)])
    log_of(path).unlink()
    shutil.copyfile(tmp_path / 'other.db', path)
    assert read_seqs(path) == [1]
    with Journal.open_writer(path, SPEC) as journal:
        assert journal.lost == Lost()


def test_an_older_copy_in_its_place_is_a_loss(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / 'copy.db'
    shutil.copyfile(path, copy)  # without its log
    with Journal.open_writer(path, SPEC):
        pass
    shutil.copyfile(copy, path)
    with pytest.raises(JournalDamagedError, match='lacks its newest 5 memories'):
        Journal.open_reader(path)


@pytest.mark.parametrize('content', [b'', b'{', b'[]', b'{"pid": 1}', b'{"stored": null}',
                                     b'{"stored": [1, 2]}', b'{"stored": [1, 2, "x"]}', b'\xff'])
def test_a_lock_file_without_a_mark_proves_nothing(path: Path, content: bytes) -> None:
    assert parsed_mark(content) is None
    log_of(path).unlink()
    lock_path(path).write_bytes(content)
    assert read_seqs(path) == [1, 2, 3, 4, 5]
    with Journal.open_writer(path, SPEC) as journal:
        assert journal.lost == Lost()


def test_the_mark_follows_every_commit_and_outlives_its_writers(path: Path) -> None:
    with Journal.open_writer(path, SPEC) as journal:
        for number in (11, 12):
            journal.append([memory(number)])
            assert noted(path) == HighWaterMark(journal.generation, journal.last_seq, 2)
        journal.forget([1])
        journal.renew_generation()
        mark = HighWaterMark(journal.generation, 12, 3)
        assert noted(path) == mark
    with closing(_Released(WriterLock(path, 'x' * 500))) as held:
        assert held.lock.left == mark
        assert noted(path) == mark


class _Released:
    def __init__(self, lock: WriterLock) -> None:
        self.lock = lock

    def close(self) -> None:
        self.lock.release()


def test_no_copy_is_made_of_a_file_without_its_newest_memories(
        path: Path, tmp_path: Path) -> None:
    log_of(path).unlink()
    for copy in (backup, restore):
        with pytest.raises(JournalDamagedError, match=f'{path} lacks its newest 5 memories'):
            copy(path, tmp_path / 'copy.db')
        assert not (tmp_path / 'copy.db').exists()


def test_salvage_counts_what_is_gone_with_the_log(path: Path, tmp_path: Path) -> None:
    log_of(path).unlink()
    report = restore(path, tmp_path / 'copy.db', salvage=True)
    assert (report.written, report.lost, report.is_lost_exact) == (5, 5, False)
