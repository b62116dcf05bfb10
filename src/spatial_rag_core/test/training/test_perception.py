from __future__ import annotations

from collections.abc import Callable, Iterator
import dataclasses
import itertools
from pathlib import Path

from spatial_rag_core.errors import TrainingError
from spatial_rag_core.models.encoder import EncoderConfig, TinyEncoder
from spatial_rag_core.training.fitting import FitOptions
from spatial_rag_core.training.frames import FrameSet
from spatial_rag_core.training.pair_sampler import PairBatch, PairBatches, PairSampler
from spatial_rag_core.training.perception import (
    _finish,
    encode_frames,
    PerceptionResult,
    reconstruction_psnr_db,
    train_perception,
)
from spatial_rag_core.training.perception_config import PerceptionConfig
from spatial_rag_core.training.perception_module import as_pictures, PerceptionModule, shifted

import numpy as np
import pytest
import torch

MakeFrames = Callable[..., FrameSet]
ENCODER = EncoderConfig(z_dim=8, image_size=32)
CONFIG = PerceptionConfig(training_steps=240, batch_size=32, maps_per_batch=2, validate_every=60)
SHORT = dataclasses.replace(CONFIG, training_steps=4, validate_every=2)
WEIGHTS = ('reconstruction_weight', 'edge_weight', 'place_weight', 'covariance_weight')
CPU = FitOptions(accelerator='cpu', devices=1)


@pytest.fixture(scope='module')
def result(make_frames: MakeFrames) -> PerceptionResult:
    return train_perception(make_frames(3), CONFIG, encoder=ENCODER, options=CPU)


def test_latents_have_mean_0_and_deviation_1_on_what_was_trained_on(
        result: PerceptionResult, make_frames: MakeFrames) -> None:
    z = encode_frames(result.encoder, make_frames(3))
    np.testing.assert_allclose(z.mean(axis=0), 0.0, atol=1e-3)
    np.testing.assert_allclose(z.std(axis=0), 1.0, atol=1e-3)


def test_the_decoder_shows_the_pictures(result: PerceptionResult, make_frames: MakeFrames) -> None:
    frames = make_frames(3)
    true = as_pictures(torch.from_numpy(frames.rgb))
    of_the_mean = -10 * np.log10(float((true - true.mean(dim=0)).square().mean()))
    assert reconstruction_psnr_db(result.encoder, result.decoder, frames) > of_the_mean + 2.5


def test_the_same_place_is_found_again(result: PerceptionResult) -> None:
    assert result.figures['recall_at_1'] > 0.9
    assert result.figures['near_far_auc'] > 0.9
    assert result.figures['measured_on'] == 'training'


def test_the_networks_are_ready_for_a_bundle(result: PerceptionResult) -> None:
    for network in (result.encoder, result.decoder):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())
        assert all(p.is_contiguous() for p in network.parameters())


def test_the_same_seed_gives_the_same_networks_and_leaves_the_callers_lot_alone(
        make_frames: MakeFrames) -> None:
    state = torch.get_rng_state()
    one, two = (train_perception(make_frames(), SHORT, encoder=ENCODER, seed=5, options=CPU)
                for _ in range(2))
    assert torch.equal(state, torch.get_rng_state())
    for a, b in zip(one.encoder.parameters(), two.encoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_folding_the_normalisation_changes_no_decoded_picture(make_frames: MakeFrames) -> None:
    frames = make_frames()
    torch.manual_seed(0)
    module = PerceptionModule(ENCODER, CONFIG, 1)
    pictures = as_pictures(torch.from_numpy(frames.rgb))
    with torch.no_grad():
        for _ in range(3):
            module.normalise(module.encoder(pictures))
        module.eval()
        before = module.decoder(module.normalise(module.encoder(pictures)))
        _finish(module, frames)
        torch.testing.assert_close(module.decoder(module.encoder(pictures)), before,
                                   rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('name', WEIGHTS)
def test_a_weight_of_zero_switches_its_term_off(name: str, make_frames: MakeFrames) -> None:
    frames = make_frames()
    all_terms = dict.fromkeys(WEIGHTS, 0.1)
    config = dataclasses.replace(SHORT, **{**all_terms, name: 0.0})
    module = PerceptionModule(ENCODER, config, 1)
    _, terms = module._loss(torch.randn(4, 8), *torch.rand(2, 4, 3, 32, 32),
                            _batch(frames, config))
    assert len(terms) == 3
    switched_off = name.removesuffix('_weight').replace('reconstruction', 'picture')
    assert switched_off not in terms


def test_depth_and_proprioception_may_be_missing_when_the_training_dropped_them(
        make_frames: MakeFrames) -> None:
    frames = make_frames(depth_m=np.ones((120, 32, 32), np.float32),
                         proprio=np.random.default_rng(0).normal(size=(120, 3)).astype('f4'))
    structure = EncoderConfig(z_dim=8, image_size=32, use_depth=True, proprio_dim=3)
    trained = train_perception(frames, SHORT, encoder=structure, options=CPU)
    with_both = encode_frames(trained.encoder, frames)
    without = encode_frames(trained.encoder, dataclasses.replace(frames, depth_m=None,
                                                                 proprio=None))
    assert np.isfinite(without).all()
    assert not np.allclose(with_both, without)


def test_dropped_inputs_are_unknown_rows_and_not_zeros(make_frames: MakeFrames) -> None:
    frames = make_frames(depth_m=np.ones((120, 32, 32), np.float32),
                         proprio=np.ones((120, 3), np.float32))
    module = PerceptionModule(ENCODER, dataclasses.replace(SHORT, drop_inputs=1.0), 1)
    batch = _batch(frames, SHORT)
    depth_m, proprio = module._dropped(batch.depth_m, batch.proprio)
    assert depth_m is not None
    assert proprio is not None
    assert (depth_m == 0.0).all()
    assert proprio.isnan().all()


def test_pictures_and_depth_are_shifted_alike_and_not_out_of_the_picture() -> None:
    torch.manual_seed(0)
    picture = torch.rand(20, 3, 8, 8)
    moved, depth_m = shifted(picture, picture[:, :1], 2)
    assert depth_m is not None
    assert torch.equal(moved[:, :1], depth_m)
    assert moved.shape == picture.shape
    for before, after in zip(picture, moved, strict=True):
        assert any(torch.equal(after[:, 2:6, 2:6], before[:, y:y + 4, x:x + 4])
                   for y in range(5) for x in range(5))
    assert not torch.equal(moved, picture)


def test_a_resnet_learns_by_the_same_code(make_frames: MakeFrames) -> None:
    structure = EncoderConfig('resnet18', z_dim=8, image_size=32)
    config = dataclasses.replace(SHORT, training_steps=2, batch_size=8)
    trained = train_perception(make_frames(2, 20), config, encoder=structure, options=CPU)
    assert type(trained.encoder).__name__ == 'ResNet18Encoder'
    assert np.isfinite(encode_frames(trained.encoder, make_frames(1, 8))).all()


def test_a_training_that_was_cut_off_goes_on_from_its_checkpoint(
        make_frames: MakeFrames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SHORT, training_steps=8)
    expected = train_perception(make_frames(), config, encoder=ENCODER, options=CPU)
    whole, step, steps = PairBatches.__iter__, PerceptionModule.training_step, []

    def cut_off(batches: PairBatches) -> Iterator[PairBatch]:
        yield from itertools.islice(whole(batches), 5)
        raise RuntimeError('power cut')

    def counted(module: PerceptionModule, batch: PairBatch, batch_index: int) -> torch.Tensor:
        steps.append(batch)
        return step(module, batch, batch_index)

    monkeypatch.setattr(PairBatches, '__iter__', cut_off)
    with pytest.raises(RuntimeError, match='power cut'):
        train_perception(make_frames(), config, encoder=ENCODER,
                         options=dataclasses.replace(CPU, folder=tmp_path))
    monkeypatch.setattr(PairBatches, '__iter__', whole)
    monkeypatch.setattr(PerceptionModule, 'training_step', counted)
    resumed = train_perception(make_frames(), config, encoder=ENCODER,
                               options=dataclasses.replace(CPU, folder=tmp_path, resume=True))
    assert resumed.training.steps == 8
    assert len(steps) == 4
    for a, b in zip(resumed.encoder.parameters(), expected.encoder.parameters(), strict=True):
        assert torch.equal(a, b)


def test_pictures_that_are_all_the_same_are_told_as_a_collapse(make_frames: MakeFrames) -> None:
    frames = make_frames()
    grey = dataclasses.replace(frames, rgb=np.full_like(frames.rgb, 128))
    with pytest.warns(UserWarning, match='hardly change|collapsed'):
        train_perception(grey, SHORT, encoder=ENCODER, options=CPU)


def test_a_start_encoder_is_where_the_training_begins(make_frames: MakeFrames) -> None:
    config = dataclasses.replace(SHORT, learning_rate=1e-9, training_steps=1)
    start = TinyEncoder(ENCODER)
    trained = train_perception(make_frames(), config, encoder=ENCODER, options=CPU, start=start)
    for after, before in zip(trained.encoder.backbone.parameters(), start.backbone.parameters(),
                             strict=True):
        torch.testing.assert_close(after, before, rtol=0, atol=1e-6)


@pytest.mark.parametrize(('structure', 'message'), [
    (EncoderConfig(image_size=64), 'the pictures are 32 px, the encoder takes 64 px'),
    (EncoderConfig(image_size=32, proprio_dim=3), '2 numbers of proprioception.*takes 3'),
])
def test_frames_that_do_not_fit_the_encoder_are_refused(
        structure: EncoderConfig, message: str, make_frames: MakeFrames) -> None:
    frames = make_frames(proprio=np.ones((120, 2), np.float32))
    with pytest.raises(TrainingError, match=message):
        train_perception(frames, SHORT, encoder=structure, options=CPU)


def test_one_picture_is_too_few(make_frames: MakeFrames) -> None:
    with pytest.raises(TrainingError, match='1 pictures are too few'):
        train_perception(make_frames().take(np.array([0])), SHORT, encoder=ENCODER)


def _batch(frames: FrameSet, config: PerceptionConfig) -> PairBatch:
    config = dataclasses.replace(config, batch_size=4, maps_per_batch=1)
    return PairSampler(frames, config, 0).draw(np.random.default_rng(0))
