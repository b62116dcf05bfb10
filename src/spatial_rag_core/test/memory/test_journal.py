from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, ExitStack
from dataclasses import replace
import math
from pathlib import Path
import sqlite3
import stat

from spatial_rag_core.errors import (
    ActionError,
    ConfigurationError,
    InputError,
    JournalDamagedError,
    JournalError,
    JournalMismatchError,
    JournalUnavailableError,
    LatentError,
    ModelMismatchError,
    SchemaVersionError,
)
from spatial_rag_core.memory.file.connection import begin_wal
from spatial_rag_core.memory.index import Context
from spatial_rag_core.memory.journal import Durability, Journal
from spatial_rag_core.memory.tables.rows import Row
from spatial_rag_core.memory.tables.schema import JournalSpec, last_number
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position, Quaternion

import numpy as np
import pytest

SPEC = JournalSpec(z_dim=4, action_dim=2)


def memory(number: int = 0, model_id: str = 'model-a', **fields: object) -> Memory:
    plain = Memory(
        id=f'id-{number}', vector=as_latent([number, 0.1, -2.5, 1e-30]),
        pose=Pose(Position(number, 2.0, -0.5), Quaternion(0.0, 0.0, 0.6, 0.8)),
        h3_cell='8d754e64992d6ff', timestamp=1_760_000_000.0 + number / 20, model_id=model_id,
        session='morning')
    return replace(plain, **fields)  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory.db'


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal.open_writer(path, SPEC) as journal:
        yield journal


Read = Callable[[Path], Journal]


@pytest.fixture
def read() -> Iterator[Read]:
    """Opens readers, and closes them in the end."""
    with ExitStack() as readers:
        def open_one(path: Path) -> Journal:
            reader = Journal.open_reader(path)
            assert reader is not None
            return readers.enter_context(reader)

        yield open_one


def same(a: Memory, b: Memory) -> bool:
    plain = ('id', 'h3_cell', 'timestamp', 'model_id', 'session', 'robot', 'map_id', 'labels',
             'thumbnail')
    return (all(getattr(a, name) == getattr(b, name) for name in plain)
            and a.vector.tobytes() == b.vector.tobytes()
            and a.action.tobytes() == b.action.tobytes()
            and a.position == b.position
            and math.dist(a.orientation, b.orientation) < 1e-15)


def test_every_field_of_a_memory_comes_back(journal: Journal, path: Path, read: Read) -> None:
    full = memory(7, action=as_action([0.3, -1.0]), robot='r2', map_id='kitchen',
                  labels=('door', 'Tür "3"'), thumbnail=b'\xff\xd8 picture \x00')
    plain = memory(8)
    seqs = journal.append([full, plain])
    for reader in (journal, read(path)):
        found = reader.get(seqs)
        assert same(found[seqs[0]], full)
        assert same(found[seqs[1]], plain)
        assert found[seqs[0]].vector.dtype == np.float32
    assert same(journal.get(seqs, with_thumbnails=False)[seqs[0]], replace(full, thumbnail=b''))


def test_what_is_gone_or_was_never_there_is_left_out(journal: Journal) -> None:
    [seq] = journal.append([memory()])
    assert set(journal.get([seq, seq + 1, -4])) == {seq}
    assert journal.get([]) == {}


def test_sequence_numbers_ascend_over_sessions_and_are_tailed(
        journal: Journal, path: Path) -> None:
    reader = Journal.open_reader(path)
    assert reader is not None
    assert len(reader.index_rows_after(0).seqs) == 0
    first = journal.append([memory(n) for n in range(3)])
    journal.close()
    with Journal.open_writer(path, SPEC) as again:
        second = again.append([memory(n) for n in range(3, 5)])
        assert again.last_seq == second[-1]
    assert first + second == sorted({*first, *second})
    rows = reader.index_rows_after(first[1])
    assert rows.seqs.tolist() == [first[2], *second]
    assert rows.vectors[:, 0].tolist() == [2.0, 3.0, 4.0]
    assert rows.positions.tolist() == [[n, 2.0, -0.5] for n in (2.0, 3.0, 4.0)]
    assert rows.orientations[0].tolist() == pytest.approx([0.0, 0.0, 0.6, 0.8])
    assert rows.timestamps.tolist() == [1_760_000_000.0 + n / 20 for n in (2, 3, 4)]
    assert rows.cells.tolist() == [0x8d754e64992d6ff] * 3
    assert rows.context_table[rows.contexts[0]] == Context(session='morning')
    assert reader.index_rows_after(0, limit=2).seqs.tolist() == first[:2]
    reader.close()


def test_a_sequence_number_is_never_used_twice(journal: Journal, path: Path) -> None:
    seqs = journal.append([memory(0), memory(1)])
    with sqlite3.connect(path) as connection:
        connection.execute('DELETE FROM memories')
    connection.close()
    assert journal.append([memory(2)])[0] > seqs[-1]


def test_two_readers_see_all_while_one_writes(journal: Journal, path: Path, read: Read) -> None:
    readers = [read(path), read(path)]
    for n in range(20):
        [seq] = journal.append([memory(n)])
        for reader in readers:
            assert reader.last_seq == seq
            assert same(reader.get([seq])[seq], memory(n))


def test_stats_count_the_file_through(journal: Journal, path: Path, read: Read) -> None:
    empty = journal.stats()
    assert (empty.count, empty.last_seq, empty.session_count) == (0, 0, 0)
    assert empty.oldest is empty.newest is None
    journal.append([memory(n, session=f's{n % 2}') for n in range(10)])
    stats = read(path).stats()
    assert (stats.count, stats.last_seq, stats.session_count) == (10, 10, 2)
    assert stats.oldest == memory(0).timestamp
    assert stats.newest == memory(9).timestamp
    assert stats.file_size_bytes >= 4096


@pytest.mark.parametrize(('bad', 'error', 'message'), [
    (memory(2, vector=as_latent([1.0])), LatentError, r'shape \[1\], expected \[4\] \(z_dim\)'),
    (memory(2, vector=np.full(4, np.nan, np.float32)), LatentError, 'not finite'),
    (memory(2, action=as_action([1.0])), ActionError, r'expected \[2\] \(action_dim\)'),
    (memory(2, model_id='model-b'), ModelMismatchError, 'of model model-a, got one of .* model-b'),
    (memory(1), JournalError, 'already holds a memory of this id'),
])
def test_all_memories_of_a_batch_are_stored_or_none(
        journal: Journal, path: Path, bad: Memory, error: type[Exception], message: str,
        read: Read) -> None:
    with pytest.raises(error, match=message):
        journal.append([memory(0), memory(1, thumbnail=b'jpeg'), bad])
    with pytest.raises(error):
        journal.append([memory(0), memory(1, thumbnail=b'jpeg'), bad])
    assert read(path).stats().count == 0
    assert read(path).model_id is None  # nobody has claimed the file either
    assert len(journal.append([memory(0)])) == 1


def test_nothing_to_append_is_nothing_done(journal: Journal) -> None:
    assert journal.append([]) == []
    assert journal.model_id is None


def test_latents_of_another_model_are_refused_with_a_remedy(
        journal: Journal, path: Path, read: Read) -> None:
    journal.append([memory(0)])
    assert journal.model_id == 'model-a'
    with pytest.raises(ModelMismatchError) as caught:
        journal.append([memory(1, model_id='model-b')])
    assert f'spatial-rag memory reencode {path} NEW_FILE --model BUNDLE' in str(caught.value)
    journal.close()
    with Journal.open_writer(path, SPEC) as again, pytest.raises(ModelMismatchError):
        again.append([memory(1, model_id='model-b')])
    with pytest.raises(ModelMismatchError, match='model-a, got one of model model-b'):
        read(path).require_model('model-b')
    read(path).require_model('model-a')


def test_a_missing_or_empty_file_gives_no_reader(path: Path) -> None:
    assert Journal.open_reader(path) is None
    path.touch()
    assert Journal.open_reader(path) is None
    sqlite3.connect(path).execute('PRAGMA journal_mode = WAL').connection.close()
    assert Journal.open_reader(path) is None
    assert Journal.open_reader(path / 'below a file') is None


def test_an_empty_file_becomes_a_memory(path: Path) -> None:
    path.touch()
    with Journal.open_writer(path, SPEC) as journal:
        assert journal.append([memory()]) == [1]


@pytest.mark.parametrize('name', [
    'a b.db', 'what?.db', '100%41.db', '#1.db', 'Küche.db', "o'b.db"])
def test_a_path_may_hold_any_character(tmp_path: Path, name: str, read: Read) -> None:
    with Journal.open_writer(tmp_path / 'new' / 'folder' / name, SPEC) as journal:
        journal.append([memory()])
        assert {path.name for path in journal.path.parent.iterdir()} == {
            name, name + '-wal', name + '-shm', name + '.lock'}
    assert read(tmp_path / 'new' / 'folder' / name).last_seq == 1


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('HOME', str(tmp_path))
    Journal.open_writer('~/memory.db', SPEC).close()
    assert (tmp_path / 'memory.db').is_file()


def test_only_the_owner_may_read_the_memory(journal: Journal) -> None:
    journal.append([memory()])
    for part in ('', '-wal', '-shm', '.lock'):
        mode = Path(f'{journal.path}{part}').stat().st_mode
        assert stat.S_IMODE(mode) == 0o600


def test_a_closed_memory_is_one_file_that_can_be_copied(journal: Journal, path: Path) -> None:
    journal.append([memory()])
    journal.close()
    assert not list(path.parent.glob('*-*'))


@pytest.mark.parametrize(('wanted', 'message'), [
    (replace(SPEC, z_dim=5), 'z_dim 4, asked for 5; set z_dim: 4 or name another memory_path'),
    (replace(SPEC, action_dim=3), 'action_dim 2, asked for 3; set action_dim: 2'),
    (replace(SPEC, h3_resolution=12), 'h3_resolution 13, asked for 12; set h3_resolution: 13'),
    (replace(SPEC, datum_latitude_deg=1.5), 'datum_latitude_deg 0.0, asked for 1.5'),
    (replace(SPEC, datum_longitude_deg=1.5), 'datum_longitude_deg 0.0, asked for 1.5'),
    (replace(SPEC, datum_heading_deg=1.5), 'datum_heading_deg 0.0, asked for 1.5'),
])
def test_a_memory_of_another_make_is_refused_by_the_field(
        journal: Journal, path: Path, wanted: JournalSpec, message: str) -> None:
    journal.close()
    with pytest.raises(JournalMismatchError, match=f'{path} was made with {message}'):
        Journal.open_writer(path, wanted)


def test_the_spec_is_read_back_exactly(path: Path, read: Read) -> None:
    spec = JournalSpec(5, 3, 11, -33.44889001, 1 / 3, -359.9999999999)
    Journal.open_writer(path, spec).close()
    assert read(path).spec == spec
    Journal.open_writer(path, spec).close()


def test_a_file_that_cannot_be_there_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / 'file').touch()
    for path in (tmp_path / 'file' / 'memory.db', Path('/proc/memory.db'),
                 Path('/proc/new/memory.db'), tmp_path):
        with pytest.raises(JournalUnavailableError, match=f'{path} cannot be used now: .*; check'):
            Journal.open_writer(path, SPEC)
    with pytest.raises(JournalUnavailableError, match=f'{tmp_path} cannot be used now'):
        Journal.open_reader(tmp_path)


def test_a_full_disk_is_unavailable_and_passes(journal: Journal) -> None:
    journal.append([memory(0)])
    [[pages]] = journal._connection.sql.execute('PRAGMA page_count').fetchall()
    journal._connection.sql.execute(f'PRAGMA max_page_count = {pages}')
    with pytest.raises(JournalUnavailableError, match=r'full; free some space on that disk'):
        journal.append([memory(1, thumbnail=bytes(100_000))])
    assert journal.stats().count == 1
    journal._connection.sql.execute('PRAGMA max_page_count = 1000000')
    assert journal.append([memory(1, thumbnail=bytes(100_000))]) == [2]


def test_a_locked_file_is_unavailable_to_the_writer_and_open_to_readers(
        journal: Journal, path: Path, read: Read) -> None:
    journal.append([memory(0)])
    other = sqlite3.connect(path, isolation_level=None)
    other.execute('BEGIN EXCLUSIVE')
    with pytest.raises(JournalUnavailableError, match=r'locked; another program holds the file'):
        journal.append([memory(1)])
    assert read(path).last_seq == 1
    other.close()
    assert journal.append([memory(1)]) == [2]


def test_a_newer_schema_is_refused_and_left_as_it_was(path: Path) -> None:
    Journal.open_writer(path, SPEC).close()
    connection = sqlite3.connect(path)
    connection.execute('PRAGMA journal_mode = DELETE')
    connection.execute('PRAGMA user_version = 99')
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SchemaVersionError, match=r'schema version 99, .* knows 2; update Spatial'):
        Journal.open_writer(path, SPEC)
    with pytest.raises(SchemaVersionError):
        Journal.open_reader(path)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_as_it_was(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute('CREATE TABLE bookmarks (url)')
    connection.close()
    before = path.read_bytes()
    for attempt in (lambda: Journal.open_writer(path, SPEC), lambda: Journal.open_reader(path)):
        with pytest.raises(JournalError, match='not a Spatial-RAG memory; name another'):
            attempt()
    assert path.read_bytes() == before
    assert {part.name for part in path.parent.iterdir()} == {path.name, path.name + '.lock'}


@pytest.mark.parametrize('statement', [
    "DELETE FROM meta WHERE key = 'z_dim'", "UPDATE meta SET value = 'x' WHERE key = 'z_dim'",
    "UPDATE meta SET value = 999 WHERE key = 'h3_resolution'", 'DROP TABLE meta'])
def test_a_memory_that_lacks_its_spec_is_damaged(path: Path, statement: str) -> None:
    Journal.open_writer(path, SPEC).close()
    with sqlite3.connect(path) as connection:
        connection.execute(statement)
    connection.close()
    with pytest.raises(JournalError, match=str(path)):
        Journal.open_reader(path)
    with pytest.raises(JournalError, match=str(path)):
        Journal.open_writer(path, SPEC)


def test_garbage_is_no_memory(path: Path) -> None:
    for garbage in (b'x', b'not a database' * 1000, b'SQLite format 3\0' + bytes(4080)):
        path.write_bytes(garbage)
        with pytest.raises(JournalDamagedError,
                           match=r'damaged or not a memory file.*; restore a backup'):
            Journal.open_writer(path, SPEC)
        with pytest.raises(JournalError):
            Journal.open_reader(path)
        assert path.read_bytes() == garbage


def test_a_closed_writer_leaves_all_in_the_one_file_though_a_reader_is_open(
        path: Path, read: Read, tmp_path: Path) -> None:
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(0)])
        reader = read(path)
        journal.append([memory(number) for number in range(1, 10)])
        assert reader.stats().count == 10
    copy = tmp_path / 'copy.db'
    copy.write_bytes(path.read_bytes())
    assert read(copy).stats().count == 10


def test_a_reader_that_counts_what_it_read_in_one_moment_is_not_confused_by_the_writer(
        journal: Journal, read: Read, path: Path) -> None:
    journal.append([memory(n) for n in range(10)])
    reader = read(path)
    with reader.snapshot():
        found = len(reader.index_rows_after(0).seqs)
        journal.append([memory(10)])
        journal.forget([1, 2, 3])
        assert len(reader.index_rows_after(0).seqs) == found == reader.count == 10
        reader.require_all(found)
    assert reader.count == 8


def test_numbers_of_numpy_are_numbers(journal: Journal) -> None:
    seqs = np.array(journal.append([memory(n) for n in range(5)]))
    assert journal.index_rows_after(seqs[2]).seqs.tolist() == [4, 5]
    assert set(journal.get(seqs[:2])) == {1, 2}
    assert journal.index_rows(seqs[:2]).seqs.tolist() == [1, 2]
    assert journal.relabel(seqs[:1], ['door']) == 1
    assert journal.forget(seqs[-1:]) == 1
    changes = journal.changes_after(np.int64(1))
    assert changes is not None
    assert changes.forgotten.tolist() == [5]


def test_any_number_of_memories_can_be_asked_for_at_once(journal: Journal) -> None:
    journal.append([memory(n) for n in range(12_000)])
    assert len(journal.get(range(40_000))) == 12_000
    assert len(journal.seqs_of([f'id-{n}' for n in range(40_000)])) == 12_000
    assert len(journal.index_rows(range(40_000)).seqs) == 12_000
    assert journal.forget(range(40_000)) == 12_000


def test_a_reader_cannot_write(journal: Journal, path: Path, read: Read) -> None:
    reader = read(path)
    for attempt in (lambda: reader.append([memory()]), lambda: reader.forget([1]),
                    lambda: reader.relabel([1], ['door']), reader.renew_generation):
        with pytest.raises(JournalError, match='open for reading only'):
            attempt()


def test_what_the_file_cannot_express_is_refused(journal: Journal) -> None:
    for bad in (memory(h3_cell='kitchen'), memory(h3_cell='-1'), memory(h3_cell='1' * 17),
                memory(id='\ud800'), memory(robot='\ud800'), memory(model_id='')):
        with pytest.raises(InputError):
            journal.append([memory(1), bad])
    for labels in ('door', ['']):
        with pytest.raises(ConfigurationError, match='list of words'):
            journal.relabel([1], labels)
    assert journal.count == 0
    assert journal.append([memory(h3_cell='')]) == [1]
    assert journal.get([1])[1].h3_cell == ''


def test_a_closed_journal_says_so(journal: Journal) -> None:
    journal.close()
    journal.close()
    with pytest.raises(JournalUnavailableError, match='was closed; open it again'):
        journal.append([memory()])
    with pytest.raises(JournalUnavailableError, match='was closed'):
        journal.last_seq


def test_a_journal_may_move_to_another_thread(journal: Journal) -> None:
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(journal.append, [memory()]).result() == [1]
    assert journal.count == 1


@pytest.mark.parametrize(('durability', 'level'), [('process', 1), ('power', 2)])
def test_durability_decides_what_is_waited_for(
        path: Path, durability: Durability, level: int) -> None:
    with Journal.open_writer(path, SPEC, durability) as journal:
        assert journal._connection.sql.execute('PRAGMA synchronous').fetchone() == (level,)
        assert journal.append([memory()]) == [1]


def test_a_file_system_without_shared_memory_is_refused(path: Path) -> None:
    connection = sqlite3.connect(f'{path.as_uri()}?vfs=unix-dotfile', uri=True)
    with pytest.raises(JournalUnavailableError, match=r'network drive.*on a local disk'):
        begin_wal(connection, path, is_new=True)
    connection.close()


def test_a_name_that_points_to_the_file_is_as_good_as_the_file(
        path: Path, tmp_path: Path, read: Read) -> None:
    link = tmp_path / 'link.db'
    link.symlink_to(path)
    with Journal.open_writer(link, SPEC) as journal:
        journal.append([memory()])
        assert journal.file_size_bytes > path.stat().st_size
        assert read(path).count == read(link).count == 1
        assert not journal.is_detached
    assert link.is_symlink()


def test_without_a_file_there_is_no_existing_writer(path: Path) -> None:
    for make in (lambda: None, path.touch):
        make()
        with pytest.raises(JournalError, match='no memory file, or an empty one; check the path'):
            Journal.open_existing_writer(path)
    assert {part.name for part in path.parent.iterdir()} == {path.name}
    sqlite3.connect(path).execute('PRAGMA journal_mode = WAL').connection.close()
    with pytest.raises(JournalError, match='no memory file, or an empty one'):
        Journal.open_existing_writer(path)


def test_what_is_stored_while_a_reader_asks_is_no_damage(path: Path) -> None:
    with Journal.open_writer(path, SPEC) as journal, closing(
            sqlite3.connect(path, isolation_level=None)) as reader:
        def at(statement: str) -> None:  # called before it runs
            if statement == 'SELECT 1 FROM memories LIMIT 1':
                journal.append([memory(1)])
        reader.set_trace_callback(at)
        assert last_number(reader, path, 'memories') == 1


def test_a_memory_that_is_stored_while_it_is_looked_for_is_no_damage(
        path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(1)])
        reader = Journal.open_reader(path)
        assert reader is not None
        look = reader._rows_of

        def look_and_then(ids: Sequence[str]) -> list[Row]:
            rows = list(look(ids))
            journal.append([memory(2)])
            return rows
        monkeypatch.setattr(reader, '_rows_of', look_and_then)
        with reader:
            assert reader.seqs_of([memory(2).id]) == {}
