"""POST /encode, /predict and /rollout."""

from __future__ import annotations

import base64

from spatial_rag_core.models.bundle import Bundle

import cv2
import httpx
import numpy as np
import pytest

from .robots import picture, Z_DIM

HERE = {'x_m': 5.0, 'y_m': 0.0}


def png(rgb: np.ndarray) -> bytes:
    return cv2.imencode('.png', rgb[..., ::-1])[1].tobytes()


def latent(bundle: Bundle, n: int = 0) -> list[float]:
    return bundle.encode_image(picture(n)).tolist()


def test_a_picture_gives_the_latent_that_the_robots_encoder_makes(
        client: httpx.Client, bundle: Bundle) -> None:
    answer = client.post('/encode', files={'picture': png(picture(7))})
    assert answer.status_code == 200, answer.text
    assert answer.json()['z'] == latent(bundle, 7)
    assert answer.json()['model_id'] == bundle.model_id
    assert (answer.json()['width_px'], answer.json()['height_px']) == (32, 32)


@pytest.mark.parametrize(('fields', 'part'), [
    ({'files': {'depth': png(picture(0))}}, 'depth'), ({'data': {'proprio': '1,2'}}, 'proprio')])
def test_what_the_model_has_no_input_for_is_refused(
        client: httpx.Client, fields: dict[str, dict[str, bytes]], part: str) -> None:
    files = {'picture': png(picture(0)), **fields.get('files', {})}
    answer = client.post('/encode', files=files, data=fields.get('data'))
    assert answer.status_code == 422
    assert part in answer.json()['detail']


def test_a_prediction_is_what_the_bundle_predicts(client: httpx.Client, bundle: Bundle) -> None:
    z, actions = latent(bundle), [[0.5, 0.0], [0.0, 0.5]]
    answer = client.post('/predict', json={'z': z, 'actions': actions, 'memory': 'off'})
    assert answer.status_code == 200, answer.text
    expected = bundle.rollout(z, np.array(actions)[:, None])
    found = answer.json()
    assert [each['z_next'] for each in found['predictions']] == expected.z[:, 0].tolist()
    assert [each['sigma'] for each in found['predictions']] == pytest.approx(
        expected.sigma[:, 0].tolist())
    assert found['pose_frame'] == 'start'
    assert found['memory_note'] == ''


def test_memories_around_the_pose_take_part_and_are_named(
        client: httpx.Client, bundle: Bundle) -> None:
    asked = {'z': latent(bundle), 'actions': [[0.5, 0.0]], 'pose': HERE, 'memory_radius_m': 2.0}
    found = client.post('/predict', json=asked).json()
    without = client.post('/predict', json={**asked, 'memory': 'off'}).json()
    assert found['memories_at_hand'] > 0
    assert found['memory_note'] == ''
    used = found['predictions'][0]['memories']
    assert used
    assert all(3.0 <= (memory['seq'] - 1) / 4 <= 7.0 for memory in used)
    assert [memory['id'] for memory in used] == [f'id-{memory["seq"] - 1}' for memory in used]
    assert found['predictions'][0]['z_next'] != without['predictions'][0]['z_next']
    assert without['predictions'][0]['memories'] == []


def test_shuffled_memories_lead_elsewhere(client: httpx.Client, bundle: Bundle) -> None:
    asked = {'z': latent(bundle), 'actions': [[0.5, 0.0]], 'pose': HERE}
    own, other = (client.post('/predict', json={**asked, 'memory': use}).json()
                  for use in ('on', 'shuffled'))
    assert own['memories_at_hand'] == other['memories_at_hand']
    assert own['predictions'][0]['z_next'] != other['predictions'][0]['z_next']


def test_without_a_pose_there_are_no_memories_and_that_is_said(
        client: httpx.Client, bundle: Bundle) -> None:
    found = client.post('/predict', json={'z': latent(bundle), 'actions': [[0.5, 0.0]]}).json()
    assert found['memory_note'] == 'without memories: the pose is not known'


def test_a_picture_may_stand_for_its_latent(client: httpx.Client, bundle: Bundle) -> None:
    sent = base64.b64encode(png(picture(3))).decode()
    by_picture, by_latent = (
        client.post('/predict', json={**start, 'actions': [[0.1, 0.2]]}).json()
        for start in ({'picture_base64': sent}, {'z': latent(bundle, 3)}))
    assert by_picture['predictions'] == by_latent['predictions']


def test_a_rollout_from_a_memory_begins_where_that_was_made(client: httpx.Client) -> None:
    plans = [[[0.5, 0.0]] * 3, [[0.0, 0.5]] * 3]
    answer = client.post('/rollout', json={'from_memory': 20, 'plans': plans, 'pictures': True})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    assert [len(plan['steps']) for plan in found['plans']] == [3, 3]
    assert found['pose_frame'] == 'map'
    step = found['plans'][0]['steps'][1]
    assert step['step'] == 2
    assert step['time_sec'] == pytest.approx(2 * found['step_sec'])
    assert len(step['z']) == Z_DIM
    jpeg = np.frombuffer(base64.b64decode(step['picture_base64']), np.uint8)
    assert cv2.imdecode(jpeg, cv2.IMREAD_COLOR).shape == (32, 32, 3)


def test_latest_is_the_newest_memory(client: httpx.Client) -> None:
    plans = [[[0.5, 0.0]]]
    latest, numbered = (client.post('/rollout', json={'from_memory': seq, 'plans': plans}).json()
                        for seq in ('latest', 40))
    assert latest['plans'] == numbered['plans']


@pytest.mark.parametrize(('asked', 'status', 'words'), [
    ({'actions': [[0.5, 0.0]]}, 422, 'told in one way, got none'),
    ({'z': [0.0], 'from_memory': 1, 'actions': [[0.5, 0.0]]}, 422, 'z and from_memory'),
    ({'z': [0.0] * 3, 'actions': [[0.5, 0.0]]}, 422, f'expected [{Z_DIM}]'),
    ({'z': [0.0] * Z_DIM, 'actions': [[0.5]]}, 422, 'expected [B, T, 2]'),
    ({'z': [0.0] * Z_DIM, 'actions': [[1e300, 0.0]]}, 422, 'not finite'),
    ({'z': [0.0] * Z_DIM, 'actions': []}, 422, 'actions'),
    ({'z': [0.0] * Z_DIM, 'model_id': 'other', 'actions': [[0.5, 0.0]]}, 409, 'other'),
    ({'from_memory': 4000, 'actions': [[0.5, 0.0]]}, 404, 'no memory 4000'),
    ({'picture_base64': '!!!!', 'actions': [[0.5, 0.0]]}, 422, 'not base64'),
    ({'z': [0.0] * Z_DIM, 'actions': [[0.5, 0.0]], 'aktions': 1}, 422, 'aktions'),
    ({'z': [0.0] * Z_DIM, 'actions': [[0.5, 0.0]],
      'pose': {**HERE, 'orientation': {'x': 0, 'y': 0, 'z': 0, 'w': 0}}}, 422, 'length 0'),
])
def test_what_cannot_be_used_is_told_with_its_value_and_a_remedy(
        client: httpx.Client, asked: dict[str, object], status: int, words: str) -> None:
    answer = client.post('/predict', json=asked)
    assert answer.status_code == status, answer.text
    assert answer.headers['content-type'] == 'application/problem+json'
    problem = answer.json()
    assert words in problem['detail']
    assert problem['remedy']
    assert problem['type'].startswith('urn:spatial-rag:problem:')
    assert problem['status'] == status


@pytest.mark.parametrize('literal', ['NaN', 'Infinity', '1e999'])
def test_numbers_that_json_does_not_have_are_refused(client: httpx.Client, literal: str) -> None:
    body = f'{{"z": [{literal}], "actions": [[0.5, 0.0]]}}'
    answer = client.post('/predict', content=body, headers={'Content-Type': 'application/json'})
    assert answer.status_code == 422
    assert 'finite' in answer.json()['detail']


@pytest.mark.parametrize(('plans', 'pictures', 'words'), [
    ([[[0.5, 0.0]] * 257], False, 'at most 256'),
    ([[[0.5, 0.0]] * 200] * 64, False, 'at most 4096'),
    ([[[0.5, 0.0]] * 20] * 20, True, 'at most 256'),
    ([[[0.5, 0.0]] * 2, [[0.5, 0.0]]], False, '1 to 2 steps')])
def test_plans_beyond_the_bounds_are_refused(
        client: httpx.Client, plans: list[object], pictures: bool, words: str) -> None:
    answer = client.post('/rollout', json={'z': [0.0] * Z_DIM, 'plans': plans,
                                           'pictures': pictures})
    assert answer.status_code == 422
    assert words in answer.json()['detail']
