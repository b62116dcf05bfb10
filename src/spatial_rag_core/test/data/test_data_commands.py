from __future__ import annotations

import json
from pathlib import Path
import signal
import subprocess
import sys
from typing import Any

from spatial_rag_core import cli

import h5py
import pytest

from .episode_samples import make

SMALL = ('--maps', 2, '--test-maps', 1, '--steps', 6, '--image-size', 8)


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def answer(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, dict[str, Any]]:
    capsys.readouterr()
    status = run(*words, '--json')
    values: dict[str, Any] = json.loads(capsys.readouterr().out)
    return status, values


def test_generate_makes_a_file_and_says_what_is_new(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / 'rooms.h5'
    status, values = answer(capsys, 'data', 'generate', path, *SMALL, '--no-depth')
    assert (status, values['count'], values['added'], values['frames']) == (0, 3, 3, 18)
    assert values['size_bytes'] == path.stat().st_size
    assert run('data', 'generate', path, *SMALL, '--no-depth') == 0
    assert capsys.readouterr().out.startswith(f'{path}: 3 episodes of 6 moments, 0 of them new')
    assert run('data', 'generate', path, *SMALL) == 1
    assert 'with_depth False there, True asked for' in capsys.readouterr().err


_WITHOUT_H5PY = """
import sys

class Nothing:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'h5py':
            raise ModuleNotFoundError(f'No module named {name!r}', name=name)

sys.meta_path.insert(0, Nothing())
from spatial_rag_core import cli
sys.exit(cli.main(sys.argv[1:]))
"""


@pytest.mark.parametrize('words', [
    ('data', 'info', 'a.h5'), ('data', 'check', 'a.h5'), ('data', 'collect', 'a.h5', 'tour'),
    ('data', 'generate', 'a.h5', '--maps', '1'), ('train', '--data', 'a.h5')])
def test_a_machine_without_h5py_is_told_what_to_install(words: tuple[str, ...],
                                                        tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, '-c', _WITHOUT_H5PY, *words], cwd=tmp_path, text=True,
                          capture_output=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, '')
    assert done.stderr == ("spatial-rag: No module named 'h5py'; this command needs what training "
                           'needs: pip install -r requirements/training.txt\n')


def begin_generating(path: Path) -> subprocess.Popen[str]:
    """A process with two workers that is in the middle of it."""
    words = [sys.executable, '-m', 'spatial_rag_core.cli', 'data', 'generate', str(path), '--maps',
             '500', '--steps', '5', '--image-size', '8', '--workers', '2']
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True)
    while not path.exists() or path.stat().st_size < 20_000:
        assert process.poll() is None
    return process


def test_generate_stopped_by_ctrl_c_can_be_continued(tmp_path: Path) -> None:
    path = tmp_path / 'rooms.h5'
    with begin_generating(path) as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert process.stderr.read() == 'spatial-rag: interrupted\n'
        assert process.wait(20) == 130
    assert run('data', 'check', path) == 0


def test_generate_that_is_killed_leaves_a_whole_file_and_no_worker(tmp_path: Path) -> None:
    path = tmp_path / 'rooms.h5'
    with begin_generating(path) as process:
        process.kill()
        assert process.stderr is not None
        process.stderr.read()  # ends when the last worker does, which has it open too
    assert run('data', 'check', path) == 0


def test_info_tells_what_is_in_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / 'episodes.h5', 5)
    status, values = answer(capsys, 'data', 'info', path)
    assert status == 0
    assert (values['episodes'], values['moments'], values['has_depth']) == (5, 100, True)
    assert [(one['split'], one['episodes'], one['maps']) for one in values['splits']] == [
        ('train', 2, 2), ('valid', 2, 2), ('test', 1, 1)]
    assert values['hours'] == pytest.approx(20 / 3600)
    assert (values['rates_hz'], values['image_sizes_px'], values['action_dims'],
            values['proprio_dims'], values['robots'], values['sources'], values['damaged']) == (
                [5.0], [8], [2], [3], ['robot-0', 'robot-1'], ['test'], [])
    assert run('data', 'info', path) == 0
    text = capsys.readouterr().out
    assert '5 episodes, 100 moments, 20.0 s' in text
    assert 'pictures: 8 px, with depth; 5 Hz' in text


def test_damage_is_told_by_info_and_by_check(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / 'episodes.h5', 3)
    assert answer(capsys, 'data', 'check', path) == (
        0, {'path': str(path), 'is_clean': True, 'count': 3, 'problems': []})
    with h5py.File(path, 'r+') as file:
        del file['data/demo_1/obs/rgb']
    _, values = answer(capsys, 'data', 'info', path)
    assert (values['episodes'], values['damaged'][0][0]) == (2, 'demo_1')
    assert run('data', 'info', path) == 0
    assert 'demo_1: obs/rgb is missing' in capsys.readouterr().out
    status, values = answer(capsys, 'data', 'check', path)
    assert (status, values['is_clean'], len(values['problems'])) == (1, False, 1)
    assert run('data', 'check', path) == 1
    assert 'demo_1: obs/rgb is missing' in capsys.readouterr().out


def test_check_reports_a_file_that_is_none_and_complains_of_one_that_is_missing(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / 'text').write_text('text')
    assert run('data', 'check', tmp_path / 'text') == 1
    assert 'is no HDF5 file' in capsys.readouterr().out
    assert run('data', 'check', tmp_path / 'none') == 1
    assert 'no such file of episodes' in capsys.readouterr().err


def test_an_empty_file_is_told_as_such(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path / 'empty.h5', 0)
    status, values = answer(capsys, 'data', 'info', path)
    assert (status, values['episodes'], values['start_sec']) == (0, 0, None)
    assert run('data', 'info', path) == 0
    assert run('data', 'check', path) == 0


def test_help_does_not_import_h5py() -> None:
    program = ('import sys; from spatial_rag_core import cli; cli._parser().format_help(); '
               'print("h5py" in sys.modules, "cv2" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', program], text=True, capture_output=True,
                          check=True, timeout=60)
    assert done.stdout.split() == ['False', 'False']


@pytest.mark.parametrize('words', [
    ('data',), ('data', 'generate', 'x.h5'), ('data', 'generate', '--maps', '1'),
    ('data', 'generate', 'x.h5', '--maps', 'many')])
def test_wrong_words_show_the_usage(
        words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='2'):
        run(*words)
    assert 'usage: spatial-rag data' in capsys.readouterr().err
