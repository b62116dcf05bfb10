from __future__ import annotations

from pathlib import Path

from spatial_rag_core import cli
from spatial_rag_core.errors import (
    ConfigurationError,
    JournalError,
    JournalMismatchError,
    JournalUnavailableError,
)
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.memory.upkeep.reencode import reencode, ReencodeCounts
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
    before, new = old.read_bytes(), old.with_name('new.db')
    reencode(old, new, bundle, no_progress)
    assert old.read_bytes() == before
    assert [path.name for path in old.parent.glob('*new*')] == ['new.db']
    expected = JournalSpec(z_dim=6, action_dim=2, h3_resolution=12, datum_latitude_deg=48.0)
    with Journal.open_writer(new, expected) as journal:
        assert journal.model_id == bundle.model_id


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
    for suffix in ('', '.lock', '-wal', '-shm'):
        old.with_name(f'new.db.unfinished{suffix}').write_bytes(b'half')
    reencode(old, old.with_name('new.db'), bundle, no_progress)
    assert len(read(old.with_name('new.db'))) == 598
    assert [path.name for path in old.parent.glob('new*')] == ['new.db']


def test_labels_that_came_later_are_kept_and_what_was_forgotten_stays_forgotten(
        old: Path, bundle: Bundle) -> None:
    with Journal.open_existing_writer(old) as journal:
        journal.relabel([3, 4], add=['red'], remove=['door'])
        journal.forget([10, 11])
    new = old.with_name('new.db')
    assert reencode(old, new, bundle, no_progress).written == 596
    labels = {memory.id: memory.labels for memory in read(new)}
    assert labels['id-2'] == labels['id-3'] == ('red',)
    assert labels['id-4'] == ('door',)
    assert 'id-9' not in labels
    with Journal.open_existing_writer(new) as journal:
        assert journal.stats().count == 596


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
