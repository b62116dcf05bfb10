"""Nobody but its owner may read what tells where a robot was, whatever the umask."""

from __future__ import annotations

from collections.abc import Iterator
import os
from pathlib import Path
import stat

from spatial_rag_core.cli import main
from spatial_rag_core.memory.file.connection import make_folders
from spatial_rag_core.memory.file.private_file import private_file
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.parquet.exporting import export_parquet
from spatial_rag_core.memory.qdrant.folder import open_edge_index
from spatial_rag_core.memory.qdrant.shipped_generations import ShippedGenerations
from spatial_rag_core.memory.upkeep.backup import backup, restore

import pytest

from ..memory_files import memory, SPEC


@pytest.fixture(autouse=True, params=[0o000, 0o022], ids=['umask 000', 'umask 022'])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    old = os.umask(request.param)
    yield
    os.umask(old)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    """A memory in folders that are made for it, while it is written."""
    with Journal.open_writer(tmp_path / 'new' / 'robot' / 'memory.db', SPEC) as journal:
        journal.append([memory(1, thumbnail=b'jpeg')])
        yield journal


def modes(folder: Path) -> dict[int, set[str]]:
    """Mode → names, of all that lies below a folder, and of itself."""
    found: dict[int, set[str]] = {}
    for path in (folder, *folder.rglob('*')):
        found.setdefault(stat.S_IMODE(path.lstat().st_mode), set()).add(path.name)
    return found


def test_a_memory_that_is_written_its_log_and_its_folders_are_its_owner_s(
        journal: Journal, tmp_path: Path) -> None:
    assert modes(tmp_path / 'new') == {
        0o700: {'new', 'robot'},
        0o600: {'memory.db', 'memory.db-wal', 'memory.db-shm', 'memory.db.lock'}}


def test_a_folder_that_was_there_stays_as_it_is(tmp_path: Path) -> None:
    folder = tmp_path / 'shared'
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    make_folders(folder / 'mine')
    assert modes(folder) == {0o755: {'shared'}, 0o700: {'mine'}}
    make_folders(folder / 'mine')


def test_backups_restored_files_and_exports_are_their_owner_s(
        journal: Journal, tmp_path: Path) -> None:
    folder = tmp_path / 'out'
    backup(journal.path, folder / 'backup.db')
    restore(folder / 'backup.db', folder / 'restored.db')
    export_parquet(journal.path, folder / 'memories.parquet')
    assert modes(folder) == {0o700: {'out'}, 0o600: {
        'backup.db', 'restored.db', 'restored.db.lock', 'memories.parquet'}}


def test_pictures_of_memories_and_of_the_map_are_their_owner_s(
        journal: Journal, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / 'pictures'
    query = ['memory', 'query', str(journal.path), '--near', '0', '0', '--thumbnails']
    assert main([*query, str(folder)]) == 0, capsys.readouterr().err
    for name in ('map.png', 'map.svg'):
        assert main(['memory', 'map', str(journal.path), '-o', str(folder / name)]) == 0
    (thumbnail,) = folder.glob('*.jpg')
    assert modes(folder) == {0o700: {'pictures'},
                             0o600: {'map.png', 'map.svg', thumbnail.name}}


def test_an_index_in_a_folder_is_its_owner_s_and_so_are_notes_on_what_was_shipped(
        journal: Journal, tmp_path: Path) -> None:
    pytest.importorskip('qdrant_edge')
    root = tmp_path / 'spatial_rag' / 'edge'
    open_edge_index(root, journal.path).close()
    home = root / f'{journal.generation:016x}'
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (root.parent, root, home)} == {0o700}
    for file in (home / 'spatial_rag.json', home.with_suffix('.lock')):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    ShippedGenerations(journal.path).add('somewhere', 7)
    assert stat.S_IMODE(Path(f'{journal.path}.shipped').stat().st_mode) == 0o600


def test_a_private_file_is_never_readable_by_others_not_even_while_it_is_empty(
        tmp_path: Path) -> None:
    with private_file(tmp_path / 'secret') as file:
        assert modes(tmp_path)[0o600] == {'secret'}
        file.write(b'where I was')
    assert (tmp_path / 'secret').read_bytes() == b'where I was'
