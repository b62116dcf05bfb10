from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import resource
from typing import Any

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig
from spatial_rag_core.training.checkpoint import load_checkpoint, save_checkpoint

import numpy as np
import pytest
import torch

CONFIG = WorldModelConfig(EncoderConfig(z_dim=8, image_size=32),
                          TransitionConfig(8, hidden_dim=16, lookup='latent'))


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / 'made/model.pt'
    save_checkpoint(WorldModel(CONFIG), path, {'seed': 3})
    return path


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    model, path = WorldModel(CONFIG), tmp_path / 'model.pt'
    facts = {'best': np.float64(0.5), 'names': ('a', 'b'), 'nested': {'none': None}}
    save_checkpoint(model, path, facts)
    loaded, found = load_checkpoint(path)
    assert loaded.config == CONFIG
    assert found == {'best': 0.5, 'names': ['a', 'b'], 'nested': {'none': None}}
    assert all(torch.equal(one, loaded.state_dict()[name])
               for name, one in model.state_dict().items())
    assert not loaded.training
    assert not any(each.requires_grad for each in loaded.parameters())


def test_nothing_but_the_checkpoint_is_left_in_its_folder(saved: Path) -> None:
    assert list(saved.parent.iterdir()) == [saved]


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


def test_code_in_a_checkpoint_is_not_run(saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    torch.save({**content, 'facts': Bomb(saved.parent / 'ran')}, saved)
    with pytest.raises(TrainingError, match='no checkpoint, or damaged'):
        load_checkpoint(saved)
    assert not (saved.parent / 'ran').exists()


@pytest.mark.parametrize('damage', [
    lambda path: path.write_bytes(path.read_bytes()[:3000]),
    lambda path: path.write_bytes(path.read_bytes()[:path.stat().st_size // 2]),
    lambda path: path.write_bytes(b''),
    lambda path: path.write_text('weights')])
def test_a_damaged_file_is_told_with_the_remedy(damage: Callable[[Path], None],
                                                saved: Path) -> None:
    damage(saved)
    with pytest.raises(TrainingError, match=r'model\.pt: no checkpoint, or damaged .*train one'):
        load_checkpoint(saved)


@pytest.mark.parametrize('content', [[1], {'format': 'other-1'}, {'weights': {}}])
def test_a_file_of_other_software_is_told(content: object, saved: Path) -> None:
    torch.save(content, saved)
    with pytest.raises(TrainingError, match='no checkpoint of this software'):
        load_checkpoint(saved)


@pytest.mark.parametrize(('name', 'value'), [
    ('weights', {}), ('weights', 3), ('encoder', {'colour': 'red'}), ('encoder', 3),
    ('encoder', {'z_dim': 16, 'image_size': 32}), ('transition', {'lookup': 'never'}),
    ('facts', 3), ('facts', None)])
def test_a_file_of_another_layout_is_told(name: str, value: object, saved: Path) -> None:
    torch.save({**torch.load(saved, weights_only=True), name: value}, saved)
    with pytest.raises(TrainingError, match=r'does not fit this version .*train anew'):
        load_checkpoint(saved)


@pytest.mark.parametrize('name', ['format', 'encoder', 'transition', 'weights', 'facts'])
def test_a_file_with_a_part_missing_is_told(name: str, saved: Path) -> None:
    content = torch.load(saved, weights_only=True)
    del content[name]
    torch.save(content, saved)
    with pytest.raises(TrainingError, match=r'train (anew|one)'):
        load_checkpoint(saved)


def test_a_file_that_is_not_there_is_told_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r'model\.pt: no such checkpoint; train one: spatial-'):
        load_checkpoint(tmp_path / 'model.pt')
    with pytest.raises(TrainingError, match='cannot be read'):
        load_checkpoint(tmp_path)


def test_a_full_disk_leaves_the_old_checkpoint_as_it_was(saved: Path) -> None:
    old = saved.read_bytes()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(TrainingError, match=r'model\.pt: cannot be written .*has space'):
            save_checkpoint(WorldModel(CONFIG), saved, {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert saved.read_bytes() == old
    assert list(saved.parent.iterdir()) == [saved]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / 'file').write_text('in the way')
    with pytest.raises(TrainingError, match='cannot be written'):
        save_checkpoint(WorldModel(CONFIG), tmp_path / 'file/model.pt', {})
