from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from spatial_rag_core.data.generate import generate
from spatial_rag_core.data.generate_plan import GenerateConfig
from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.world_model import WorldModel
from spatial_rag_core.training import run_training as module
from spatial_rag_core.training.fitting import FitOptions
from spatial_rag_core.training.run_training import fitting_horizon, run_training, Trained
from spatial_rag_core.training.training_config import changed, TrainingConfig
from spatial_rag_core.training.training_data import TrainingData

import numpy as np
import pytest
import torch

from .drives import drive

CPU = FitOptions(accelerator='cpu', devices=1)
CONFIG = changed(TrainingConfig(), {
    'encoder': {'z_dim': 8, 'image_size': 32},
    'transition': {'z_dim': 8, 'hidden_dim': 16},
    'perception': {'training_steps': 4, 'validate_every': 2, 'batch_size': 16,
                   'maps_per_batch': 2},
    'dynamics': {'training_steps': 4, 'validate_every': 2, 'batch_size': 8, 'horizon': 3,
                 'fence': {'most': 16}}}, 'test')


@pytest.fixture(scope='module')
def data(tmp_path_factory: pytest.TempPathFactory) -> TrainingData:
    path = tmp_path_factory.mktemp('run') / 'rooms.h5'
    generate(path, GenerateConfig(maps=2, valid_maps=1, test_maps=1, steps=50, image_size_px=32,
                                  with_depth=False))
    return TrainingData.from_file(path, lambda told: None)


def trained(data: TrainingData, told: list[str] | None = None, **options: Any) -> Trained:
    return run_training(data, CONFIG, dataclasses.replace(CPU, **options),
                        (told if told is not None else []).append)


def weights(model: WorldModel) -> torch.Tensor:
    return torch.cat([each.flatten() for each in model.parameters()])


def test_episodes_become_a_model_and_facts_that_json_can_say(data: TrainingData) -> None:
    told: list[str] = []
    result = trained(data, told)
    json.dumps(result.facts, allow_nan=False)
    assert result.facts['perception']['steps'] == result.facts['dynamics']['steps'] == 4
    assert result.facts['dynamics']['horizon'] == 3
    assert not result.model.training
    assert not any(each.requires_grad for each in result.model.parameters())
    assert told == ['perception: 100 pictures', 'dynamics: 90 windows of 3 steps']
    rgb = torch.from_numpy(data.test[0].rgb[:1]).permute(0, 3, 1, 2).float() / 255
    assert result.model.decode(result.model.encode(rgb)).shape == (1, 3, 32, 32)


def test_a_training_that_was_cut_off_gives_the_same_model(
        data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = trained(data, folder=tmp_path / 'whole').model
    with monkeypatch.context() as patch:
        def power_cut(*_: Any) -> None:
            raise RuntimeError('power cut')
        patch.setattr(module, 'train_dynamics', power_cut)
        with pytest.raises(RuntimeError, match='power cut'):
            trained(data, folder=tmp_path / 'cut')
    resumed = trained(data, folder=tmp_path / 'cut', resume=True).model
    assert torch.equal(weights(resumed), weights(whole))


def test_what_begins_anew_never_goes_on_with_the_dynamics_of_another_encoder(
        data: TrainingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(data, folder=tmp_path)
    assert (tmp_path / 'dynamics/last.ckpt').exists()

    def power_cut(*_: Any, **__: Any) -> None:
        raise RuntimeError('power cut')

    monkeypatch.setattr(module, 'train_perception', power_cut)
    with pytest.raises(RuntimeError, match='power cut'):
        trained(data, folder=tmp_path)
    assert not (tmp_path / 'dynamics/last.ckpt').exists()


def test_a_recording_alone_becomes_a_model(data: TrainingData) -> None:
    alone, told = TrainingData.from_recordings(data.train[:1]), list[str]()
    facts = trained(alone, told).facts
    assert np.isfinite(facts['dynamics']['best'])
    assert told[0] == 'perception: 50 pictures'  # all, not three quarters
    assert facts['perception']['measured_on'] == 'training'


def test_pictures_of_another_size_are_told(data: TrainingData) -> None:
    config = changed(CONFIG, {'encoder': {'image_size': 64}}, 'test')
    with pytest.raises(TrainingError, match='IMAGE_SIZE=32'):
        run_training(data, config, CPU, lambda told: None)


def test_the_horizon_shortens_to_what_the_drives_have_room_for() -> None:
    long, short, shed = drive(count=60), drive('hut', count=8), drive('shed', count=60)
    dynamics = dataclasses.replace(CONFIG.dynamics, horizon=15, history=2)
    assert fitting_horizon(dynamics, [long], [long]).horizon == 15
    assert fitting_horizon(dynamics, [long], [short]).horizon == 5
    assert fitting_horizon(dynamics, [drive(count=1)], [long]).horizon == 1
    # One drive that broke off does not shorten what the others foresee.
    assert fitting_horizon(dynamics, [long, short, shed], [long]).horizon == 15
