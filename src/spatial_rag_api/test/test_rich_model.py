"""A model that takes all there is: depth, proprioception, actions of memories, and the past."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from spatial_rag_api.parts import Parts
from spatial_rag_core.memory.journal import Journal
from spatial_rag_core.memory.tables.schema import JournalSpec
from spatial_rag_core.models.bundle import Bundle, save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.imagined import History
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.records import as_action, as_latent, Memory, Pose, Position

import cv2
import httpx
import numpy as np
import pytest
import torch

from .robots import client_of, parts_of, picture

STEP_SEC, PAST = 0.2, 3


@pytest.fixture(scope='module')
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    model = WorldModel(WorldModelConfig(
        EncoderConfig(z_dim=6, use_depth=True, proprio_dim=3),
        TransitionConfig(z_dim=6, action_dim=2, memory_action=True, topk=4)))
    torch.nn.init.normal_(model.encoder.head.weight)
    path = tmp_path_factory.mktemp('rich') / 'rich.pt'
    save_bundle(model.eval(), path, trained=False, training={}, step_sec=STEP_SEC, history=PAST)
    return path


@pytest.fixture(scope='module')
def bundle(path: Path) -> Bundle:
    return Bundle.load(path, device='cpu')


@pytest.fixture(scope='module')
def moments(bundle: Bundle) -> list[Memory]:
    """One a step, on a straight way."""
    chance = np.random.default_rng(0)
    return [Memory(f'id-{n}', as_latent(chance.normal(size=6)), Pose(Position(n / 10, 0.0)), '',
                   1000.0 + n * STEP_SEC, bundle.model_id, as_action(chance.normal(size=2)))
            for n in range(60)]


@pytest.fixture(scope='module')
def parts(path: Path, moments: list[Memory],
          tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    memory = tmp_path_factory.mktemp('memory') / 'memory.db'
    with Journal.open_writer(memory, JournalSpec(z_dim=6)) as journal:
        journal.append(moments)
    with parts_of(path, memory) as parts:
        yield parts


@pytest.fixture(scope='module')
def client(parts: Parts) -> Iterator[httpx.Client]:
    with client_of(parts) as client:
        yield client


def test_depth_and_proprioception_go_into_the_latent(
        client: httpx.Client, bundle: Bundle) -> None:
    depth_mm = np.random.default_rng(0).integers(500, 5000, (32, 32)).astype(np.uint16)
    files = {name: cv2.imencode('.png', array)[1].tobytes() for name, array in (
        ('picture', picture(0)[..., ::-1]), ('depth', depth_mm))}
    answer = client.post('/encode', files=files, data={'proprio': '0.5,-1,2'})
    assert answer.status_code == 200, answer.text
    depth_m = depth_mm.astype(np.float32) * np.float32(0.001)
    expected = bundle.encode_image(picture(0), depth_m, [0.5, -1.0, 2.0])
    assert answer.json()['z'] == pytest.approx(expected.tolist(), rel=1e-5)
    assert answer.json()['z'] != bundle.encode_image(picture(0)).tolist()


@pytest.mark.parametrize('proprio', ['1,2', '1,2,nan', 'a', '', '1,2,3,4'])
def test_proprioception_of_another_length_is_refused(client: httpx.Client, proprio: str) -> None:
    png = cv2.imencode('.png', picture(0))[1].tobytes()
    answer = client.post('/encode', files={'picture': png}, data={'proprio': proprio})
    assert (answer.status_code == 200) == (proprio == '')  # an empty field is none
    assert answer.status_code in (200, 422), answer.text


def test_a_rollout_from_a_memory_knows_what_was_before_it(
        client: httpx.Client, bundle: Bundle, moments: list[Memory]) -> None:
    now, past = moments[40], moments[40 - PAST:40]
    history = History(np.array([each.vector for each in past]),
                      np.array([each.action for each in past]))
    plan = [[0.5, 0.0], [0.0, 0.5]]
    asked = {'from_memory': 41, 'plans': [plan], 'memory': 'off'}
    answer = client.post('/rollout', json=asked)
    assert answer.status_code == 200, answer.text
    found = [step['z'] for step in answer.json()['plans'][0]['steps']]
    expected, without = (bundle.rollout(now.vector, [plan], history=known).z[0].tolist()
                         for known in (history, None))
    assert found == expected
    assert found != without


def test_stats_tell_what_the_model_takes(client: httpx.Client) -> None:
    model = client.get('/stats').json()['model']
    assert (model['uses_depth'], model['proprio_dim'], model['z_dim']) == (True, 3, 6)
