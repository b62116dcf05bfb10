from __future__ import annotations

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.settings import Settings

import pytest


def test_an_empty_environment_gives_the_defaults_of_the_design() -> None:
    settings = Settings.from_environment({})
    assert settings == Settings()
    assert (settings.z_dim, settings.action_dim, settings.topk, settings.image_size) == (
        32, 2, 8, 64)
    assert settings.use_tiny_models is True
    assert (settings.qdrant_host, settings.qdrant_port) == ('localhost', 6333)
    assert settings.checkpoint_path is None


def test_every_variable_is_read() -> None:
    assert Settings.from_environment({
        'Z_DIM': '64', 'ACTION_DIM': ' 6 ', 'TOPK': '4', 'IMAGE_SIZE': '224',
        'USE_TINY_MODELS': 'False', 'QDRANT_HOST': 'db', 'QDRANT_PORT': '1234',
        'WM_CHECKPOINT_PATH': '/m.pt', 'OTHER': 'x',
    }) == Settings(64, 6, 4, 224, False, 'db', 1234, '/m.pt')


def test_the_processs_own_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('Z_DIM', '48')
    assert Settings.from_environment().z_dim == 48


def test_a_variable_that_is_set_but_empty_counts_as_not_set() -> None:
    names = ('Z_DIM', 'USE_TINY_MODELS', 'QDRANT_HOST', 'WM_CHECKPOINT_PATH')
    assert Settings.from_environment(dict.fromkeys(names, '')) == Settings()


@pytest.mark.parametrize(('text', 'value'), [
    ('1', True), ('YES', True), ('on', True), ('0', False), ('no', False), (' off ', False)])
def test_truth_has_several_spellings(text: str, value: bool) -> None:
    assert Settings.from_environment({'USE_TINY_MODELS': text}).use_tiny_models is value


@pytest.mark.parametrize(('name', 'text', 'message'), [
    ('Z_DIM', '0', 'Z_DIM must lie between 1 and 4096, got 0'),
    ('Z_DIM', '4097', 'Z_DIM must lie between 1 and 4096, got 4097'),
    ('Z_DIM', '3.5', "Z_DIM must be a whole number, got '3.5'"),
    ('ACTION_DIM', '-2', 'ACTION_DIM must lie between 1 and 64, got -2'),
    ('TOPK', 'eight', "TOPK must be a whole number, got 'eight'"),
    ('TOPK', '1025', 'TOPK must lie between 1 and 1024, got 1025'),
    ('IMAGE_SIZE', '65', 'IMAGE_SIZE must be a multiple of 32 px, got 65'),
    ('IMAGE_SIZE', '0', 'IMAGE_SIZE must lie between 32 and 1024, got 0'),
    ('USE_TINY_MODELS', 'maybe', "USE_TINY_MODELS must be true or false, got 'maybe'"),
    ('QDRANT_PORT', '70000', 'QDRANT_PORT must lie between 1 and 65535, got 70000'),
])
def test_a_wrong_value_is_refused_by_name(name: str, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Settings.from_environment({name: text})
