from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import BundleError, ConfigurationError
from spatial_rag_core.models.bundle import Bundle, BundleMetadata, save_bundle
from spatial_rag_core.models.bundle_metadata import read_metadata
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig

import pytest
import torch

from .bundle_samples import CREATE, make, rewritten, with_metadata


def test_metadata_comes_back_as_it_was_written(saved: Path) -> None:
    metadata = read_metadata(saved)
    assert metadata == Bundle.load(saved).metadata
    assert (metadata.z_dim, metadata.action_dim, metadata.topk) == (4, 3, 5)
    assert (metadata.uses_depth, metadata.proprio_dim) == (True, 3)
    assert (metadata.uses_memory_pose, metadata.uses_memory_action) == (True, False)
    assert TransitionConfig(**metadata.transition) == make().config.transition
    assert (metadata.step_sec, metadata.history) == (0.5, 2)
    assert (metadata.trained, metadata.training) == (True, {'epochs': 3})
    assert BundleMetadata.from_json(metadata.to_json()) == metadata


def test_training_facts_that_json_cannot_say_are_refused(tmp_path: Path) -> None:
    for fact in (float('nan'), torch.zeros(1)):
        with pytest.raises(BundleError, match='training facts as finite numbers'):
            save_bundle(make(), tmp_path / 'm.pt', trained=True, training={'loss': fact})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(('values', 'message'), [
    ({'step_sec': 0.0}, r'step_sec must be > 0 s, got 0\.0'),
    ({'step_sec': math.inf}, 'step_sec must be > 0 s, got inf'),
    ({'history': -1}, 'history must be >= 0, got -1'),
])
def test_a_step_or_a_history_out_of_range_is_refused(
        tmp_path: Path, values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        save_bundle(make(), tmp_path / 'm.pt', trained=True, training={}, **values)
    assert list(tmp_path.iterdir()) == []


def test_a_step_of_whole_seconds_comes_back(tmp_path: Path) -> None:
    save_bundle(make(), tmp_path / 'm.pt', trained=True, training={}, step_sec=1)
    assert Bundle.load(tmp_path / 'm.pt').metadata.step_sec == 1.0


def test_a_newer_format_asks_for_an_update(saved: Path) -> None:
    path = with_metadata(saved, format_version=4, shape_of_things='to come')
    with pytest.raises(BundleError, match=r'format 4 is newer than 3, .*update'):
        Bundle.load(path)


def test_a_bundle_of_an_older_format_is_refused_with_the_remedy(saved: Path) -> None:
    path = with_metadata(saved, format_version=2)
    with pytest.raises(BundleError, match=f'{path}: .*format_version must be 3, got 2; make the '
                                          f'bundle again .{CREATE} PATH'):
        Bundle.load(path)


@pytest.mark.parametrize(('changed', 'message'), [
    ({'colour': 'red'}, r"unknown fields \['colour'\] of its transition; make the bundle again"),
    ({'pointer': None}, r"missing or unknown fields \['pointer'\] of its transition"),
    ({'lookup': 'never'}, "lookup must be 'pose', 'latent' or 'once', got 'never'"),
    ({'hidden_dim': 'wide'}, 'save the bundle anew'),
    ({'pointer': False}, 'the weights have model_id'),
    ({'reach_m': 4.0}, 'the weights have model_id'),
    ({'topk': 6}, 'has topk 5, its transition 6; make the bundle again'),
    ({'z_dim': 3}, 'has z_dim 4, its transition 3'),
    ({'action_dim': 2}, 'has action_dim 3, its transition 2'),
])
def test_a_transition_that_this_software_does_not_know_is_refused(
        saved: Path, changed: dict[str, object], message: str) -> None:
    fields = {**read_metadata(saved).transition, **changed}
    known = {name: value for name, value in fields.items() if value is not None}
    path = with_metadata(saved, transition=known)
    with pytest.raises(BundleError, match=f'{path}: .*{message}'):
        Bundle.load(path)


def test_a_bundle_without_memory_takes_nothing_of_memories(tmp_path: Path) -> None:
    model = WorldModel(WorldModelConfig(transition=TransitionConfig(memory=False)))
    metadata = save_bundle(model, tmp_path / 'm.pt', trained=False, training={})
    assert (metadata.uses_memory_pose, metadata.uses_memory_action) == (False, False)
    assert Bundle.load(tmp_path / 'm.pt').metadata == metadata


@pytest.mark.parametrize(('values', 'message'), [
    ({'format_version': None}, 'format_version must be 3, got None'),
    ({'z_dim': '4'}, "field z_dim must be int, got '4'"),
    ({'step_sec': 0.0}, 'step_sec must be > 0 s'),
    ({'step_sec': 1}, 'field step_sec must be float, got 1'),
    ({'transition': []}, r'field transition must be dict, got \[\]'),
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
