from __future__ import annotations

import dataclasses
import os
from pathlib import Path
import shutil
import warnings

from spatial_rag_core.errors import BundleError, ConfigurationError
from spatial_rag_core.models.bundle import Bundle, model_id_of, save_bundle
from spatial_rag_core.models.bundle_file import open_network
from spatial_rag_core.models.bundle_metadata import read_metadata

import pytest
import torch

from .bundle_samples import CREATE, make, rewritten, with_metadata


def test_the_same_weights_have_one_model_id_however_often_they_are_saved(tmp_path: Path) -> None:
    ids = {save_bundle(model, tmp_path / f'{i}.pt', trained=False, training={}).model_id
           for i, model in enumerate([make(), make(), make().train()])}
    assert ids == {model_id_of(make().config, make().state_dict())}


def test_one_changed_weight_or_one_changed_structure_is_another_model() -> None:
    model = make()
    before = model_id_of(model.config, model.state_dict())
    for changed in ({'attention_heads': 2}, {'lookup': 'once'}, {'topk': 6}, {'reach_m': 2.0}):
        other = dataclasses.replace(model.config, transition=dataclasses.replace(
            model.config.transition, **changed))
        assert model_id_of(other, model.state_dict()) != before
    with torch.no_grad():
        model.encoder.head.bias[0] += 1e-6
    assert model_id_of(model.config, model.state_dict()) != before


def test_saving_leaves_the_model_as_it_was(tmp_path: Path) -> None:
    model = make().train()
    save_bundle(model, tmp_path / 'model.pt', trained=False, training={})
    assert model.training
    assert model.encoder.training


def test_saving_makes_folders_and_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / 'artifacts' / 'new' / 'model.pt'
    save_bundle(make(), path, trained=False, training={})
    assert [p.name for p in path.parent.iterdir()] == ['model.pt']


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
        saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, 'No space left on device')
    monkeypatch.setattr(os, 'fsync', full)
    with pytest.raises(BundleError, match=r'model\.pt: cannot be written \(No space left'):
        save_bundle(make(1), saved, trained=False, training={})
    assert saved.read_bytes() == before
    assert [p.name for p in saved.parent.iterdir()] == ['model.pt']


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
    other_id = save_bundle(make(1), other, trained=True, training={}).model_id
    path = with_metadata(other, model_id=read_metadata(saved).model_id)
    with pytest.raises(BundleError, match=f'the weights have model_id {other_id}, the metadata'):
        Bundle.load(path)


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
    save_bundle(model, tmp_path / 'm.pt', trained=True, training={})
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
        save_bundle(make(), tmp_path / 'm.pt', trained=False, training={})
        Bundle.load(tmp_path / 'm.pt')
        warnings.warn('`torch.jit.script` is deprecated', DeprecationWarning, stacklevel=1)
    assert [str(w.message) for w in seen] == ['`torch.jit.script` is deprecated']
