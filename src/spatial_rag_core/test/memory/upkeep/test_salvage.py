from __future__ import annotations

from pathlib import Path
import sqlite3

from spatial_rag_core.errors import JournalDamagedError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep.backup import restore
from spatial_rag_core.memory.upkeep.integrity import check
from spatial_rag_core.memory.upkeep.salvage import RestoreReport

import numpy as np
import pytest

from ..memory_files import content, contents, flip, make, memory, read

COUNT = 1000


@pytest.fixture(scope='module')
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file of COUNT memories, of which three were forgotten."""
    path = make(tmp_path_factory.mktemp('sound') / 'memory.db', COUNT)
    with Journal.open_existing_writer(path) as journal:
        journal.forget([5, 6, 700])
    return path.read_bytes()


KEPT = {f'id-{n}': memory(n) for n in range(COUNT) if n not in (4, 5, 699)}


@pytest.fixture
def damaged(tmp_path: Path, sound: bytes) -> Path:
    (tmp_path / 'damaged.db').write_bytes(sound)
    return tmp_path / 'damaged.db'


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return tmp_path / 'saved.db'


def page_of(path: Path, needle: bytes) -> int:
    whole = path.read_bytes()
    assert whole.count(needle) == 1
    return whole.index(needle) // 8192


def blank(path: Path, page: int) -> None:
    with path.open('r+b') as file:
        file.seek(8192 * page)
        file.write(bytes(8192))


def edit(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_of_a_sound_file_everything_is_saved_in_order(damaged: Path, saved: Path) -> None:
    steps = list[tuple[int, int]]()
    report = restore(damaged, saved, salvage=True,
                     on_progress=lambda *step: steps.append(step))
    assert report == RestoreReport(written=len(KEPT), lost=0)
    assert steps[-1] == (COUNT, COUNT)
    assert contents(read(saved)) == contents(list(KEPT.values()))
    assert check(saved).is_clean


def test_a_changed_bit_costs_one_memory(damaged: Path, saved: Path) -> None:
    flip(damaged, memory(76).vector.tobytes())
    flip(damaged, memory(934).action.tobytes())
    report = restore(damaged, saved, salvage=True)
    assert report == RestoreReport(written=len(KEPT) - 2, lost=2)
    assert {memory.id for memory in read(saved)} == KEPT.keys() - {'id-76', 'id-934'}


def test_a_changed_bit_in_a_picture_costs_the_picture(damaged: Path, saved: Path) -> None:
    flip(damaged, memory(88).thumbnail, 100)
    report = restore(damaged, saved, salvage=True)
    assert report == RestoreReport(written=len(KEPT), lost=0, pictures_lost=1)
    there = {memory.id: memory for memory in read(saved)}
    assert there['id-88'].thumbnail == b''
    assert content(there['id-88'], but=('thumbnail',)) == content(memory(88), but=('thumbnail',))


def test_a_page_that_cannot_be_read_costs_the_memories_on_it(damaged: Path, saved: Path) -> None:
    page = page_of(damaged, memory(500).vector.tobytes())
    on_it = {f'id-{n}' for n in range(COUNT) if memory(n).vector.tobytes() in
             damaged.read_bytes()[8192 * page:8192 * (page + 1)]}
    blank(damaged, page)
    report = restore(damaged, saved, salvage=True)
    assert 10 < len(on_it) < 100
    assert report == RestoreReport(written=len(KEPT) - len(on_it), lost=len(on_it))
    assert {memory.id for memory in read(saved)} == KEPT.keys() - on_it
    assert check(saved).is_clean


def test_memories_whose_session_was_lost_get_one_that_says_so(damaged: Path, saved: Path) -> None:
    edit(damaged, "UPDATE contexts SET session = 'wrong' WHERE id = 2")
    assert restore(damaged, saved, salvage=True).written == len(KEPT)
    lost = [memory for memory in read(saved) if memory.session == 'lost-2']
    assert lost
    for found in lost:
        assert (found.robot, found.labels) == ('', ())
        assert content(found, but=('session', 'robot', 'map_id', 'labels')) == content(
            KEPT[found.id], but=('session', 'robot', 'map_id', 'labels'))


def test_a_number_that_cannot_be_is_no_reason_to_look_for_ever(damaged: Path,
                                                              saved: Path) -> None:
    edit(damaged, f'UPDATE memories SET seq = {1 << 60} WHERE seq = {COUNT}')
    report = restore(damaged, saved, salvage=True)
    assert (report.written, report.lost) == (len(KEPT) - 1, 1)


def test_a_file_that_does_not_tell_its_count_is_saved_all_the_same(damaged: Path,
                                                                   saved: Path) -> None:
    edit(damaged, 'DELETE FROM sqlite_sequence')
    report = restore(damaged, saved, salvage=True)
    assert report == RestoreReport(written=len(KEPT), lost=0, is_lost_exact=False)


def test_without_knowing_what_it_holds_nothing_is_made(damaged: Path, saved: Path) -> None:
    edit(damaged, "UPDATE meta SET value = 49.0 WHERE key = 'datum_latitude_deg'")
    with pytest.raises(JournalDamagedError, match='its table meta says'):
        restore(damaged, saved, salvage=True)
    assert not saved.exists()


@pytest.mark.parametrize('kind', ['bits', 'cut', 'page'])
def test_wherever_the_damage_is_what_is_saved_is_as_it_was(
        sound: bytes, damaged: Path, saved: Path, kind: str) -> None:
    chance, refused, shares = np.random.default_rng(0), 0, list[float]()
    for _ in range(15):
        whole = bytearray(sound)
        if kind == 'bits':
            for at in chance.integers(len(whole), size=20).tolist():
                whole[at] ^= 1 << int(chance.integers(8))
        elif kind == 'cut':
            del whole[int(chance.integers(len(whole))):]
        else:
            page = 8192 * int(chance.integers(len(whole) // 8192))
            whole[page:page + 8192] = chance.bytes(8192)
        damaged.write_bytes(whole)
        try:
            report = restore(damaged, saved, salvage=True, overwrite=True)
        except JournalDamagedError:
            refused += 1
            continue
        found = read(saved)
        assert len(found) == report.written
        assert report.written + report.lost == len(KEPT) or not report.is_lost_exact
        for one in found:
            without = ('session', 'robot', 'labels', 'map_id')[:4 * one.session.startswith('lost')]
            without += ('thumbnail',)[:not one.thumbnail]
            assert content(one, without) == content(KEPT[one.id], without)
        shares.append(len(found) / len(KEPT))
    assert refused < 5
    assert np.median(shares) > 0.95
