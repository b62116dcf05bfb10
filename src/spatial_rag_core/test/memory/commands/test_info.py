from __future__ import annotations

from collections.abc import Callable
import os
from pathlib import Path
import sqlite3
import subprocess
import sys
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.records import as_latent, Memory, Pose

import pytest

HEAVY = ('torch', 'matplotlib', 'pyarrow', 'qdrant_client', 'qdrant_edge', 'faiss', 'cv2')


def imported_by(call: str) -> set[str]:
    """Those of HEAVY that a call brings in, in a fresh interpreter."""
    program = (f'import sys; from spatial_rag_core import cli; {call}; '
               'print(*sys.modules, file=sys.stderr)')
    done = subprocess.run([sys.executable, '-c', program], text=True, capture_output=True,
                          check=True, timeout=60)
    return set(HEAVY) & set(done.stderr.split())


def test_help_and_info_import_nothing_heavy(path: Path) -> None:
    assert imported_by('cli._parser().format_help()') == set()
    assert imported_by(f'cli.main(["memory", "info", {str(path)!r}])') == set()


def test_the_proof_above_would_notice_something_heavy(path: Path) -> None:
    picture = path.with_name('map.png')
    call = f'cli.main(["memory", "map", {str(path)!r}, "-o", {str(picture)!r}])'
    assert 'matplotlib' in imported_by(call)


def test_info_says_what_a_memory_file_holds(path: Path, run: Callable[..., Any]) -> None:
    values = run('info', path, '--json').values
    first = {'session': 'first', 'robot': 'r1', 'map_id': 'kitchen', 'count': 6,
             'oldest_unix_sec': 1000.0, 'newest_unix_sec': 1050.0}
    second = {'session': 'second', 'robot': 'r2', 'map_id': 'kitchen', 'count': 6,
              'oldest_unix_sec': 87460.0, 'newest_unix_sec': 87510.0}
    assert values.pop('cell_count') in (2, 3, 4)
    assert values.pop('file_size_bytes') == path.stat().st_size
    assert values.pop('bytes_per_memory') == path.stat().st_size / 12
    assert values == {
        'path': str(path), 'count': 12, 'oldest_unix_sec': 1000.0, 'newest_unix_sec': 87510.0,
        'extent_m': {'x': [0.0, 11.0], 'y': [0.0, 0.0], 'z': [0.5, 0.5]}, 'h3_resolution': 13,
        'z_dim': 3, 'action_dim': 2, 'model_id': 'some-model', 'map_frame': 'map',
        'datum': {'latitude_deg': 48.0, 'longitude_deg': 0.0, 'heading_deg': 0.0},
        'schema_version': 2, 'writer': None, 'session_count': 2, 'sessions': [first, second],
        'labels': {'door': 3, 'wet': 3}}


def test_info_for_people_fits_80_columns(path: Path, run: Callable[..., Any]) -> None:
    told = run('info', path)
    assert 'from       1970-01-01 00:16:40 UTC' in told.out
    assert 'extent     x 0.00 to 11.00, y 0.00 to 0.00, z 0.50 to 0.50 m' in told.out
    assert 'first    r1     kitchen      6  1970-01-01 00:16:40  50.0 s' in told.out
    assert 'labels: door (3), wet (3)' in told.out
    assert max(map(len, told.out.splitlines())) <= 80


def test_of_many_sessions_the_newest_are_shown(path: Path, run: Callable[..., Any]) -> None:
    told = run('info', path, '--sessions', 1)
    assert 'and 1 older; --sessions 0 shows all' in told.out
    assert '\nsecond ' in told.out
    assert '\nfirst ' not in told.out
    assert [one['session'] for one in run('info', path, '--sessions', 1, '--json').values[
        'sessions']] == ['second']
    assert len(run('info', path, '--sessions', 0, '--json').values['sessions']) == 2
    assert run('info', path, '--sessions', -1).status == 2


def test_info_of_an_empty_memory(tmp_path: Path, run: Callable[..., Any]) -> None:
    Journal.open_writer(tmp_path / 'm.db', JournalSpec()).close()
    values = run('info', tmp_path / 'm.db', '--json').values
    assert (values['count'], values['sessions'], values['labels']) == (0, [], {})
    for name in ('oldest_unix_sec', 'newest_unix_sec', 'extent_m', 'bytes_per_memory',
                 'model_id'):
        assert values[name] is None
    assert '\nspan       -\n' in run('info', tmp_path / 'm.db').out


def test_info_names_who_writes(path: Path, run: Callable[..., Any]) -> None:
    with Journal.open_existing_writer(path, holder='memory_writer'):
        values = run('info', path, '--json').values['writer']
        assert (values['program'], values['pid']) == ('memory_writer', os.getpid())
        assert f'writer     memory_writer, pid {os.getpid()} on ' in run('info', path).out
    assert run('info', path, '--json').values['writer'] is None


def test_names_from_elsewhere_cannot_steer_the_terminal(
        tmp_path: Path, run: Callable[..., Any]) -> None:
    with Journal.open_writer(tmp_path / 'm.db', JournalSpec(z_dim=1)) as journal:
        journal.append([Memory('a', as_latent([0]), Pose((0.0, 0.0, 0.0)), '', 0.0, 'some-model',
                               session='a\x1b[2J\nb', labels=('\x07',))])
    told = run('info', tmp_path / 'm.db')
    assert '\na?[2J?b ' in told.out
    assert 'labels: ? (1)' in told.out


@pytest.mark.parametrize('content', [None, b'', b'garbage', b'x' * 4096])
def test_info_of_no_memory_is_one_line_and_exit_status_1(
        content: bytes | None, tmp_path: Path, run: Callable[..., Any]) -> None:
    if content is not None:
        (tmp_path / 'm.db').write_bytes(content)
    told = run('info', tmp_path / 'm.db', '--json')
    assert (told.status, told.out, told.err.count('\n')) == (1, '', 1)
    assert told.err.startswith('spatial-rag: ')


def test_a_lost_memory_is_not_passed_over(path: Path, run: Callable[..., Any]) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute('DELETE FROM memories WHERE seq = 5')
    connection.close()
    told = run('info', path)
    assert told.status == 1
    assert 'should hold 12 memories, 11 were found' in told.err


def test_what_waits_in_the_write_ahead_log_is_no_size_of_a_memory(
        path: Path, run: Callable[..., Any]) -> None:
    size_bytes = path.stat().st_size
    with Journal.open_existing_writer(path) as writer:
        for _ in range(20):
            writer.renew_generation()
        values = run('info', path, '--json').values
    assert values['file_size_bytes'] > 2 * size_bytes
    assert values['bytes_per_memory'] == size_bytes / 12
