from __future__ import annotations

from collections.abc import Callable
import dataclasses
import json
import os
from pathlib import Path
import shutil
import warnings
import zipfile

from spatial_rag_core.errors import BundleError, ConfigurationError
from spatial_rag_core.models.bundle import Bundle, BundleMetadata, model_id_of, save_bundle
from spatial_rag_core.models.bundle_file import open_network
from spatial_rag_core.models.bundle_metadata import read_metadata
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig

import pytest
import torch

CREATE = 'spatial-rag bundle create-untrained'


def make(seed: int = 0) -> WorldModel:
    torch.manual_seed(seed)
    return WorldModel(WorldModelConfig(
        EncoderConfig(z_dim=4, use_depth=True, proprio_dim=3),
        TransitionConfig(z_dim=4, action_dim=3, hidden_dim=16, memory_pose=True)))


def rewritten(path: Path, change: Callable[[str, bytes], bytes | None]) -> Path:
    """Copy a bundle, with each entry of the archive replaced, or left out for None."""
    copy = path.with_name('rewritten.pt')
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, 'w') as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)
    return copy


def with_metadata(path: Path, **values: object) -> Path:
    def change(name: str, data: bytes) -> bytes:
        if not name.endswith('metadata.json'):
            return data
        return json.dumps({**json.loads(data), **values}).encode()
    return rewritten(path, change)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / 'model.pt'
    save_bundle(make(), path, topk=5, trained=True, training={'epochs': 3})
    return path


def test_metadata_comes_back_as_it_was_written(saved: Path) -> None:
    metadata = read_metadata(saved)
    assert metadata == Bundle.load(saved).metadata
    assert (metadata.z_dim, metadata.action_dim, metadata.topk) == (4, 3, 5)
    assert (metadata.uses_depth, metadata.proprio_dim) == (True, 3)
    assert (metadata.uses_memory_pose, metadata.uses_memory_action) == (True, False)
    assert (metadata.trained, metadata.training) == (True, {'epochs': 3})
    assert BundleMetadata.from_json(metadata.to_json()) == metadata


def test_the_same_weights_have_one_model_id_however_often_they_are_saved(tmp_path: Path) -> None:
    ids = {save_bundle(model, tmp_path / f'{i}.pt', topk=8, trained=False, training={}).model_id
           for i, model in enumerate([make(), make(), make().train()])}
    assert ids == {model_id_of(make().config, make().state_dict())}


def test_one_changed_weight_or_one_changed_structure_is_another_model() -> None:
    model = make()
    before = model_id_of(model.config, model.state_dict())
    other = dataclasses.replace(model.config, transition=dataclasses.replace(
        model.config.transition, attention_heads=2))
    assert model_id_of(other, model.state_dict()) != before
    with torch.no_grad():
        model.encoder.head.bias[0] += 1e-6
    assert model_id_of(model.config, model.state_dict()) != before


def test_saving_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = make().train()
    save_bundle(model, tmp_path / 'model.pt', topk=8, trained=False, training={})
    assert model.training
    assert model.encoder.training


def test_saving_makes_folders_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / 'artifacts' / 'new' / 'model.pt'
    save_bundle(make(), path, topk=8, trained=False, training={})
    assert [p.name for p in path.parent.iterdir()] == ['model.pt']


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
        saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(BundleError, match=r'model\.pt: cannot be written \(No space left'):
        save_bundle(make(1), saved, topk=8, trained=False, training={})
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ['model.pt']


def test_training_facts_that_json_cannot_say_are_refused(tmp_path: Path) -> None:
    for fact in (float('nan'), torch.zeros(1)):
        with pytest.raises(BundleError, match='training facts as finite numbers'):
            save_bundle(make(), tmp_path / 'm.pt', topk=8, trained=True, training={'loss': fact})
    with pytest.raises(ConfigurationError, match='topk must be > 0, got 0'):
        save_bundle(make(), tmp_path / 'm.pt', topk=0, trained=True, training={})
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_says_how_to_make_one(tmp_path: Path) -> None:
    path = tmp_path / 'none.pt'
    with pytest.raises(BundleError, match=f'{path}: no such bundle file; make one: {CREATE}'):
        Bundle.load(path)


@pytest.mark.parametrize('part', [0.0, 0.1, 0.5, 0.99])
def test_a_file_that_was_cut_short_is_refused(saved: Path, part: float) -> None:
    saved.write_bytes(saved.read_bytes()[:int(part * saved.stat().st_size)])
    with pytest.raises(BundleError, match=r'model\.pt: not a bundle, or cut short') as error:
        Bundle.load(saved)
    assert '\n' not in str(error.value)


def test_torchscript_without_our_metadata_is_refused(saved: Path) -> None:
    path = rewritten(saved, lambda name, data: None if 'extra/' in name else data)
    with pytest.raises(BundleError, match=r'no metadata\.json inside, .* save_bundle'):
        Bundle.load(path)


def test_an_archive_that_is_not_torchscript_is_refused_in_one_line(saved: Path) -> None:
    path = rewritten(saved, lambda name, data: data if 'extra/' in name else None)
    with pytest.raises(BundleError, match='not TorchScript, or damaged') as error:
        Bundle.load(path)
    assert '\n' not in str(error.value)


def test_weights_of_another_model_are_refused(saved: Path) -> None:
    other = saved.with_name('other.pt')
    other_id = save_bundle(make(1), other, topk=5, trained=True, training={}).model_id
    path = with_metadata(other, model_id=read_metadata(saved).model_id)
    with pytest.raises(BundleError, match=f'the weights have model_id {other_id}, the metadata'):
        Bundle.load(path)


def test_a_newer_format_asks_for_an_update(saved: Path) -> None:
    path = with_metadata(saved, format_version=2, shape_of_things='to come')
    with pytest.raises(BundleError, match=r'format 2 is newer than 1, .*update'):
        Bundle.load(path)


@pytest.mark.parametrize(('values', 'message'), [
    ({'format_version': None}, 'format_version must be 1, got None'),
    ({'z_dim': '4'}, "field z_dim must be int, got '4'"),
    ({'topk': 0}, 'topk must be > 0, got 0'),
    ({'colour': 'red'}, r"missing or unknown fields \['colour'\]"),
    ({'architecture': 'vit'}, "architecture must be one of .*, got 'vit'"),
    ({'image_size': 96}, 'the weights have model_id'),
])
def test_damaged_metadata_is_refused_with_path_and_value(
        saved: Path, values: dict[str, object], message: str) -> None:
    path = with_metadata(saved, **values)
    with pytest.raises(BundleError, match=f'{path}: .*{message}'):
        Bundle.load(path)


@pytest.mark.parametrize('text', [b'{"z_dim": ', b'[1, 2]', b'\xff\xfe'])
def test_metadata_that_is_no_json_object_is_refused(saved: Path, text: bytes) -> None:
    path = rewritten(saved, lambda name, data: text if 'extra/' in name else data)
    with pytest.raises(BundleError, match=f'{path}: bundle metadata is '):
        Bundle.load(path)


@pytest.mark.parametrize(('name', 'found'), [('z_dim', 4), ('action_dim', 3)])
def test_other_dimensions_than_asked_for_are_refused_with_the_remedy(
        saved: Path, name: str, found: int) -> None:
    with pytest.raises(BundleError, match=f'made for {name} {found}, asked for 7; set {name}: '
                                          f'{found}, or .*{name.upper()}=7 {CREATE}'):
        Bundle.load(saved, **{name: 7})
    assert Bundle.load(saved, **{name: found}).model_id == read_metadata(saved).model_id


def test_an_unknown_device_is_refused(saved: Path) -> None:
    with pytest.raises(ConfigurationError, match="'auto', 'cpu' or 'cuda', got 'tpu'"):
        Bundle.load(saved, device='tpu')  # type: ignore[arg-type]


def test_the_opened_network_gives_the_feature_map_of_the_eager_model(saved: Path) -> None:
    network = open_network(saved, read_metadata(saved), torch.device('cpu'))
    rgb, depth = torch.rand(1, 3, 64, 64), torch.rand(1, 1, 64, 64)
    torch.testing.assert_close(network.features(rgb, depth), make().eval().features(rgb, depth),
                               rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(torch.cuda.is_available(), reason='needs a machine without a GPU')
def test_cuda_without_a_gpu_is_refused_and_auto_takes_the_cpu(saved: Path) -> None:
    with pytest.raises(BundleError, match=f'{saved}: device cuda .* set device: cpu'):
        Bundle.load(saved, device='cuda')
    assert Bundle.load(saved, device='auto').device.type == 'cpu'


def test_weights_that_give_no_finite_latent_are_refused_at_loading(tmp_path: Path) -> None:
    model = make()
    torch.nn.init.constant_(model.encoder.head.bias, float('nan'))
    save_bundle(model, tmp_path / 'm.pt', topk=5, trained=True, training={})
    with pytest.raises(BundleError, match=r'm\.pt: the encoder .* not finite'):
        Bundle.load(tmp_path / 'm.pt')


def test_a_moved_file_is_still_the_same_model(saved: Path, tmp_path: Path) -> None:
    moved = tmp_path / 'elsewhere' / 'renamed.bin'
    moved.parent.mkdir()
    before = Bundle.load(saved).model_id
    shutil.move(saved, moved)
    assert Bundle.load(moved).model_id == before


def test_only_torchscripts_own_deprecation_is_silenced(tmp_path: Path) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter('always')
        save_bundle(make(), tmp_path / 'm.pt', topk=5, trained=False, training={})
        Bundle.load(tmp_path / 'm.pt')
        warnings.warn('`torch.jit.script` is deprecated', DeprecationWarning, stacklevel=1)
    assert [str(w.message) for w in seen] == ['`torch.jit.script` is deprecated']
