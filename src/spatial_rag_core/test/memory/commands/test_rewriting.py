from __future__ import annotations

from collections.abc import Callable
import json
import math
from pathlib import Path
from typing import Any

from spatial_rag_core.memory.commands import rewriting
from spatial_rag_core.memory.journal import Journal

import numpy as np
import pytest


def positions(path: Path) -> list[tuple[float, ...]]:
    with Journal.open_reader(path) as journal:
        return [tuple(place) for place in journal.records_after(0)['position'].round(6).tolist()]


@pytest.mark.parametrize(('words', 'place'), [
    (['--translate', '1', '-2e0'], lambda n: (n + 1, -2, 0.5)),
    (['--translate', '0', '0', '3'], lambda n: (n, 0, 3.5)),
    (['--yaw-deg', '90'], lambda n: (0, n, 0.5)),
    (['--translate', '1', '0', '--yaw-deg', '-90'], lambda n: (1, -n, 0.5)),
    (['--quaternion', '1', '0', '0', '0'], lambda n: (n, 0, -0.5)),
])
def test_all_memories_are_moved(
        words: list[str], place: Callable[[int], tuple[float, ...]], path: Path,
        run: Callable[..., Any]) -> None:
    values = run('reanchor', path, *words, '--json').values
    assert values == {'path': str(path), 'moved': 12, 'count': 12}
    assert positions(path) == [place(n) for n in range(12)]


def test_one_session_is_moved(path: Path, run: Callable[..., Any]) -> None:
    told = run('reanchor', path, '--translate', '100', '0', '--session', 'second')
    assert told.out == f'{path}: 6 of 12 memories were moved\n'
    assert positions(path) == [(n + (100 if n > 5 else 0), 0, 0.5) for n in range(12)]


def test_each_session_is_moved_in_its_own_way(path: Path, run: Callable[..., Any]) -> None:
    moved = path.with_name('moved.json')
    half = math.sqrt(0.5)
    moved.write_text(json.dumps({
        'first': {'translation': [10, 0, 0]}, 'second': {'rotation': [0, 0, half, half]}}))
    assert run('reanchor', path, '--transforms', moved, '--json').values['moved'] == 12
    assert positions(path) == [(n + 10, 0, 0.5) if n < 6 else (0, n, 0.5) for n in range(12)]


def test_latents_stay_and_orientations_turn_along(path: Path, run: Callable[..., Any]) -> None:
    run('reanchor', path, '--yaw-deg', '180')
    with Journal.open_reader(path) as journal:
        records = journal.records_after(0)
    assert records['vector'].tolist() == [[n, 0, 1] for n in range(12)]
    assert np.allclose(records['orientation'], [0, 0, 1, 0])


@pytest.mark.parametrize(('words', 'status', 'message'), [
    ([], 2, 'give --translate, --yaw-deg or --quaternion, or --transforms'),
    (['--session', 'first'], 2, 'give --translate'),
    (['--translate', '1'], 2, '--translate: expected X Y or X Y Z'),
    (['--translate', '1', '2', '3', '4'], 2, '--translate: expected X Y or X Y Z'),
    (['--yaw-deg', '1', '--quaternion', '0', '0', '0', '1'], 2, 'not allowed with argument'),
    (['--yaw-deg', '1', '--transforms', 'x'], 2, 'give --translate'),
    (['--session', 'first', '--transforms', 'x'], 2, '--session does not go with'),
    (['--yaw-deg', 'nan'], 1, 'yaw must be finite'),
    (['--quaternion', '0', '0', '0', '0'], 1, 'has length 0'),
    (['--yaw-deg', '1', '--session', 'third'], 1, "has no session 'third'"),
    (['--translate', '1e8', '0'], 1, 'must lie within 1e+07 m'),
    (['--transforms', 'none.json'], 1, 'none.json cannot be read'),
])
def test_a_wrong_transform_moves_nothing(
        words: list[str], status: int, message: str, path: Path, run: Callable[..., Any]) -> None:
    before = positions(path)
    told = run('reanchor', path, *words)
    assert (told.status, told.out) == (status, '')
    assert message in told.err
    if status == 1:
        assert told.err.count('\n') == 1
    assert positions(path) == before


@pytest.mark.parametrize('text', [
    'no JSON', '[]', '3', '{"first": 3}', '{"first": {"shift": [1, 2, 3]}}',
    '{"first": {"translation": 5}}', '{"first": {"translation": ["a", 0, 0]}}',
    '{"first": {"translation": [1]}}', '{"first": {"rotation": [0, 0, 1]}}',
    '{"first": {"yaw_deg": "north"}}', '{"first": {"yaw_deg": 1, "rotation": [0, 0, 0, 1]}}',
    '{"first": {"yaw_deg": [1]}}'])
def test_a_file_of_transforms_that_is_wrong_is_told_in_one_line(
        text: str, path: Path, run: Callable[..., Any]) -> None:
    wrong, before = path.with_name('wrong.json'), positions(path)
    wrong.write_text(text)
    told = run('reanchor', path, '--transforms', wrong)
    assert (told.status, told.err.count('\n')) == (1, 1)
    assert f'{wrong} is no list of transforms' in told.err
    assert positions(path) == before


@pytest.fixture
def model(path: Path) -> Path:
    pytest.importorskip('torch', reason='re-encoding needs a bundle, and that needs torch')
    from spatial_rag_core.models.untrained import create_untrained_bundle
    from spatial_rag_core.settings import Settings
    create_untrained_bundle(path.with_name('model.pt'), Settings(z_dim=6, image_size=32))
    return path.with_name('model.pt')


def test_reencode_writes_a_memory_of_another_model(
        path: Path, model: Path, run: Callable[..., Any],
        ids: Callable[[Path], list[str]]) -> None:
    new = path.with_name('new.db')
    told = run('reencode', path, new, '--model', model)
    assert (told.status, told.err) == (0, '')  # no progress where nobody watches
    assert f'{new}: 11 memories of model ' in told.out
    assert '1 left out for want of a readable picture' in told.out
    assert ids(new) == [f'id-{n:02}' for n in range(12) if n != 3]
    again = run('reencode', path, new, '--model', model)
    assert again.status == 1
    assert 'exists already' in again.err


def test_ctrl_c_is_told_in_one_line_and_leaves_nothing(
        path: Path, model: Path, run: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(rewriting, 'progress', interrupt)
    told = run('reencode', path, path.with_name('new.db'), '--model', model)
    assert (told.status, told.out, told.err) == (130, '', 'spatial-rag: interrupted\n')
    assert not path.with_name('new.db').exists()
