"""What /openapi.json promises: nothing that fits it fails, and its examples work."""

from __future__ import annotations

from collections.abc import Iterator
import json
from pathlib import Path
from typing import Any

from spatial_rag_api.app import create_app
from spatial_rag_api.limits import Limits
from spatial_rag_api.parts import Parts

import httpx
from hypothesis import assume, given, HealthCheck, Phase, settings
import pytest
import schemathesis
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from .robots import client_of, parts_of, served, Z_DIM

OPERATIONS = (
    'GET /health', 'GET /memory/cells', 'GET /memory/latest', 'GET /memory/query',
    'GET /memory/{seq}', 'GET /memory/{seq}/picture', 'GET /metrics', 'GET /ready', 'GET /stats',
    'GET /stream-rollout', 'GET /version', 'POST /encode', 'POST /memory/query', 'POST /predict',
    'POST /rollout')
WITHOUT_ARGUMENTS = {'GET /health', 'GET /memory/latest', 'GET /metrics', 'GET /ready',
                     'GET /stats', 'GET /version'}
CASES = [(name, mode) for name in OPERATIONS for mode in GenerationMode
         if not (name in WITHOUT_ARGUMENTS and mode is GenerationMode.NEGATIVE)]

KEPT = [content_type_conformance, response_schema_conformance, status_code_conformance]
"""What an answer must be; whether it fits the model (z_dim, action_dim) no schema can say."""


@pytest.fixture(scope='module')
def address(bundle_path: Path, memory_path: Path) -> Iterator[str]:
    """A server whose streams end soon."""
    limits = Limits(stream_timeout_sec=0.05)
    with parts_of(bundle_path, memory_path, limits=limits) as parts, served(parts) as port:
        yield f'http://127.0.0.1:{port}'


@pytest.fixture(scope='module')
def described(parts: Parts) -> dict[str, Any]:
    return create_app(parts).openapi()


def test_each_operation_is_put_to_the_test(described: dict[str, Any]) -> None:
    assert sorted(f'{method.upper()} {path}' for path, methods in described['paths'].items()
                  for method in methods) == list(OPERATIONS)


def sized(described: dict[str, Any]) -> dict[str, Any]:
    """The same with the sizes of this model, or nearly every request would be of another."""
    sized: dict[str, Any] = json.loads(json.dumps(described))
    numbers = {'type': 'array', 'items': {'type': 'number', 'minimum': -2, 'maximum': 2}}
    action = {**numbers, 'minItems': 2, 'maxItems': 2}
    actions = {'type': 'array', 'items': action, 'minItems': 1, 'maxItems': 4}
    for name in ('PredictRequest', 'RolloutRequest', 'QueryRequest'):
        properties = sized['components']['schemas'][name]['properties']
        properties['z'] = {**numbers, 'minItems': Z_DIM, 'maxItems': Z_DIM}
        properties['actions' if 'actions' in properties else 'plans'] = (
            actions if 'actions' in properties else {**actions, 'items': actions})
    sized['components']['schemas']['QueryRequest']['properties'].pop('plans')
    return sized


@pytest.mark.parametrize(('name', 'mode'), CASES)
def test_whatever_is_asked_is_answered_as_described(
        name: str, mode: GenerationMode, address: str, described: dict[str, Any]) -> None:
    """Requests that fit the description, and such as do not; its words are kept either way."""
    method, path = name.split()
    operation = schemathesis.openapi.from_dict(sized(described))[path][method]

    @settings(max_examples=30, deadline=None, derandomize=True, database=None,
              phases=[Phase.generate],  # shrinking would take minutes
              suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        assume(len(str(case.query)) < 10_000)  # a longer address is refused before it is read
        answer = case.call(base_url=address)
        assert answer.status_code < 500, answer.text
        case.validate_response(answer, checks=KEPT)
    ask()


def test_everything_has_words_for_a_stranger(described: dict[str, Any]) -> None:
    for path, methods in described['paths'].items():
        for operation in methods.values():
            assert operation['summary'], path
            assert operation['description'], path
            for parameter in operation.get('parameters', ()):
                assert parameter.get('description'), (path, parameter['name'])
    for name in ('StartFields', 'PredictRequest', 'RolloutRequest', 'QueryRequest'):
        for field, schema in described['components']['schemas'].get(
                name, {'properties': {}})['properties'].items():
            assert schema.get('description'), (name, field)


def test_numbers_name_their_units(described: dict[str, Any]) -> None:
    plain = ('position', 'radius', 'time', 'age', 'duration', 'timeout', 'width', 'height')
    for name, schema in described['components']['schemas'].items():
        assert not set(schema.get('properties', ())) & set(plain), name


def examples(described: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in described['paths'].items():
        body = methods.get('post', {}).get('requestBody', {}).get('content', {}).get(
            'application/json')
        if body is not None:
            model = body['schema']['$ref'].rsplit('/', 1)[1]
            for example in described['components']['schemas'][model]['examples']:
                yield path, example


def test_each_documented_example_works(
        client: httpx.Client, described: dict[str, Any]) -> None:
    tried = 0
    for path, example in examples(described):
        answer = client.post(path, json=example)
        assert answer.status_code == 200, (path, json.dumps(example), answer.text)
        tried += 1
    assert tried >= 8


def test_a_key_is_described_where_one_is_needed(
        bundle_path: Path, memory_path: Path) -> None:
    key = 'a-key-of-some-length'
    with parts_of(bundle_path, memory_path, api_key=key) as parts, client_of(parts) as client:
        described = client.get('/openapi.json', headers={'X-API-Key': key}).json()
    assert set(described['components']['securitySchemes']) == {'X-API-Key', 'Bearer'}
