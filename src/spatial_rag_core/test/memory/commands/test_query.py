from __future__ import annotations

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.records import as_latent, Memory, Pose, Position

import cv2
import numpy as np
import pytest


def found(told: Any) -> list[int]:
    """Numbers of the memories that were found, in order."""
    return [int(hit['id'][3:]) for hit in told.values['hits']]


@pytest.mark.parametrize(('words', 'numbers'), [
    (['--near', '4.1', '0', '0.5', '--k', '3'], [4, 5, 3]),
    (['--near', '4.1', '0', '0.5', '--radius', '1'], [4, 5]),
    (['--near', '4', '0', '--max-dz', '0.2'], []),
    (['--near', '4', '0', '--max-dz', '0.6', '--k', '1'], [4]),
    (['--near', '0', '0', '--box', '9.5', '-1', '7.5', '1'], [8, 9]),
    (['--latent', '[9, 0, 1]', '--k', '3'], [9, 8, 10]),
    (['--latent', '[2, 0, 2]', '--metric', 'cosine', '--k', '1'], [1]),
    (['--latent', '[9, 0, 1]', '--session', 'first', '--k', '2'], [5, 4]),
    (['--latent', '[9, 0, 1]', '--label', 'door'], [8, 4, 0]),
    (['--latent', '[9, 0, 1]', '--after', '1020', '--before', '1040'], [4, 3, 2]),
    (['--latent', '[9, 0, 1]', '--near', '2', '0', '0.5', '--radius', '1'], [3, 2, 1]),
    (['--latent', '[9, 0, 1]', '--near', '2', '0', '--rank-by', 'pose', '--k', '1'], [2]),
    (['--latent', '[0, 0, 1]', '--at', '1000', '--min-age', '25', '--k', '2'], [3, 4]),
    (['--like', 'id-07', '--k', '2'], [6, 8]),
    (['--like', 'id-07', '--min-age', '15', '--k', '3'], [5, 9, 4]),
    (['--like', 'id-07', '--radius', '2', '--robot', 'r2', '--map-id', 'kitchen'], [6, 8, 9]),
    (['--like', 'id-00', '--near', '9', '0', '0.5', '--radius', '1'], [8, 9, 10]),
])
def test_a_query_finds_what_it_should(
        words: list[str], numbers: list[int], path: Path, run: Callable[..., Any]) -> None:
    assert found(run('query', path, *words, '--json')) == numbers


def test_json_tells_all_of_a_hit_and_its_units(path: Path, run: Callable[..., Any]) -> None:
    values = run('query', path, '--near', '4', '0', '--latent', '[5, 0, 1]', '--k', '1',
                 '--json').values
    hit, = values.pop('hits')
    assert values == {'path': str(path), 'count': 12, 'rank_by': 'latent', 'metric': 'l2'}
    assert hit.pop('h3_cell').startswith('8d')
    assert hit == {
        'id': 'id-05', 'timestamp_unix_sec': 1050.0, 'distance': 0.0,
        'separation_m': pytest.approx(1.25 ** 0.5), 'position_m': {'x': 5.0, 'y': 0.0, 'z': 0.5},
        'orientation': {'x': 0.0, 'y': 0.0, 'z': 0.0, 'w': 1.0}, 'session': 'first',
        'robot': 'r1', 'map_id': 'kitchen', 'labels': [], 'model_id': 'some-model',
        'latent': [5.0, 0.0, 1.0], 'action': [5.0, 1.0], 'thumbnail': None}


def test_where_nothing_measures_separation_it_is_null(
        path: Path, run: Callable[..., Any]) -> None:
    hits = run('query', path, '--latent', '[5, 0, 1]', '--json').values['hits']
    assert {hit['separation_m'] for hit in hits} == {None}


def test_the_table_keeps_ids_and_sessions_whole_within_80_columns(
        path: Path, run: Callable[..., Any]) -> None:
    name = '20261122T170535Z-acca'
    with Journal.open_existing_writer(path) as journal:
        journal.append([Memory('01KAPJ5QEY8Z7R0000000000AB', as_latent([50, 0, 0]),
                               Pose(Position(-123.456, 99.0, -3.0)), '', 1.8e9, 'some-model',
                               session=name)])
    told = run('query', path, '--near', '-120', '99', '--k', '1')
    assert told.out.splitlines() == [
        '   id                          time (UTC)             distance',
        '   session                     x, y, z [m]            away [m]',
        '1  01KAPJ5QEY8Z7R0000000000AB  2027-01-15 08:00:00     20.9439',
        f'   {name}       -123.46, 99.00, -3.00      4.58']
    assert max(map(len, told.out.splitlines())) <= 80


def test_nothing_found_says_so(path: Path, run: Callable[..., Any]) -> None:
    assert run('query', path, '--near', '500', '0', '--radius', '1').out == (
        'nothing was found; widen the region or leave filters out\n')


def test_diversity_leaves_out_more_of_the_same(path: Path, run: Callable[..., Any]) -> None:
    words = ('query', path, '--latent', '[0, 0, 1]', '--k', '3', '--json')
    assert found(run(*words)) == [0, 1, 2]
    assert found(run(*words, '--diversity', '0.9')) != [0, 1, 2]


def test_pictures_of_what_is_found_become_files(path: Path, run: Callable[..., Any]) -> None:
    folder = path.with_name('found') / 'today'
    words = ('query', path, '--near', '3', '0', '0.5', '--radius', '1', '--thumbnails', folder)
    files = [hit['thumbnail'] for hit in run(*words, '--json').values['hits']]
    assert files == [None, str(folder / '0002-id-02.jpg'), str(folder / '0003-id-04.jpg')]
    assert sorted(map(str, folder.iterdir())) == files[1:]
    assert cv2.imread(files[1]).shape == (24, 32, 3)
    assert f'2 pictures are in {folder}' in run(*words).out


def test_an_id_from_elsewhere_cannot_leave_the_folder(
        path: Path, run: Callable[..., Any]) -> None:
    with Journal.open_existing_writer(path) as journal:
        journal.append([Memory('../../evil', as_latent([99, 0, 0]), Pose(Position(0, 0)), '',
                               0.0, 'some-model', thumbnail=b'\xff\xd8')])
    folder = path.with_name('found')
    run('query', path, '--latent', '[99, 0, 0]', '--k', '1', '--thumbnails', folder)
    assert [file.name for file in folder.iterdir()] == ['0001-.._.._evil.jpg']


@pytest.mark.parametrize(('words', 'status', 'message'), [
    ([], 2, 'say what to look for: --near, --like, --image or --latent'),
    (['--box', '0', '0', '1', '1'], 2, 'say what to look for'),
    (['--latent', '[1]', '--radius', '1'], 2, '--radius needs --near or --like'),
    (['--latent', '[1]', '--max-dz', '1'], 2, '--max-dz needs --near or --like'),
    (['--image', 'a.jpg'], 2, '--image and --model must be given together'),
    (['--like', 'id-01', '--latent', '[1]'], 2, 'not allowed with argument --like'),
    (['--near', '0', '0', '--metric', 'manhattan'], 2, "invalid choice: 'manhattan'"),
    (['--near', '0', '0', '--rank-by', 'latent'], 1, 'needs a vector'),
    (['--near', '0', '0', '--k', '0'], 1, 'k must lie between 1 and 10000, got 0'),
    (['--near', '0', '0', '--diversity', '2'], 1, 'diversity must lie in [0, 1], got 2.0'),
    (['--near', '0', '0', '--radius', '1', '--box', '0', '0', '1', '1'], 1, 'not both'),
    (['--near', 'nan', '0'], 1, 'pose is not finite'),
    (['--near', '0', '0', '--yaw-deg', 'inf'], 1, 'yaw must be finite'),
    (['--like', 'id-99'], 1, 'holds no memory with id id-99'),
    (['--latent', 'x'], 1, '--latent is not JSON'),
    (['--latent', '{}'], 1, 'latent is not a list of numbers'),
    (['--latent', '[1, 2]'], 1, 'latent has shape [2], expected [3]'),
    (['--image', 'none.jpg', '--model', 'm.pt'], 1, 'none.jpg cannot be read: No such file'),
    (['--near', '0', '0', '--thumbnails', '/dev/null/x'], 1, '/dev/null/x cannot be written'),
])
def test_a_query_that_cannot_be_answered_says_why(
        words: list[str], status: int, message: str, path: Path, run: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    told = run('query', path, *words)
    assert (told.status, told.out) == (status, '')
    assert message in told.err
    if status == 1:
        assert told.err.count('\n') == 1


def test_a_file_that_is_not_there_is_not_an_empty_memory(
        tmp_path: Path, run: Callable[..., Any]) -> None:
    told = run('query', tmp_path / 'none.db', '--near', '0', '0')
    assert told.status == 1
    assert 'no memory file' in told.err
    assert list(tmp_path.iterdir()) == []


def test_where_memories_are_lost_the_others_are_found_and_the_loss_is_told(
        damaged: Path, run: Callable[..., Any]) -> None:
    told = run('query', damaged, '--near', '4', '0', '0.5', '--radius', '1', '--json')
    assert [hit['id'] for hit in json.loads(told.out)['hits']] == ['id-03', 'id-05']
    assert (told.status, told.err.count('\n')) == (1, 1)
    assert '1 memory cannot be read' in told.err


def test_a_memory_is_found_by_a_picture(path: Path, run: Callable[..., Any]) -> None:
    pytest.importorskip('torch', reason='pictures are encoded by a bundle')
    from spatial_rag_core.models.bundle import Bundle
    from spatial_rag_core.models.untrained import create_untrained_bundle
    from spatial_rag_core.settings import Settings
    model, own = path.with_name('model.pt'), path.with_name('own.db')
    create_untrained_bundle(model, Settings(z_dim=6, image_size=32))
    assert run('reencode', path, own, '--model', model, '--json').values['written'] == 11
    picture = path.with_name('picture.png')
    assert cv2.imwrite(str(picture), np.full((48, 64, 3), 20 * 7, np.uint8))
    told = run('query', own, '--image', picture, '--model', model, '--k', '1', '--json')
    assert found(told) == [7]
    refused = run('query', path, '--image', picture, '--model', model)
    assert refused.status == 1
    assert f'got one of model {Bundle.load(model, device="cpu").model_id}' in refused.err
    picture.write_text('no picture')
    assert 'is no picture; give a JPEG' in run('query', own, '--image', picture, '--model',
                                               model).err


def test_the_latent_of_a_hit_can_be_asked_with(path: Path, run: Callable[..., Any]) -> None:
    hit, = run('query', path, '--like', 'id-04', '--k', '1', '--json').values['hits']
    assert found(run('query', path, '--latent', json.dumps(hit['latent']), '--k', '1',
                     '--json')) == [int(hit['id'][3:])]
