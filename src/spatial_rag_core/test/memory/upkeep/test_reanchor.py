from __future__ import annotations

import math
from pathlib import Path
import signal
import subprocess
import sys

from spatial_rag_core.errors import ConfigurationError, JournalDamagedError, JournalError
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.upkeep.integrity import check
from spatial_rag_core.memory.upkeep.reanchor import reanchor, RigidTransform
from spatial_rag_core.records import Memory, Position, Quaternion

import numpy as np
import pytest

from ..memory_files import content, contents, flip, generation, GRID, make, memory, read

MOVE = RigidTransform(Quaternion(0.5, -0.5, 0.5, 0.5), Position(10.0, -20.0, 3.0))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return make(tmp_path / 'memory.db', 120)


def run(path: Path, *arguments: object) -> int:
    with Journal.open_existing_writer(path) as journal:
        return reanchor(journal, *arguments)  # type: ignore[arg-type]


def product(a: Quaternion, b: Quaternion) -> Quaternion:
    """Hamilton's, from the definition."""
    return Quaternion(a.w * b.x + a.x * b.w + a.y * b.z - a.z * b.y,
                      a.w * b.y - a.x * b.z + a.y * b.w + a.z * b.x,
                      a.w * b.z + a.x * b.y - a.y * b.x + a.z * b.w,
                      a.w * b.w - a.x * b.x - a.y * b.y - a.z * b.z)


def expected_position(old: Memory, move: RigidTransform) -> Position:
    """From q p q* and the shift."""
    x, y, z, w = move.rotation
    turned = product(product(move.rotation, Quaternion(*old.position, 0.0)),
                     Quaternion(-x, -y, -z, w))
    return Position(*(a + b for a, b in zip(turned[:3], move.translation, strict=True)))


def require_moved(old: Memory, new: Memory, move: RigidTransform) -> None:
    assert math.dist(new.position, expected_position(old, move)) < 1e-9
    turned = product(move.rotation, old.orientation)
    assert math.dist(new.orientation, turned) < 1e-12
    assert new.h3_cell == GRID.cell(new.position)
    assert content(new, but=('pose', 'h3_cell')) == content(old, but=('pose', 'h3_cell'))


def test_every_pose_and_cell_moves_and_all_else_stays(path: Path) -> None:
    old, before, steps = read(path), generation(path), list[tuple[int, int]]()
    assert run(path, MOVE, lambda *step: steps.append(step)) == 120
    for one, moved in zip(old, read(path), strict=True):
        require_moved(one, moved, MOVE)
    assert generation(path) != before
    assert check(path).is_clean
    assert steps[-1] == (120, 120)


def test_each_session_moves_in_its_own_way(path: Path) -> None:
    old = read(path)
    other = RigidTransform.planar(-5.0, 1.0, math.radians(90))
    assert run(path, {'session-0': MOVE, 'session-2': other}) == 70
    for one, moved in zip(old, read(path), strict=True):
        if one.session == 'session-1':
            assert content(moved) == content(one)
        else:
            require_moved(one, moved, MOVE if one.session == 'session-0' else other)


def test_to_turn_by_a_right_angle_takes_x_to_y(tmp_path: Path) -> None:
    move = RigidTransform.planar(0.0, 0.0, math.pi / 2)
    assert np.allclose(move.move(np.array([[2.0, 0.0, 1.0]])), [[0.0, 2.0, 1.0]], atol=1e-15)
    assert np.allclose(move.turn(np.array([[0.0, 0.0, 0.0, 1.0]])),
                       [[0.0, 0.0, math.sqrt(0.5), math.sqrt(0.5)]])


def test_there_and_back_leaves_every_memory_where_it_was(path: Path) -> None:
    old = read(path)
    run(path, RigidTransform.planar(100.0, -50.0, 1.0))
    run(path, RigidTransform.planar(0.0, 0.0, -1.0))
    run(path, RigidTransform(translation=Position(*(
        -v for v in RigidTransform.planar(0, 0, -1.0).move(np.array([[100.0, -50.0, 0.0]]))[0]))))
    for one, moved in zip(old, read(path), strict=True):
        assert math.dist(one.position, moved.position) < 1e-9
        assert math.dist(one.orientation, moved.orientation) < 1e-12


def test_a_cell_that_was_wrong_is_made_anew(tmp_path: Path) -> None:
    path = make(tmp_path / 'memory.db', 5, h3_cell='8d754e64992d6ff')
    assert not check(path).is_clean
    run(path, RigidTransform())
    assert check(path).is_clean


def test_a_place_off_the_map_is_refused_and_nothing_moves(path: Path) -> None:
    old, before = contents(read(path)), generation(path)
    with pytest.raises(ConfigurationError, match=r'memory \d+ of .* Nothing was moved'):
        run(path, {'session-2': RigidTransform(translation=Position(9_999_990.0, 0.0, 0.0)),
                   'session-0': MOVE})
    assert contents(read(path)) == old
    assert generation(path) == before


def test_a_session_that_is_not_there_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has no session 'sesion-1'; its newest are"):
        run(path, {'session-0': MOVE, 'sesion-1': MOVE})


def test_a_damaged_memory_is_refused_and_nothing_moves(path: Path) -> None:
    flip(path, memory(100).vector.tobytes())
    before = generation(path)
    with pytest.raises(JournalDamagedError, match='memory 101'):
        run(path, MOVE)
    assert generation(path) == before


def test_a_reader_cannot_move_anything(path: Path) -> None:
    journal = Journal.open_reader(path)
    assert journal is not None
    with journal, pytest.raises(JournalError, match='reading only'):
        reanchor(journal, MOVE)


def test_who_reads_meanwhile_sees_all_old_and_then_all_new(path: Path,
                                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('spatial_rag_core.memory.upkeep.reanchor._BATCH', 10)
    old = contents(read(path))
    seen = list[bool]()
    run(path, MOVE, lambda done, total: seen.append(contents(read(path)) == old))
    assert seen == 12 * [True]
    assert all(new != was for new, was in zip(contents(read(path)), old, strict=True))


def test_to_be_killed_in_the_middle_leaves_every_memory_where_it_was(path: Path) -> None:
    old, before = contents(read(path)), generation(path)
    killed = subprocess.run([sys.executable, '-c', f"""
import os, signal
from spatial_rag_core.memory.upkeep import reanchor
from spatial_rag_core.memory.journal import Journal
reanchor._BATCH = 10
with Journal.open_existing_writer({str(path)!r}) as journal:
    reanchor.reanchor(journal, reanchor.RigidTransform.planar(5.0, 5.0, 1.0),
                      lambda done, total: done < 100 or os.kill(os.getpid(), signal.SIGKILL))
"""], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert contents(read(path)) == old
    assert generation(path) == before
    assert run(path, MOVE) == 120


@pytest.mark.parametrize(('rotation', 'translation', 'words'), [
    ((0, 0, 0, 0), (0, 0, 0), 'has length 0, a rotation has length 1'),
    ((0, 0, 0, 1), (0, math.nan, 0), 'must be finite'),
    ((0, 0, math.inf, 1), (0, 0, 0), 'must be finite'),
    ((0, 0, 0, 1), (0, 2e7, 0), 'translation must lie within 1e.07 m'),
])
def test_no_transform_is_refused_at_birth(rotation: tuple[float, ...],
                                          translation: tuple[float, ...], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        RigidTransform(Quaternion(*rotation), Position(*translation))
    with pytest.raises(ConfigurationError, match='yaw must be finite'):
        RigidTransform.planar(0.0, 0.0, math.nan)
