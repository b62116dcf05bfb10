from __future__ import annotations

from collections.abc import Iterator
import json
import os
from pathlib import Path

from spatial_rag_core.cli import main
from spatial_rag_core.data.generate import generate
from spatial_rag_core.data.generate_plan import GenerateConfig
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.training.checkpoint import load_checkpoint

import numpy as np
import pytest
import torch
import yaml

SHORT = {'seed': 3, 'encoder': {'z_dim': 8, 'image_size': 32},
         'transition': {'z_dim': 8, 'hidden_dim': 16, 'attention_heads': 2, 'topk': 4},
         'perception': {'training_steps': 3, 'batch_size': 16, 'validate_every': 2},
         'dynamics': {'training_steps': 3, 'batch_size': 8, 'horizon': 5, 'validate_every': 2}}


@pytest.fixture(scope='module')
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp('train')
    generate(path / 'rooms.h5', GenerateConfig(2, 1, 2, 2, steps=60, image_size_px=32,
                                               with_depth=False))
    (path / 'short.yaml').write_text(yaml.safe_dump(SHORT))
    threads = torch.get_num_threads()
    assert main([*command(path), '--quiet']) == 0
    yield path
    torch.set_num_threads(threads)


def command(path: Path) -> list[str]:
    return ['train', '--data', f'{path}/rooms.h5', '--config', f'{path}/short.yaml', '--out',
            f'{path}/artifacts/model.pt', '--checkpoints', f'{path}/checkpoints',
            '--num-threads', '1', '--accelerator', 'cpu']


def test_the_bundle_says_that_it_is_trained_and_on_what(folder: Path) -> None:
    metadata = Bundle.load(folder / 'artifacts/model.pt').metadata
    assert metadata.trained
    assert (metadata.z_dim, metadata.topk, metadata.step_sec, metadata.history) == (8, 4, 0.2, 2)
    assert metadata.training['seed'] == 3
    assert metadata.training['data']['train_maps'] == 2
    assert metadata.training['unseen']['measured_on'] == 'test maps'
    assert set(metadata.training['unseen']['with_memory']) == {'1', '5', '15'}


def test_checkpoint_and_bundle_are_the_same_model(folder: Path) -> None:
    model, facts = load_checkpoint(folder / 'checkpoints/model.pt')
    bundle = Bundle.load(folder / 'artifacts/model.pt', device='cpu')
    rgb = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with torch.inference_mode():
        z = model.encode(torch.from_numpy(rgb).permute(2, 0, 1)[None].float() / 255.0)[0]
    np.testing.assert_allclose(bundle.encode_image(rgb), z.numpy(), atol=1e-5)
    assert facts['config']['transition']['hidden_dim'] == 16


def test_the_card_names_model_command_machine_seed_and_figures(folder: Path) -> None:
    text = (folder / 'artifacts/model.md').read_text()
    model_id = Bundle.load(folder / 'artifacts/model.pt').model_id
    for fact in (model_id, 'Made by', '"seed": 3', 'with memory: 1 steps', 'train_maps',
                 f'{os.cpu_count()} cores'):
        assert fact in text


def test_the_same_seed_makes_the_same_model(folder: Path, tmp_path: Path) -> None:
    words = command(folder)
    words[words.index('--out') + 1] = f'{tmp_path}/again.pt'
    words[words.index('--checkpoints') + 1] = f'{tmp_path}/checkpoints'
    assert main([*words, '--quiet']) == 0
    first, again = (Bundle.load(path).model_id
                    for path in (folder / 'artifacts/model.pt', tmp_path / 'again.pt'))
    assert first == again


def test_the_configuration_is_printed_as_yaml_that_is_read_back(
        folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(['train', '--config', f'{folder}/short.yaml', '--print-config']) == 0
    printed = capsys.readouterr().out
    (tmp_path / 'all.yaml').write_text(printed)
    assert main(['train', '--config', f'{tmp_path}/all.yaml', '--print-config']) == 0
    assert capsys.readouterr().out == printed
    assert yaml.safe_load(printed)['dynamics']['horizon'] == 5


def test_json_holds_what_the_card_holds(folder: Path,
                                        capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command(folder), '--quiet', '--json', '--resume']) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts['model_id'] == Bundle.load(folder / 'artifacts/model.pt').model_id


@pytest.mark.parametrize(('words', 'message'), [
    (['--data', 'missing.h5'], 'missing.h5'),
    (['--data', 'missing.h5', '--leave-out-sec', '1'], '--leave-out-sec is for --bag'),
    (['--data', 'missing.h5', '--map-id', 'home'], '--map-id is for --bag'),
    (['--config', 'missing.yaml'], 'missing.yaml: cannot be read as YAML'),
    (['--encoder-weights', 'r.pth'], 'set USE_TINY_MODELS=false'),
])
def test_what_cannot_be_done_is_told_in_one_line(
        folder: Path, words: list[str], message: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    given = ['--data', f'{folder}/rooms.h5'] if '--data' not in words else []
    assert main(['train', '--quiet', '--num-threads', '1', *given, *words]) == 1
    error = capsys.readouterr().err
    assert message in error
    assert len(error.strip().splitlines()) == 1
