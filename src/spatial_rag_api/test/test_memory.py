"""What is remembered, over HTTP."""

from __future__ import annotations

import base64
from pathlib import Path

from spatial_rag_core.memory.forgetting.forget import forget
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.records import MemorySelection

import cv2
import httpx
import numpy as np
import pytest

from .robots import (
    client_of,
    make_bundle,
    make_memory,
    MEMORIES,
    memories,
    parts_of,
    picture,
    SPEC,
    T0_SEC,
    Z_DIM,
)


def seqs(answer: httpx.Response) -> list[int]:
    assert answer.status_code == 200, answer.text
    return [hit['memory']['seq'] for hit in answer.json()['hits']]


def test_a_place_finds_the_memories_around_it_nearest_first(client: httpx.Client) -> None:
    asked = {'x_m': 2.5, 'y_m': 0.0, 'radius_m': 0.6, 'k': 10}
    answer = client.get('/memory/query', params=asked)
    assert set(seqs(answer)) == {9, 10, 11, 12, 13}
    separations = [hit['separation_m'] for hit in answer.json()['hits']]
    assert separations == sorted(separations)
    assert answer.json()['rank_by'] == 'pose'
    assert answer.json()['map_frame'] == 'map'


def test_get_and_post_find_the_same(client: httpx.Client) -> None:
    by_address = client.get('/memory/query', params={'x_m': 2.5, 'y_m': 0.0, 'k': 3})
    by_body = client.post('/memory/query', json={'pose': {'x_m': 2.5, 'y_m': 0.0}, 'k': 3})
    assert by_address.json()['hits'] == by_body.json()['hits']


def test_a_latent_finds_its_own_memory_first(client: httpx.Client, bundle: Bundle) -> None:
    z = bundle.encode_image(picture(12)).tolist()
    answer = client.post('/memory/query', json={'z': z, 'k': 3, 'pictures': True})
    assert seqs(answer)[0] == 13
    assert answer.json()['hits'][0]['distance'] == pytest.approx(0.0)
    assert answer.json()['hits'][0]['separation_m'] is None
    assert answer.json()['hits'][0]['memory']['picture_base64']
    text = ','.join(map(str, z))
    assert seqs(client.get('/memory/query', params={'z': text, 'k': 3})) == seqs(answer)


def test_a_picture_finds_where_it_was_taken(client: httpx.Client) -> None:
    png = base64.b64encode(cv2.imencode('.png', picture(21)[..., ::-1])[1].tobytes()).decode()
    assert seqs(client.post('/memory/query', json={'picture_base64': png, 'k': 1})) == [22]


def test_a_memory_is_not_found_as_like_itself(client: httpx.Client) -> None:
    found = seqs(client.get('/memory/query', params={'like_seq': 5, 'k': 39}))
    assert len(found) == 39
    assert 5 not in found


def test_filters_narrow(client: httpx.Client) -> None:
    near = {'x_m': 0.0, 'y_m': 0.0, 'k': 100}
    assert seqs(client.get('/memory/query', params={**near, 'labels': 'door'})) == [1, 11, 21, 31]
    assert seqs(client.get('/memory/query', params={**near, 'before_sec': T0_SEC + 1})) == [
        1, 2, 3]
    assert seqs(client.get('/memory/query', params={**near, 'session': 'none'})) == []


@pytest.mark.parametrize(('asked', 'status', 'words'), [
    ({}, 422, 'nothing to look for'), ({'x_m': 1.0}, 422, 'x_m and y_m'),
    ({'z': '1,2'}, 422, 'expected [32]'), ({'z': '1,b'}, 422, 'commas between'),
    ({'z': ','.join('0' * 5000)}, 422, 'got 5000'), ({'z': '1,nan'}, 422, 'finite'),
    ({'z': ','.join('1' * Z_DIM), 'model_id': 'other'}, 409, 'other'),
    ({'like_seq': 1, 'z': '1'}, 422, 'z and like_seq'), ({'like_seq': 999}, 404, '999'),
    ({'like_seq': 1, 'radius_m': 2.0}, 422, 'needs a pose'),
    ({'x_m': 0, 'y_m': 0, 'k': 100_000}, 422, 'k'), ({'x_m': 'nan', 'y_m': 0}, 422, 'x_m')])
def test_a_query_that_cannot_be_answered_says_why(
        client: httpx.Client, asked: dict[str, object], status: int, words: str) -> None:
    answer = client.get('/memory/query', params=asked)  # type: ignore[arg-type]
    assert answer.status_code == status, answer.text
    assert words in answer.json()['detail']


def test_one_memory_comes_with_its_picture(client: httpx.Client, bundle: Bundle) -> None:
    memory = client.get('/memory/4').json()
    assert memory['id'] == 'id-3'
    assert memory['time_sec'] == T0_SEC + 1.5
    assert memory['pose']['x_m'] == 0.75
    assert memory['action'] == [0.5, 0.0]
    assert memory['z'] == bundle.encode_image(picture(3)).tolist()
    answer = client.get(memory['picture_path'])
    assert answer.headers['content-type'] == 'image/jpeg'
    assert base64.b64decode(memory['picture_base64']) == answer.content
    assert cv2.imdecode(np.frombuffer(answer.content, np.uint8), 1).shape == (32, 32, 3)


@pytest.mark.parametrize(('path', 'status'), [
    ('/memory/400', 404), ('/memory/400/picture', 404), ('/memory/0', 422), ('/memory/x', 422),
    (f'/memory/{2**63}', 422), ('/memory/-1', 422), ('/memory/1/nothing', 404)])
def test_a_memory_that_is_not_there_is_a_problem(
        client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert answer.headers['content-type'] == 'application/problem+json'


def test_the_newest_memory_is_the_latest(client: httpx.Client) -> None:
    assert client.get('/memory/latest').json() == client.get(f'/memory/{MEMORIES}').json()


def test_the_cells_of_the_map_hold_all_memories(client: httpx.Client) -> None:
    answer = client.get('/memory/cells').json()
    assert sum(cell['count'] for cell in answer['cells']) == MEMORIES
    assert answer['h3_resolution'] == SPEC.h3_resolution
    assert min(cell['age_sec'] for cell in answer['cells']) == 0.0
    assert max(cell['oldest_sec'] for cell in answer['cells']) <= T0_SEC + MEMORIES / 2
    corners = np.array(answer['cells'][0]['boundary_m'])
    assert corners.shape == (6, 2)
    assert np.abs(corners).max() < 30.0


def test_fewer_cells_are_coarser_ones(client: httpx.Client) -> None:
    answer = client.get('/memory/cells', params={'most': 1}).json()
    assert [cell['count'] for cell in answer['cells']] == [MEMORIES]
    assert answer['h3_resolution'] < SPEC.h3_resolution


def test_what_the_robot_stores_and_forgets_meanwhile_is_seen(
        bundle_path: Path, bundle: Bundle, tmp_path: Path) -> None:
    path = make_memory(tmp_path / 'memory.db', bundle, 5)
    with (parts_of(bundle_path, path) as parts, client_of(parts) as client,
          Journal.open_existing_writer(path) as journal):
        journal.append(memories(bundle, 5, 1))
        parts.memory.catch_up(5.0)
        near = {'x_m': 0.0, 'y_m': 0.0}
        assert seqs(client.get('/memory/query', params=near)) == [1, 2, 3, 4, 5, 6]
        assert client.get('/memory/latest').json()['seq'] == 6
        forget(journal, MemorySelection(ids=('id-0', 'id-5')))
        parts.memory.catch_up(5.0)
        assert seqs(client.get('/memory/query', params=near)) == [2, 3, 4, 5]
        assert client.get('/memory/latest').json()['seq'] == 5
        assert client.get('/memory/1').status_code == 404
        assert client.get('/stats').json()['memory']['count'] == 4


def test_without_a_memory_file_all_else_works_until_the_robot_makes_one(
        bundle_path: Path, bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / 'later' / 'memory.db'
    asked = {'z': [0.0] * Z_DIM, 'actions': [[0.5, 0.0]], 'pose': {'x_m': 0.0, 'y_m': 0.0}}
    with parts_of(bundle_path, path) as parts, client_of(parts) as client:
        assert client.get('/ready').json() == {'status': 'ready', 'memory': 'absent'}
        assert client.get('/stats').json()['memory']['state'] == 'absent'
        assert 'no memory file' in client.post('/predict', json=asked).json()['memory_note']
        for address in ('query?x_m=0&y_m=0', 'cells', 'latest', '1'):
            answer = client.get(f'/memory/{address}')
            assert answer.status_code == 503
            assert str(path) in answer.json()['detail']
        make_memory(path, bundle, 3)
        parts.memory.catch_up(5.0)
        assert client.get('/ready').json()['memory'] == 'ready'
        found = client.post('/predict', json=asked).json()
        assert (found['memory_note'], found['memories_at_hand']) == ('', 3)


def test_a_memory_of_another_model_is_found_by_place_and_by_nothing_else(
        bundle: Bundle, memory_path: Path, tmp_path: Path) -> None:
    other = make_bundle(tmp_path / 'other.pt', seed=1)
    here = {'x_m': 0.0, 'y_m': 0.0}
    with parts_of(other, memory_path) as parts, client_of(parts) as client:
        assert client.get('/ready').json()['memory'] == 'other_model'
        assert bundle.model_id in client.get('/stats').json()['memory']['note']
        assert len(seqs(client.get('/memory/query', params=here))) == 8
        assert client.get('/memory/query', params={'z': ','.join('0' * Z_DIM)}).status_code == 409
        answer = client.post('/predict', json={'z': [0.0] * Z_DIM, 'actions': [[0.5, 0.0]],
                                               'pose': here}).json()
        assert 'latents of model' in answer['memory_note']
        from_memory = client.post('/predict', json={'from_memory': 1, 'actions': [[0.5, 0.0]]})
        assert from_memory.status_code == 409


def test_a_file_that_is_no_memory_keeps_nothing_else_from_working(
        bundle_path: Path, tmp_path: Path) -> None:
    path = tmp_path / 'memory.db'
    path.write_bytes(b'garbage' * 1000)
    with parts_of(bundle_path, path) as parts, client_of(parts) as client:
        assert client.get('/ready').json()['memory'] == 'unusable'
        assert client.get('/stats').json()['memory']['note']
        assert client.get('/metrics').status_code == 200
        assert client.get('/memory/cells').status_code == 503
        answer = client.post('/predict', json={'z': [0.0] * Z_DIM, 'actions': [[0.5, 0.0]]})
        assert answer.status_code == 200
