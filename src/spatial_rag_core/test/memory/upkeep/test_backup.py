from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import resource
import signal
import sqlite3
import stat
import subprocess
import sys

from spatial_rag_core.errors import (
    ConfigurationError,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
    JournalUnavailableError,
    SchemaVersionError,
    TargetUnavailableError,
)
from spatial_rag_core.memory.file import whole_file
from spatial_rag_core.memory.file.snapshot import snapshot
from spatial_rag_core.memory.file.whole_file import whole_or_not_at_all
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep import backup as backup_module
from spatial_rag_core.memory.upkeep.backup import backup, restore
from spatial_rag_core.memory.upkeep.integrity import check, CheckReport

import pytest

from ..memory_files import contents, flip, generation, make, memory, read, SPEC
from ..tables.test_migrations import make_old_file

WRITER = """
import itertools, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from memory_files import Journal, memory, SPEC
with Journal.open_writer(Path(sys.argv[1]), SPEC) as journal:
    for n in itertools.count(journal.last_seq):
        journal.append([memory(n)])
        if n % 100 == 0:
            print(n, flush=True)
"""
FOLDER = str(Path(__file__).parents[1])


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make(tmp_path / 'memory.db', 300)


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / 'copies' / 'copy.db'


@pytest.fixture
def busy_writer(source: Path) -> Iterator[None]:
    """Another process that stores one memory after the other, as fast as it can."""
    with subprocess.Popen([sys.executable, '-c', WRITER, source, FOLDER], text=True,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        yield
        process.kill()
        process.communicate()


def last_seq(path: Path) -> int:
    journal = Journal.open_reader(path)
    assert journal is not None
    with journal:
        return journal.last_seq


def beside(path: Path) -> list[str]:
    return sorted(part.name for part in path.parent.iterdir())


def test_a_backup_holds_every_memory_and_stands_alone(source: Path, target: Path) -> None:
    report = backup(source, target)
    assert (report.path, report.count, report.size_bytes) == (
        target, 300, target.stat().st_size)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert contents(read(target)) == contents(read(source))
    assert check(target).is_clean
    assert beside(target) == ['copy.db']  # also after it was read


def test_a_backup_is_one_moment_of_a_file_that_is_written_at_full_speed(
        source: Path, target: Path, busy_writer: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backup_module, '_PAGES_A_STEP', 4)
    before, remaining = last_seq(source), list[int]()

    def tell(done: int, total: int) -> None:
        remaining.append(total - done)
        seen = last_seq(source)
        while last_seq(source) == seen:  # the writer commits between any two steps
            pass

    report = backup(source, target, tell)
    assert last_seq(source) > before
    assert report.count >= before
    assert remaining == sorted(remaining, reverse=True)  # it never began anew
    assert len(remaining) > 3
    assert contents(read(target)) == contents([memory(n) for n in range(report.count)])
    assert check(target).is_clean


def test_progress_ends_with_all_pages(source: Path, target: Path) -> None:
    steps = list[tuple[int, int]]()
    backup(source, target, lambda *step: steps.append(step))
    assert steps[-1][0] == steps[-1][1] > 0


def test_a_target_that_exists_stays_as_it_is(source: Path, target: Path) -> None:
    target.parent.mkdir()
    target.write_text('precious')
    with pytest.raises(ConfigurationError, match=r'copy\.db exists already; name a file that'):
        backup(source, target)
    assert target.read_text() == 'precious'
    assert beside(target) == ['copy.db']


def test_what_is_no_memory_file_is_not_copied(tmp_path: Path, target: Path) -> None:
    with pytest.raises(JournalError, match=r'none\.db: no memory file, or an empty one'):
        backup(tmp_path / 'none.db', target)
    with sqlite3.connect(tmp_path / 'other.db') as other:
        other.execute('CREATE TABLE t (x)')
    other.close()
    with pytest.raises(JournalError, match='not a Spatial-RAG memory'):
        backup(tmp_path / 'other.db', target)
    (tmp_path / 'text.db').write_text('no database at all' * 100)
    with pytest.raises(JournalDamagedError, match=r'text\.db'):
        backup(tmp_path / 'text.db', target)
    assert not target.exists()


def test_a_source_whose_structure_is_damaged_gives_no_backup(source: Path, target: Path) -> None:
    whole = bytearray(source.read_bytes())
    whole[8192 * 9:8192 * 10] = bytes(8192)
    source.write_bytes(whole)
    with pytest.raises(JournalDamagedError, match=r'memory\.db is damaged'):
        backup(source, target)
    assert beside(target) == []


def test_a_backup_that_is_killed_leaves_no_target_and_the_next_is_whole(
        source: Path, target: Path) -> None:
    killed = subprocess.run([sys.executable, '-c', f"""
import os, signal
from pathlib import Path
from spatial_rag_core.memory.upkeep.backup import backup
backup(Path({str(source)!r}), Path({str(target)!r}),
       lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert beside(target) == ['copy.db.unfinished']
    backup(source, target)
    assert beside(target) == ['copy.db']
    assert contents(read(target)) == contents(read(source))


def test_a_full_disk_is_told_with_the_name_of_the_target(source: Path, target: Path) -> None:
    """RLIMIT_FSIZE has the kernel refuse to write on, as a full disk does."""
    result = subprocess.run([sys.executable, '-c', f"""
from pathlib import Path
import resource
from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.upkeep.backup import backup
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))
try:
    backup(Path({str(source)!r}), Path({str(target)!r}))
except JournalUnavailableError as error:
    print(error)
"""], check=True, capture_output=True, text=True)
    assert result.stdout.startswith(f'{target} cannot be written: ')
    assert 'free space' in result.stdout
    assert beside(target) == []


def test_two_backups_to_one_target_do_not_mix(source: Path, target: Path) -> None:
    with whole_or_not_at_all(target) as other:
        other.write_text('half of it')
        with pytest.raises(JournalInUseError, match=r'copy\.db is being made by another process'):
            backup(source, target)
    assert target.read_text() == 'half of it'


def test_a_restored_file_holds_every_memory_under_another_generation(
        source: Path, target: Path) -> None:
    backup(source, target)
    again = target.with_name('again.db')
    steps = list[tuple[int, int]]()
    report = restore(target, again, on_progress=lambda *step: steps.append(step))
    assert (report.written, report.lost, report.is_lost_exact) == (300, 0, True)
    assert steps[-1] == (300, 300)
    assert contents(read(again)) == contents(read(source))
    assert generation(again) != generation(target) == generation(source)
    assert stat.S_IMODE(again.stat().st_mode) == 0o600
    with Journal.open_writer(again, SPEC) as journal:
        assert journal.append([memory(300)]) == [301]


def test_restore_replaces_a_target_only_where_that_is_asked_for(
        source: Path, target: Path) -> None:
    make(target, 5)
    with pytest.raises(ConfigurationError, match='exists already'):
        restore(source, target)
    assert len(read(target)) == 5
    restore(source, target, overwrite=True)
    assert len(read(target)) == 300


def test_readers_of_a_replaced_file_keep_theirs_and_are_told(source: Path, target: Path) -> None:
    make(target, 5)
    reader = Journal.open_reader(target)
    assert reader is not None
    with reader:
        restore(source, target, overwrite=True)
        assert reader.is_detached
        assert reader.count == 5
    with Journal.open_existing_writer(target) as writer:
        writer.append([memory(300)])
        assert len(read(target)) == 301


def test_what_a_killed_writer_left_beside_the_target_is_not_mixed_in(
        source: Path, target: Path) -> None:
    target.parent.mkdir()
    for with_target in (True, False):
        with subprocess.Popen([sys.executable, '-c', WRITER, target, FOLDER], text=True,
                              stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stdout.readline()
            process.kill()
            process.communicate()
        assert Path(f'{target}-wal').stat().st_size > 0
        if not with_target:
            target.unlink()
        restore(source, target, overwrite=True)
        assert contents(read(target)) == contents(read(source))
        assert check(target).is_clean


def test_a_target_that_is_being_read_is_not_replaced_before_the_reader_is_done(
        source: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_file, '_READERS_TIMEOUT_SEC', 0.1)
    make(target, 5)
    with subprocess.Popen([sys.executable, '-c', WRITER, target, FOLDER], text=True,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline()
        with snapshot(target) as reader:
            count = reader.execute('SELECT count(*) FROM memories').fetchone()[0]
            assert process.stdout.readline()  # more is in the write-ahead log by now
            process.kill()
            process.communicate()
            with pytest.raises(JournalUnavailableError, match='is being read at length'):
                restore(source, target, overwrite=True)
    assert len(read(target)) > count
    restore(source, target, overwrite=True)
    assert contents(read(target)) == contents(read(source))


def test_a_file_that_is_written_is_not_replaced(source: Path, target: Path) -> None:
    with Journal.open_writer(target, SPEC, holder='memory_writer') as writer:
        with pytest.raises(JournalInUseError, match='is being written by memory_writer'):
            restore(source, target, overwrite=True)
        writer.append([memory(0)])
    assert len(read(target)) == 1


def test_a_damaged_backup_is_refused_and_the_target_stays(source: Path, target: Path) -> None:
    make(target, 5)
    before = target.read_bytes()
    flip(source, memory(77).vector.tobytes())
    with pytest.raises(JournalDamagedError, match=r'memory\.db is damaged: memory 78 .*salvage'):
        restore(source, target, overwrite=True)
    assert target.read_bytes() == before
    assert beside(target) == ['copy.db', 'copy.db.lock']


def test_a_file_of_version_1_is_copied_as_it_is_and_restored_up_to_date(
        tmp_path: Path, target: Path) -> None:
    make_old_file(tmp_path / 'old.db', 20)
    assert backup(tmp_path / 'old.db', target).count == 20
    assert check(target) == CheckReport(20, ())
    with pytest.raises(SchemaVersionError, match='older schema version 1'):
        Journal.open_reader(target)
    assert restore(target, tmp_path / 'new.db').written == 20
    assert [memory.id for memory in read(tmp_path / 'new.db')] == [f'id-{n}' for n in range(20)]


def test_a_target_that_is_a_link_stays_one(source: Path, tmp_path: Path) -> None:
    (tmp_path / 'disk').mkdir()
    link, real = tmp_path / 'link.db', tmp_path / 'disk' / 'real.db'
    link.symlink_to(real)
    assert backup(source, link).count == 300
    with Journal.open_existing_writer(real) as writer:
        writer.append([memory(1000)])
        with pytest.raises(JournalInUseError):
            restore(source, link, overwrite=True)
    assert restore(source, link, overwrite=True).written == 300
    assert link.is_symlink()
    assert contents(read(real)) == contents(read(source))


@pytest.mark.parametrize('folder', ['.', '/', 'folder'])
def test_a_folder_is_no_target_and_nothing_is_put_beside_it(
        source: Path, tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'here' / 'folder').mkdir(parents=True)
    monkeypatch.chdir(tmp_path / 'here')
    for work in (lambda: backup(source, Path(folder)),
                 lambda: restore(source, Path(folder), overwrite=True)):
        with pytest.raises(ConfigurationError, match='is a folder; name a file in it'):
            work()
    with pytest.raises(JournalError, match='is a folder; name the memory file in it'):
        backup(Path(folder), tmp_path / 'copy.db')
    with pytest.raises(JournalError, match='no memory file'):
        Journal.open_existing_writer(folder)
    assert not list(tmp_path.rglob('*.unfinished'))
    assert [path.name for path in tmp_path.rglob('*.lock')] == [source.name + '.lock']


def test_a_file_is_not_restored_from_itself(source: Path) -> None:
    with pytest.raises(ConfigurationError, match='is the backup itself'):
        restore(source, source, overwrite=True)
    with pytest.raises(JournalError, match='no memory file'):
        restore(source.with_name('none.db'), source, overwrite=True)
    assert len(read(source)) == 300


def test_a_target_that_cannot_be_written_is_named(source: Path, tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('')
    with pytest.raises(TargetUnavailableError, match=r'copy\.db cannot be written: '):
        backup(source, tmp_path / 'file' / 'copy.db')
    with pytest.raises(TargetUnavailableError, match=r'copy\.db cannot be written: '):
        restore(source, tmp_path / 'file' / 'copy.db')


def test_a_file_that_is_thrown_away_unless_it_becomes_whole_needs_no_write_ahead_log(
        tmp_path: Path) -> None:
    with Journal.open_writer(tmp_path / 'new.db', SPEC, 'none') as journal:
        journal.append([memory(0), memory(1)])
        with pytest.raises(JournalError, match='another content'):
            journal.append([memory(2), memory(0, timestamp=0.0)])
        assert journal.count == 2
        assert sorted(p.name for p in tmp_path.iterdir()) == ['new.db', 'new.db.lock']
    assert check(tmp_path / 'new.db') == CheckReport(2, ())
