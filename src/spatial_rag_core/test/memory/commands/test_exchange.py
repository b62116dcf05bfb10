from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip('pyarrow', reason='export and import need PyArrow')


def test_what_is_exported_can_be_imported(
        path: Path, run: Callable[..., Any], ids: Callable[[Path], list[str]]) -> None:
    table, new = path.with_name('all.parquet'), path.with_name('new.db')
    values = run('export', path, table, '--json').values
    assert values == {'path': str(table), 'count': 12, 'size_bytes': table.stat().st_size}
    assert run('import', table, new, '--json').values == {
        'path': str(new), 'written': 12, 'already_there': 0}
    assert ids(new) == ids(path)
    assert run('import', table, new).out == f'{new}: 0 memories added, 12 were there\n'


def test_what_is_selected_is_exported(
        path: Path, run: Callable[..., Any], ids: Callable[[Path], list[str]]) -> None:
    table, new = path.with_name('some.parquet'), path.with_name('new.db')
    assert run('export', path, table, '--label', 'door', '--session', 'first').out == (
        f'{table}: 2 memories\n')
    assert run('import', table, new).status == 0
    assert ids(new) == ['id-00', 'id-04']


def test_pictures_can_be_left_out(path: Path, run: Callable[..., Any]) -> None:
    bare, whole = path.with_name('bare.parquet'), path.with_name('whole.parquet')
    sizes = [run('export', path, table, *words, '--json').values['size_bytes']
             for table, words in ((bare, ['--without-thumbnails']), (whole, []))]
    assert sizes[0] < sizes[1]


def test_what_is_no_export_is_refused(path: Path, run: Callable[..., Any]) -> None:
    table = path.with_name('x.parquet')
    table.write_bytes(b'no Parquet at all')
    told = run('import', table, path.with_name('new.db'))
    assert (told.status, told.err.count('\n')) == (1, 1)
    assert not path.with_name('new.db').exists()
