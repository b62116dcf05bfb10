from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
import subprocess
import sys

from spatial_rag_core import cli
from spatial_rag_core.errors import (
    ConfigurationError,
    JournalError,
    JournalMismatchError,
    JournalUnavailableError,
)
from spatial_rag_core.memory import memory_commands
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.journal_schema import JournalSpec
from spatial_rag_core.memory.reencode import reencode, ReencodeCounts
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position
from spatial_rag_core.settings import Settings

import cv2
import numpy as np
import pytest

pytest.importorskip('torch', reason='re-encoding needs a bundle, and that needs torch')

from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.untrained import create_untrained_bundle

SPEC = JournalSpec(z_dim=3, action_dim=2, h3_resolution=12, datum_latitude_deg=48.0)


def picture(n: int) -> bytes:
    """A JPEG of two colours that tell n."""
    bgr = np.full((24, 32, 3), (10 * n % 256, 255 - 9 * n % 256, 40), np.uint8)
    bgr[:, :16] = (200, 20, 3 * n % 256)
    return bytes(cv2.imencode('.jpg', bgr)[1])


def memory(n: int) -> Memory:
    return Memory(
        f'id-{n}', as_latent([n, 0, 0]), Pose(Position(n, -n, 0.5)), '8c', 1000.0 + n / 20,
        'old-model', as_action([n, 1]), f'session-{n % 2}', 'r2', 'kitchen', ('door',),
        thumbnail={0: b'', 7: b'\xff\xd8 no picture'}.get(n, picture(n)))


@pytest.fixture(scope='module')
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('reencode') / 'new.pt'
    create_untrained_bundle(path, Settings(z_dim=6, image_size=32))
    return path


@pytest.fixture(scope='module')
def bundle(bundle_path: Path) -> Bundle:
    return Bundle.load(bundle_path, device='cpu')


@pytest.fixture
def old(tmp_path: Path) -> Path:
    path = tmp_path / 'old.db'
    with Journal.open_writer(path, SPEC) as journal:
        journal.append([memory(n) for n in range(600)])
    return path


def no_progress(done: int, total: int) -> None:
    assert 0 < done <= total


def read(path: Path) -> list[Memory]:
    journal = Journal.open_reader(path)
    assert journal is not None
    with journal:
        found = journal.get(journal.index_rows_after(0).seqs.tolist())
    return [found[seq] for seq in sorted(found)]


def test_every_memory_with_a_picture_gets_the_new_models_latent_and_keeps_all_else(
        old: Path, bundle: Bundle) -> None:
    new, progress = old.with_name('new.db'), list[tuple[int, int]]()
    counts = reencode(old, new, bundle, lambda done, total: progress.append((done, total)))
    assert counts == ReencodeCounts(written=598, left_out=2)
    assert progress == [(256, 600), (512, 600), (600, 600)]
    kept = [n for n in range(600) if n not in (0, 7)]
    found = read(new)
    assert [again.id for again in found] == [f'id-{n}' for n in kept]
    for n, again in zip(kept, found, strict=True):
        was = memory(n)
        for name in ('pose', 'h3_cell', 'timestamp', 'session', 'robot', 'map_id', 'labels',
                     'thumbnail'):
            assert getattr(again, name) == getattr(was, name)
        assert again.action.tolist() == was.action.tolist()
        assert again.model_id == bundle.model_id
    rgb = cv2.cvtColor(cv2.imdecode(np.frombuffer(picture(599), np.uint8), cv2.IMREAD_COLOR),
                       cv2.COLOR_BGR2RGB)
    assert found[-1].vector.tolist() == bundle.encode_image(rgb).tolist()
    assert len({again.vector.tobytes() for again in found}) > 50


def test_the_new_file_is_a_memory_of_the_new_model_and_the_old_one_stays(
        old: Path, bundle: Bundle) -> None:
    before = old.read_bytes()
    new = old.with_name('new.db')
    reencode(old, new, bundle, no_progress)
    assert old.read_bytes() == before
    expected = JournalSpec(z_dim=6, action_dim=2, h3_resolution=12, datum_latitude_deg=48.0)
    with Journal.open_writer(new, expected) as journal:
        assert journal.model_id == bundle.model_id
    assert [path.name for path in old.parent.iterdir() if 'new' in path.name] == ['new.db']


def test_what_exists_is_not_written_over(old: Path, bundle: Bundle) -> None:
    new = old.with_name('new.db')
    new.write_text('precious')
    for target in (new, old):
        with pytest.raises(ConfigurationError, match=f'{target} exists already; name a file'):
            reencode(old, target, bundle, no_progress)
    assert new.read_text() == 'precious'


@pytest.mark.parametrize('interruption', [KeyboardInterrupt, JournalError])
def test_an_interrupted_run_leaves_nothing_behind(
        old: Path, bundle: Bundle, interruption: type[BaseException]) -> None:
    new = old.with_name('new.db')

    def interrupt(done: int, total: int) -> None:
        raise interruption

    with pytest.raises(interruption):
        reencode(old, new, bundle, interrupt)
    assert [path.name for path in old.parent.iterdir() if 'new' in path.name] == []


def test_the_rest_of_a_run_that_was_killed_does_not_matter(old: Path, bundle: Bundle) -> None:
    old.with_name('new.db.unfinished').write_bytes(b'half')
    reencode(old, old.with_name('new.db'), bundle, no_progress)
    assert len(read(old.with_name('new.db'))) == 598


def test_a_bundle_of_other_actions_is_refused(tmp_path: Path, bundle: Bundle) -> None:
    old = tmp_path / 'old.db'
    Journal.open_writer(old, JournalSpec(action_dim=3)).close()
    with pytest.raises(JournalMismatchError, match='action_dim 3, the bundle takes 2; use a'):
        reencode(old, tmp_path / 'new.db', bundle, no_progress)


def test_without_a_memory_file_there_is_nothing_to_do(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(JournalError, match='no memory file'):
        reencode(tmp_path / 'old.db', tmp_path / 'new.db', bundle, no_progress)
    assert list(tmp_path.iterdir()) == []


def test_a_target_that_cannot_be_there_is_an_error_of_ours(old: Path, bundle: Bundle) -> None:
    with pytest.raises(JournalUnavailableError, match=f'{old}/new.db cannot be written'):
        reencode(old, old / 'new.db', bundle, no_progress)


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def test_the_command_that_the_journal_recommends_works(
        old: Path, bundle_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = old.with_name('new.db')
    assert run('memory', 'reencode', old, new, '--model', bundle_path) == 0
    out, err = capsys.readouterr()
    assert '598 memories of model' in out
    assert '2 left out for want of a readable picture' in out
    assert err == ''  # no progress where nobody watches
    assert run('memory', 'reencode', old, new, '--model', bundle_path) == 1
    assert 'exists already' in capsys.readouterr().err


def test_progress_is_one_line_on_a_terminal(
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys.stderr, 'isatty', lambda: True)
    for done in (256, 512, 600):
        memory_commands._show_progress(done, 600)
    assert capsys.readouterr().err == (
        '\r256 of 600 memories\r512 of 600 memories\r600 of 600 memories\n')


def test_ctrl_c_is_told_in_one_line(
        old: Path, bundle_path: Path, monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str]) -> None:
    def interrupt(*_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(memory_commands, '_show_progress', interrupt)
    new = old.with_name('new.db')
    assert run('memory', 'reencode', old, new, '--model', bundle_path) == 130
    assert capsys.readouterr().err == 'spatial-rag: interrupted\n'
    assert not new.exists()


def facts(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert run('memory', 'info', path, '--json') == 0
    values: dict[str, object] = json.loads(capsys.readouterr().out)
    return values


def test_info_says_what_a_memory_file_holds(
        old: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = facts(old, capsys)
    assert values == {
        'count': 600, 'sessions': 2, 'oldest': 1000.0, 'newest': 1029.95, 'h3_resolution': 12,
        'z_dim': 3, 'action_dim': 2, 'model_id': 'old-model',
        'file_size_bytes': old.stat().st_size}
    assert run('memory', 'info', old) == 0
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert set(lines) == set(values)
    assert lines['oldest'] == '1970-01-01T00:16:40+00:00'


def test_info_of_an_empty_memory_has_no_times(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Journal.open_writer(tmp_path / 'm.db', SPEC).close()
    values = facts(tmp_path / 'm.db', capsys)
    assert (values['count'], values['oldest'], values['model_id']) == (0, None, None)
    assert run('memory', 'info', tmp_path / 'm.db') == 0
    assert 'oldest              -' in capsys.readouterr().out


@pytest.mark.parametrize('make', [lambda path: None, lambda path: path.write_bytes(b'garbage')])
def test_info_of_no_memory_is_one_line_and_exit_status_1(
        make: Callable[[Path], object], tmp_path: Path,
        capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / 'm.db')
    assert run('memory', 'info', tmp_path / 'm.db') == 1
    error = capsys.readouterr().err
    assert error.startswith('spatial-rag: ')
    assert error.count('\n') == 1


def test_info_needs_no_torch(old: Path) -> None:
    program = ('import sys; from spatial_rag_core import cli; '
               f'cli.main(["memory", "info", {str(old)!r}]); print("torch" in sys.modules)')
    done = subprocess.run([sys.executable, '-c', program], text=True, capture_output=True,
                          check=True, timeout=60)
    assert done.stdout.splitlines()[-1] == 'False'
