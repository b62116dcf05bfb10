from __future__ import annotations

import argparse
from collections.abc import Callable
import fcntl
import os
from pathlib import Path
import struct
import subprocess
import sys
import termios
from typing import Any

from spatial_rag_core import cli
from spatial_rag_core.memory.commands.text import size_of, span_of, table, time_of, unix_time

import pytest

COMMANDS = ('info', 'query', 'map', 'forget', 'backup', 'restore', 'check', 'compact', 'export',
            'import', 'reencode', 'reanchor')


@pytest.mark.parametrize('name', COMMANDS)
def test_each_command_has_help_with_examples(
        name: str, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('COLUMNS', '80')
    told = run(name, '--help')
    assert told.status == 0
    assert told.out.startswith(f'usage: spatial-rag memory {name} ')
    assert '--json' in told.out
    text, examples = told.out.split('\nexamples:\n')
    assert max(map(len, text.splitlines())) <= 80
    for example in examples.splitlines():
        assert example.startswith(f'  spatial-rag memory {name} ')


@pytest.mark.parametrize('name', COMMANDS)
def test_each_example_is_a_command_that_is_understood(
        name: str, run: Callable[..., Any]) -> None:
    for example in run(name, '--help').out.split('\nexamples:\n')[1].splitlines():
        cli._parser().parse_args(cli._plain_numbers(example.split()[1:]))


def test_the_list_of_commands_is_whole(run: Callable[..., Any]) -> None:
    lines = run('--help').out.splitlines()
    assert {line.split()[0] for line in lines if line.startswith('    ')} == set(COMMANDS)


@pytest.mark.parametrize('words', [
    ('query', '--near', '0', '0'), ('forget', '--everything', '--yes'), ('backup', 'x'),
    ('restore', 'x'), ('check',), ('compact',), ('export', 'x.parquet'), ('map', '-o', 'x.png'),
    ('reanchor', '--yaw-deg', '1'), ('info',)])
def test_a_missing_file_is_one_line_and_exit_status_1(
        words: tuple[str, ...], tmp_path: Path, run: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = run(words[0], 'none.db', *words[1:])
    assert (told.status, told.out, told.err.count('\n')) == (1, '', 1)
    assert 'none.db' in told.err
    assert [path.suffix for path in tmp_path.iterdir()] in ([], ['.lock'])


@pytest.mark.parametrize(('words', 'is_shown'), [(['info'], True), (['info', '--quiet'], False)])
def test_a_terminal_shows_progress_unless_it_shall_be_quiet(
        words: list[str], is_shown: bool, path: Path) -> None:
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('4H', 24, 80, 0, 0))
    subprocess.run([sys.executable, '-m', 'spatial_rag_core.cli', 'memory', *words, str(path)],
                   stderr=theirs, stdout=subprocess.DEVNULL, check=True, timeout=60)
    os.write(theirs, b'the end')
    said = b''
    while b'the end' not in said:
        said += os.read(ours, 1000)
    os.close(theirs)
    os.close(ours)
    assert (b'reading: ' in said) == is_shown


@pytest.mark.parametrize('text', ['2026', '20261122', '1970'])
def test_a_number_that_may_be_a_date_is_not_taken_for_seconds(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=f'write 2026-11-22, or {text}.0 for'):
        unix_time(text)
    assert unix_time(f'{text}.0') == float(text)


def test_times_are_read_as_iso_8601_or_unix_seconds() -> None:
    for text in ('86400', '8.64e4', '1970-01-02', '1970-01-02T00:00:00Z',
                 '1970-01-02T01:00:00+01:00', '1970-01-02 00:00'):
        assert unix_time(text) == 86_400.0


@pytest.mark.parametrize(('text', 'expected'), [
    (time_of(None), '-'), (time_of(0.5), '1970-01-01 00:00:00'), (time_of(1e300), '1e+300 s'),
    (span_of(1.25), '1.2 s'), (span_of(3723.4), '1:02:03'), (span_of(1e300), '1e+300 s'),
    (size_of(0), '0 B'), (size_of(999), '999 B'), (size_of(999_900), '1 MB'),
    (size_of(1_617_920), '1.62 MB'), (size_of(7e15), '7e+03 TB'),
    (table(('a', 'b'), [('1', '22'), ('33', '')], right=(0,)), ' a  b\n 1  22\n33')])
def test_figures_for_people(text: str, expected: str) -> None:
    assert text == expected
