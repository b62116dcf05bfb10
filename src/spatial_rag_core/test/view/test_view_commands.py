"""`spatial-rag view`: a picture of a memory file and of one of its moments."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core import cli
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle_metadata import read_metadata
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position

import cv2
import numpy as np
import pytest

from .drawn import line, rows


@pytest.fixture
def memory_file(tmp_path: Path, bundle_path: Path) -> Path:
    """Two passes over the same 20 m, 100 s apart, a red and a green one."""
    model_id = read_metadata(bundle_path).model_id
    chance = np.random.default_rng(0)
    with Journal.open_writer(tmp_path / 'memory.db', JournalSpec()) as journal:
        cells = rows(line(200)).cells.tolist()
        for n in range(400):
            rgb = np.zeros((64, 64, 3), np.uint8)
            rgb[..., 2 - n // 200] = 200  # OpenCV's order
            journal.append([Memory(
                f'id-{n}', as_latent(chance.normal(size=32)), Pose(Position(n % 200 / 10, 0.0)),
                f'{cells[n % 200]:x}', 1.8e9 + n / 10 + 100 * (n // 200), model_id,
                as_action([0.5, 0.1]), session=f's{n // 200}',
                thumbnail=cv2.imencode('.jpg', rgb)[1].tobytes())])
    return tmp_path / 'memory.db'


def view(*words: object) -> int:
    return cli.main(['view', *map(str, words)])


def count(picture: np.ndarray, rgb: tuple[int, int, int], tolerance: int = 12) -> int:
    return int((np.abs(picture[..., ::-1].astype(int) - rgb).max(axis=2) < tolerance).sum())


def test_it_shows_memory_moment_and_pictures(
        memory_file: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = memory_file.with_name('view.png')
    assert view(memory_file, path, '--bundle', bundle_path) == 0
    assert capsys.readouterr().out == f'{path}: 400 memories in 4 cells, 8 recalled\n'
    picture = cv2.imread(str(path))
    assert count(picture, (0, 200, 0)) > 10_000, 'what the camera sees'
    assert count(picture, (200, 0, 0)) > 10_000, 'the best memory, of the other pass'
    assert count(picture, (36, 86, 214)) > 100, 'the predicted path'
    assert count(picture, (14, 138, 125)) > 100, 'the places of what is recalled'


def test_without_a_bundle_nothing_is_expected(
        memory_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = memory_file.with_name('view.png')
    assert view(memory_file, path, '--k', 3, '--json') == 0
    assert '"recalled": 3' in capsys.readouterr().out
    assert count(cv2.imread(str(path)), (36, 86, 214)) == 0


def test_an_earlier_moment_can_be_looked_at(memory_file: Path) -> None:
    path = memory_file.with_name('view.png')
    assert view(memory_file, path, '--at', 1.8e9 + 10.05) == 0
    picture = cv2.imread(str(path))
    assert count(picture, (200, 0, 0)) > 10_000, 'the camera of the first pass'


def test_vectors_can_be_written_as_well(memory_file: Path) -> None:
    assert view(memory_file, memory_file.with_name('view.svg')) == 0
    assert memory_file.with_name('view.svg').read_bytes().startswith(b'<?xml')


@pytest.mark.parametrize(('words', 'reason'), [
    (['view.docx'], 'ends in .png, .svg or .pdf'),
    (['view.png', '--at', 1.0], 'no memory up to that time'),
    (['view.png', '--radius', -1.0], 'radius_m must be > 0'),
    (['none/view.png'], 'cannot be written')])
def test_where_nothing_can_be_drawn_one_line_says_why(
        words: list[object], reason: str, memory_file: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    assert view(memory_file, memory_file.parent / str(words[0]), *words[1:]) == 1
    out, error = capsys.readouterr()
    assert (out, error.count('\n')) == ('', 1)
    assert reason in error


def test_an_empty_memory_and_another_models_are_refused(
        tmp_path: Path, memory_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal.open_writer(tmp_path / 'empty.db', JournalSpec()):
        pass
    assert view(tmp_path / 'empty.db', tmp_path / 'view.png') == 1
    assert 'let the robot make some' in capsys.readouterr().err
    assert view(tmp_path / 'none.db', tmp_path / 'view.png') == 1
    assert 'no memory file' in capsys.readouterr().err


def test_steps_must_be_positive(memory_file: Path) -> None:
    with pytest.raises(SystemExit) as refused:
        view(memory_file, memory_file.with_name('view.png'), '--steps', 0)
    assert refused.value.code == 2
