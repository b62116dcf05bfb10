from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
import json
from pathlib import Path
import re
import resource
import stat
import subprocess
import sys
import tracemalloc

from spatial_rag_core.errors import (
    ConfigurationError,
    InputError,
    JournalDamagedError,
    JournalError,
    JournalInUseError,
    JournalMismatchError,
    ModelMismatchError,
    SchemaVersionError,
)
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.parquet import (
    export_parquet,
    exporting,
    import_parquet,
    ImportReport,
    layout,
)
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.memory.upkeep.integrity import check
from spatial_rag_core.records import Memory, MemorySelection, Pose, Position, Quaternion

from hypothesis import given, settings
from hypothesis import strategies as st
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ..memory_files import content, contents, flip, GRID, make, memory, read, SPEC

reproducibly = settings(derandomize=True, deadline=None, database=None, max_examples=25)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return make(tmp_path / 'memory.db', 250)


@pytest.fixture
def table_file(tmp_path: Path) -> Path:
    return tmp_path / 'memories.parquet'


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / 'new.db'


@pytest.fixture
def small_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, 'ROWS_PER_GROUP', 100)


def changed(source: Path, table_file: Path, change: Callable[[pa.Table], pa.Table]) -> Path:
    """What another tool made of an export."""
    export_parquet(source, table_file)
    table = pq.read_table(table_file)
    pq.write_table(change(table), table_file)
    return table_file


def with_column(name: str, values: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        return table.set_column(table.schema.get_field_index(name), name, values)

    return change


def with_value(name: str, row: int, value: object) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        kind = table.schema.field(name).type
        if name == 'vector':
            kind = pa.list_(pa.float32())
        values = table.column(name).to_pylist()
        values[row] = value
        return with_column(name, pa.array(values, kind))(table)

    return change


def test_a_memory_file_comes_back_as_it_was(source: Path, table_file: Path, target: Path,
                                            small_groups: None) -> None:
    steps = list[tuple[int, int]]()
    assert export_parquet(source, table_file,
                          on_progress=lambda *step: steps.append(step)) == 250
    assert steps == [(100, 250), (200, 250), (250, 250)]
    steps.clear()
    assert import_parquet(table_file, target,
                          lambda *step: steps.append(step)) == ImportReport(250, 0)
    assert steps[-1] == (250, 250)
    assert contents(read(target)) == contents(read(source))
    assert check(target).is_clean
    journal = Journal.open_reader(target)
    assert journal is not None
    with journal:
        assert (journal.spec, journal.model_id) == (SPEC, 'model-a')
    assert stat.S_IMODE(table_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(target.stat().st_mode) == 0o600


words = st.text(st.characters(exclude_categories=['Cs']), max_size=8)
float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
metres = st.floats(-1e7, 1e7)
TURNS = (Quaternion(0.0, 0.0, 0.6, 0.8), Quaternion(0.5, -0.5, 0.5, -0.5))


@st.composite
def any_memory(draw: st.DrawFn) -> Memory:
    position = Position(draw(metres), draw(metres), draw(metres))
    return Memory(
        draw(st.text(st.characters(exclude_categories=['Cs']), min_size=1)),
        np.array(draw(st.lists(float32, min_size=4, max_size=4)), np.float32),
        Pose(position, draw(st.sampled_from(TURNS))), GRID.cell(position),
        draw(st.floats(allow_nan=False, allow_infinity=False)), 'model-a',
        np.array(draw(st.one_of(st.just([]), st.lists(float32, min_size=2, max_size=2))),
                 np.float32),
        draw(words), draw(words), draw(words),
        tuple(draw(st.lists(words.filter(bool), max_size=3))), draw(st.binary(max_size=50)))


def test_whatever_the_memories_they_come_back_to_the_bit(
        tmp_path_factory: pytest.TempPathFactory) -> None:
    @reproducibly
    @given(st.lists(any_memory(), max_size=6, unique_by=lambda memory: memory.id))
    def claim(memories: list[Memory]) -> None:
        folder = tmp_path_factory.mktemp('any')
        with Journal.open_writer(folder / 'a.db', SPEC) as journal:
            journal.append(memories)
        assert export_parquet(folder / 'a.db', folder / 'a.parquet') == len(memories)
        assert import_parquet(folder / 'a.parquet', folder / 'b.db').written == len(memories)
        assert contents(read(folder / 'b.db')) == contents(memories)

    claim()


def test_poses_that_rounding_could_change_come_back_to_the_bit(tmp_path: Path) -> None:
    turns = np.random.default_rng(0).normal(size=(300, 4))
    turns /= np.linalg.norm(turns, axis=1, keepdims=True)
    with Journal.open_writer(tmp_path / 'a.db', SPEC) as journal:
        journal.append([memory(n, pose=Pose(memory(n).position, Quaternion(*turn)))
                        for n, turn in enumerate(turns.tolist())])
    export_parquet(tmp_path / 'a.db', tmp_path / 'a.parquet')
    import_parquet(tmp_path / 'a.parquet', tmp_path / 'b.db')
    records = []
    for name in ('a.db', 'b.db'):
        journal = Journal.open_reader(tmp_path / name)
        assert journal is not None
        with journal:
            records.append(journal.records_after(0)['orientation'].tobytes())
    assert records[0] == records[1]


def test_others_find_plain_columns_and_what_they_mean(source: Path, table_file: Path) -> None:
    export_parquet(source, table_file)
    file = pq.ParquetFile(table_file)
    metadata = file.schema_arrow.metadata
    assert json.loads(metadata[b'spatial_rag.spec']) == asdict(SPEC)
    assert metadata[b'spatial_rag.model_id'] == b'model-a'
    assert metadata[b'spatial_rag.format'] == b'1'
    assert {field.name: str(field.type) for field in file.schema_arrow} == {
        'id': 'string', 'timestamp': 'double',
        **dict.fromkeys(('x', 'y', 'z', 'qx', 'qy', 'qz', 'qw'), 'double'),
        'h3_cell': 'string', 'vector': 'fixed_size_list<element: float>[4]',
        'action': 'list<element: float>', 'session': 'string', 'robot': 'string',
        'map_id': 'string', 'labels': 'list<element: string>', 'thumbnail': 'binary'}
    row, expected = file.read().slice(7, 1).to_pylist()[0], memory(7)
    assert (row['id'], row['timestamp'], row['x'], row['qw']) == (
        'id-7', expected.timestamp, expected.position.x, expected.orientation.w)
    assert row['vector'] == expected.vector.tolist()
    assert (row['h3_cell'], row['labels'], row['thumbnail']) == (
        expected.h3_cell, ['door'], expected.thumbnail)
    file.close()


def test_only_what_is_selected_is_exported_and_pictures_may_stay_behind(
        source: Path, table_file: Path, target: Path, small_groups: None) -> None:
    chosen = MemorySelection(session='session-3', labels=('door',))
    assert export_parquet(source, table_file, chosen, with_thumbnails=False) == 33
    assert 'thumbnail' not in pq.read_schema(table_file).names
    import_parquet(table_file, target)
    assert contents(read(target)) == contents([
        memory(n, thumbnail=b'') for n in range(150, 200) if n % 3])


def test_memories_that_are_there_are_passed_over(source: Path, table_file: Path,
                                                 target: Path) -> None:
    export_parquet(source, table_file)
    with Journal.open_writer(target, SPEC) as journal:
        journal.append([memory(5, session='mine'), memory(9999)])
    assert import_parquet(table_file, target) == ImportReport(249, 1)
    assert import_parquet(table_file, target) == ImportReport(0, 250)
    found = read(target)
    assert [one.id for one in found[:3]] == ['id-5', 'id-9999', 'id-0']
    assert found[0].session == 'mine'
    assert len(found) == 251
    assert check(target).is_clean


def test_of_two_rows_with_one_id_the_first_counts(source: Path, table_file: Path,
                                                  target: Path) -> None:
    changed(source, table_file, lambda table: pa.concat_tables([table, table.slice(3, 2)]))
    changed_again = with_value('id', 249, 'id-7')
    pq.write_table(changed_again(pq.read_table(table_file)), table_file)
    assert import_parquet(table_file, target) == ImportReport(249, 3)
    assert contents(read(target)) == contents([memory(n) for n in range(249)])


def test_an_empty_memory_makes_an_empty_table_and_back(tmp_path: Path, table_file: Path,
                                                       target: Path) -> None:
    assert export_parquet(make(tmp_path / 'empty.db', 0), table_file) == 0
    assert import_parquet(table_file, target) == ImportReport(0, 0)
    assert read(target) == []


def test_what_pandas_and_duckdb_write_is_understood(source: Path, table_file: Path,
                                                    target: Path) -> None:
    """Lists of double, large strings, dictionaries, columns in another order and unknown ones."""
    def rewrite(table: pa.Table) -> pa.Table:
        for name, kind in (('vector', pa.list_(pa.float64())), ('id', pa.large_string()),
                           ('action', pa.large_list(pa.float64())),
                           ('session', pa.dictionary(pa.int32(), pa.string())),
                           ('labels', pa.large_list(pa.large_string())),
                           ('thumbnail', pa.large_binary())):
            table = with_column(name, table.column(name).cast(kind))(table)
        table = table.append_column('note', pa.array(['x'] * len(table)))
        return table.select(list(reversed(table.schema.names)))

    assert import_parquet(changed(source, table_file, rewrite), target).written == 250
    assert contents(read(target)) == contents(read(source))


def test_columns_that_can_be_done_without_may_be_missing(source: Path, table_file: Path,
                                                         target: Path) -> None:
    without = ['h3_cell', 'action', 'session', 'robot', 'map_id', 'labels', 'thumbnail']
    changed(source, table_file, lambda table: table.drop_columns(without))
    assert import_parquet(table_file, target).written == 250
    kept = ('action', 'session', 'robot', 'map_id', 'labels', 'thumbnail')
    for found, expected in zip(read(target), read(source), strict=True):
        assert content(found, but=kept) == content(expected, but=kept)
        assert (found.session, found.labels, found.thumbnail, len(found.action)) == ('', (), b'',
                                                                                    0)


def test_metadata_that_is_missing_may_come_from_a_file_that_exists(
        source: Path, table_file: Path, target: Path) -> None:
    changed(source, table_file, lambda table: table.replace_schema_metadata({}))
    with pytest.raises(InputError, match=r'does not tell spatial_rag\.spec .*pydoc'):
        import_parquet(table_file, target)
    with Journal.open_writer(target, SPEC):
        pass
    with pytest.raises(InputError, match=r'does not tell spatial_rag\.model_id'):
        import_parquet(table_file, target)
    with Journal.open_writer(target, SPEC) as journal:
        journal.append([memory(9999)])
    assert import_parquet(table_file, target).written == 250


@pytest.mark.parametrize(('change', 'words'), [
    (lambda table: table.drop_columns(['qw']), 'lacks the column qw; '),
    (with_value('x', 17, float('nan')), r'row 17 \(counted from 0\): x is nan, expected a finite'),
    (with_value('qx', 17, None), r'row 17 \(counted from 0\): qx is None'),
    (with_value('timestamp', 249, float('inf')), 'row 249 .*timestamp is inf'),
    (with_value('y', 3, 2e7), r'row 3 .*position \(.*20000000.*is more than 1e\+07 m'),
    (with_value('qz', 3, 7.0), 'row 3 .*orientation .* has length 7'),
    (with_value('vector', 42, [1.0, 2.0]), 'row 42 .*vector has 2 numbers, expected 4; '),
    (with_value('vector', 42, None), 'row 42 .*vector has 0 numbers, expected 4; '),
    (with_value('vector', 42, [1.0, 2.0, None, 1e39]), 'row 42 .*vector is not finite'),
    (with_value('action', 42, [1.0]), 'row 42 .*action has 1 numbers, expected 2; '),
    (with_value('action', 42, [1.0, float('nan')]), r'row 42 .*action is \[1\.0, nan\]'),
    (with_value('id', 42, ''), 'row 42 .*id is empty; give each memory an id'),
    (with_value('h3_cell', 42, '8d754e64992d6ff'), "row 42 .*h3_cell '8d754e64992d6ff' is not"),
    (with_value('h3_cell', 42, 'nonsense'), "row 42 .*h3_cell 'nonsense' is not that of its"),
    (with_column('x', pa.array(250 * ['1'])), 'column x is of type string, expected numbers'),
    (with_column('id', pa.array(range(250))), 'column id is of type int64, expected strings'),
    (with_column('vector', pa.array(250 * ['1'])), 'column vector is of type string, expected li'),
    (with_column('labels', pa.array(250 * ['1'])), 'column labels is of type string, expected li'),
    (with_column('thumbnail', pa.array(250 * ['1'])), 'column thumbnail is of type string'),
    (lambda table: table.replace_schema_metadata({'spatial_rag.spec': '{"z_dim": 4}'}),
     'its metadata cannot be understood'),
    (lambda table: table.replace_schema_metadata({'spatial_rag.format': 'x'}),
     'its metadata cannot be understood'),
])
def test_a_file_that_does_not_fit_is_refused_by_row_or_column(
        source: Path, table_file: Path, target: Path,
        change: Callable[[pa.Table], pa.Table], words: str) -> None:
    changed(source, table_file, change)
    with pytest.raises(InputError, match=words) as refusal:
        import_parquet(table_file, target)
    assert str(table_file) in str(refusal.value)
    assert not target.exists()


def test_a_later_format_is_refused(source: Path, table_file: Path, target: Path) -> None:
    changed(source, table_file, lambda table: table.replace_schema_metadata(
        {'spatial_rag.format': '2'}))
    with pytest.raises(SchemaVersionError, match=r'has format 2 .* this software knows 1; update'):
        import_parquet(table_file, target)


def test_what_is_no_parquet_file_is_refused(source: Path, table_file: Path, tmp_path: Path,
                                            target: Path) -> None:
    with pytest.raises(InputError, match=r'none\.parquet: no such file'):
        import_parquet(tmp_path / 'none.parquet', target)
    export_parquet(source, table_file)
    whole = table_file.read_bytes()
    for junk in (b'', b'PAR1', b'hello' * 1000, whole[:len(whole) // 2], whole[50:]):
        table_file.write_bytes(junk)
        with pytest.raises(InputError, match=r'is no Parquet file, or a damaged one: .*export'):
            import_parquet(table_file, target)
    with pytest.raises(InputError, match='is no Parquet file'):
        import_parquet(tmp_path, target)
    assert not target.exists()


def test_a_changed_byte_is_refused_or_changes_nothing(source: Path, table_file: Path,
                                                      tmp_path: Path) -> None:
    export_parquet(source, table_file)
    whole, chance, refused = table_file.read_bytes(), np.random.default_rng(0), 0
    expected = contents(read(source))
    for n, at in enumerate(chance.integers(len(whole), size=60).tolist()):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << int(chance.integers(8))
        table_file.write_bytes(damaged)
        try:
            import_parquet(table_file, tmp_path / f'{n}.db')
        except (InputError, JournalError):
            refused += 1
        else:
            assert contents(read(tmp_path / f'{n}.db')) == expected
    assert refused > 30


def test_memories_of_another_kind_are_refused(source: Path, table_file: Path,
                                              target: Path) -> None:
    export_parquet(source, table_file)
    with Journal.open_writer(target, replace(SPEC, h3_resolution=12)):
        pass
    with pytest.raises(JournalMismatchError, match='was made with h3_resolution 12'):
        import_parquet(table_file, target)
    target.unlink()
    with Journal.open_writer(target, SPEC) as journal:
        journal.append([memory(1, model_id='model-b')])
    with pytest.raises(ModelMismatchError, match='holds latents of model model-b'):
        import_parquet(table_file, target)


def test_a_file_that_is_written_is_not_imported_into(source: Path, table_file: Path,
                                                     target: Path) -> None:
    export_parquet(source, table_file)
    with (Journal.open_writer(target, SPEC, holder='memory_writer'),
          pytest.raises(JournalInUseError, match='being written by memory_writer')):
        import_parquet(table_file, target)


def test_what_came_before_a_bad_row_stays_and_the_import_goes_on(
        source: Path, table_file: Path, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('spatial_rag_core.memory.parquet.importing.ROWS_PER_GROUP', 100)
    with Journal.open_writer(target, SPEC):
        pass
    changed(source, table_file, with_value('x', 230, float('nan')))
    with pytest.raises(InputError, match='row 230'):
        import_parquet(table_file, target)
    table_file.unlink()
    export_parquet(source, table_file)
    assert import_parquet(table_file, target) == ImportReport(50, 200)
    assert contents(read(target)) == contents(read(source))


def test_an_export_appears_whole_or_not_at_all(source: Path, table_file: Path,
                                               tmp_path: Path) -> None:
    with pytest.raises(JournalError, match='no memory file, or an empty one'):
        export_parquet(tmp_path / 'none.db', table_file)
    flip(source, memory(77).vector.tobytes())
    with pytest.raises(JournalDamagedError, match='memory 78'):
        export_parquet(source, table_file)
    assert list(tmp_path.glob('*.parquet*')) == []
    table_file.write_text('precious')
    with pytest.raises(ConfigurationError, match='exists already'):
        export_parquet(source, table_file)
    assert table_file.read_text() == 'precious'


def test_an_export_to_a_full_disk_names_the_target(source: Path, table_file: Path,
                                                   tmp_path: Path) -> None:
    result = subprocess.run([sys.executable, '-c', f"""
from pathlib import Path
import resource
from spatial_rag_core.errors import JournalUnavailableError
from spatial_rag_core.memory.parquet import export_parquet
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, {resource.RLIM_INFINITY}))
try:
    export_parquet(Path({str(source)!r}), Path({str(table_file)!r}))
except JournalUnavailableError as error:
    print(error)
"""], check=True, capture_output=True, text=True)
    assert result.stdout.startswith(f'{table_file} cannot be written: ')
    assert list(tmp_path.glob('*.parquet*')) == []


def test_memory_use_does_not_grow_with_the_file(tmp_path: Path,
                                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, 'ROWS_PER_GROUP', 100)
    monkeypatch.setattr('spatial_rag_core.memory.parquet.importing.ROWS_PER_GROUP', 100)

    def peak(count: int) -> int:
        path = make(tmp_path / f'{count}.db', count)
        tracemalloc.start()
        before = pa.total_allocated_bytes()
        export_parquet(path, path.with_suffix('.parquet'))
        import_parquet(path.with_suffix('.parquet'), tmp_path / f'{count}-again.db')
        used = tracemalloc.get_traced_memory()[1] + pa.total_allocated_bytes() - before
        tracemalloc.stop()
        return used

    peak(200)
    assert peak(2000) < 1.5 * peak(400)


def test_the_format_is_the_one_that_is_documented() -> None:
    from spatial_rag_core.memory import parquet
    assert parquet.__doc__ is not None
    for name in (*layout.COLUMNS, *(key.decode() for key in (
            layout.FORMAT, layout.SPEC, layout.MODEL_ID))):
        assert name in parquet.__doc__
    assert asdict(JournalSpec()).keys() <= set(re.findall(r'\w+', parquet.__doc__))
