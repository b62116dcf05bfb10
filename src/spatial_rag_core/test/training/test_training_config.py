from __future__ import annotations

import dataclasses
from pathlib import Path

from spatial_rag_core.errors import ConfigurationError, TrainingError
from spatial_rag_core.settings import Settings
from spatial_rag_core.training.training_config import as_values, changed, TrainingConfig

import pytest
import yaml

DEFAULT = TrainingConfig()


def loaded(text: str, tmp_path: Path) -> TrainingConfig:
    path = tmp_path / 'train.yaml'
    path.write_text(text)
    return TrainingConfig.load(path, DEFAULT)


def test_a_file_changes_what_it_says_and_nothing_else(tmp_path: Path) -> None:
    config = loaded('seed: 7\ndynamics:\n  horizon: 3\n  fence: {most: 9}\n', tmp_path)
    dynamics = dataclasses.replace(DEFAULT.dynamics, horizon=3, fence=dataclasses.replace(
        DEFAULT.dynamics.fence, most=9))
    assert config == dataclasses.replace(DEFAULT, seed=7, dynamics=dynamics)


def test_what_is_written_out_is_read_back_as_it_was(tmp_path: Path) -> None:
    config = changed(DEFAULT, {'step_sec': 0.4, 'transition': {'lookup': 'once', 'topk': 3}}, '')
    assert changed(DEFAULT, as_values(config), '') == config
    assert loaded(yaml.safe_dump(as_values(config)), tmp_path) == config


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert loaded('# nothing\n', tmp_path) == DEFAULT


@pytest.mark.parametrize('rate', ['2e-3', '0.002', '2.0e-3', '"0.002"'])
def test_a_number_may_be_written_as_one_likes(rate: str, tmp_path: Path) -> None:
    assert loaded(f'dynamics: {{learning_rate: {rate}}}',
                  tmp_path).dynamics.learning_rate == 0.002


def test_a_whole_number_serves_where_a_fraction_may_stand(tmp_path: Path) -> None:
    step_sec = loaded('step_sec: 1', tmp_path).step_sec
    assert isinstance(step_sec, float)
    assert step_sec == 1.0


@pytest.mark.parametrize(('text', 'message'), [
    ('colour: red', "no such key 'colour'; there are dynamics, encoder, perception, seed,"),
    ('dynamics: {fence: {sec: 5}}', "dynamics: fence: no such key 'sec'; there are fence_sec, mo"),
    ('1: 2', "no such key '1'"),
    ('dynamics: 3', 'dynamics: expected keys and values, got 3'),
    ('dynamics:', 'dynamics: expected keys and values, got None'),
    ('[1, 2]', r'expected keys and values, got \[1, 2\]'),
    ('[]', r'expected keys and values, got \[\]'),
    ('seed: many', "seed must be int, got 'many'"),
    ('seed: 1.5', 'seed must be int, got 1.5'),
    ('seed: true', 'seed must be int, got True'),
    ('step_sec: true', 'step_sec must be float, got True'),
    ('step_sec: soon', "step_sec must be float, got 'soon'"),
    ('dynamics: {learning_rate: [1]}', r'dynamics: learning_rate must be float, got \[1\]'),
    ('dynamics: {learning_rate: .nan}', 'dynamics: learning_rate must be finite, got nan'),
    ('dynamics: {weight_decay: 1e999}', 'dynamics: weight_decay must be finite, got inf'),
    ('transition: {memory: 1}', 'transition: memory must be bool, got 1'),
    ('transition: {lookup: 5}', "transition: lookup must be 'pose', 'latent' or 'once', got 5"),
    ('dynamics: {learning_rate: -1}', 'dynamics: learning_rate must be > 0, got -1.0'),
    ('dynamics: {fence: {most: 0}}', 'dynamics: fence: most must lie between 1 and 10000, got 0'),
    ('seed: -1', r'seed must lie in \[0, 2\^32\), got -1'),
    ('step_sec: 0', r'step_sec must lie in \(0, 60\] s, got 0.0'),
    ('encoder: {z_dim: 16}', 'z_dim must be one number, got 16 for the encoder and 32 for'),
])
def test_what_is_wrong_is_named_with_its_file_and_the_path_of_its_key(
        text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf'train\.yaml: {message}'):
        loaded(text, tmp_path)


def test_a_file_that_cannot_be_read_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r'no\.yaml: cannot be read as YAML .*--print-config'):
        TrainingConfig.load(tmp_path / 'no.yaml', DEFAULT)
    with pytest.raises(TrainingError, match=r'^[^\n]*cannot be read as YAML [^\n]*$'):
        loaded('a: [1\nb: }', tmp_path)
    (tmp_path / 'train.yaml').write_bytes(b'\xff\xfe\x00')
    with pytest.raises(TrainingError, match='cannot be read as YAML'):
        TrainingConfig.load(tmp_path / 'train.yaml', DEFAULT)


def test_the_environment_sizes_the_default() -> None:
    config = TrainingConfig.from_settings(Settings.from_environment({
        'Z_DIM': '24', 'ACTION_DIM': '3', 'TOPK': '5', 'IMAGE_SIZE': '96',
        'USE_TINY_MODELS': 'false'}))
    assert (config.encoder.z_dim, config.transition.z_dim) == (24, 24)
    assert (config.transition.action_dim, config.transition.topk) == (3, 5)
    assert (config.encoder.architecture, config.encoder.image_size) == ('resnet18', 96)
