from __future__ import annotations

from dataclasses import replace

from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.bundle_metadata import BundleMetadata
from spatial_rag_core.models.learned_actions import other_actions

import pytest

from .bundle_samples import make


@pytest.fixture(scope='module')
def metadata(tmp_path_factory: pytest.TempPathFactory) -> BundleMetadata:
    return save_bundle(make(), tmp_path_factory.mktemp('m') / 'm.pt', trained=True, training={})


def learned(metadata: BundleMetadata, kind: str) -> BundleMetadata:
    return replace(metadata, training={'data': {'actions_from': kind}})


@pytest.mark.parametrize(('kind', 'source', 'remedy'), [
    ('past motion', 'topic', 'action_source topic gives it commands; set action_source to motion'),
    ('past motion', 'twist', 'action_source twist gives it commands; set action_source to motion'),
    ('commands', 'motion',
     'action_source motion gives it past motion; set action_source to topic or twist')])
def test_actions_of_another_kind_than_learned_are_told_with_the_remedy(
        metadata: BundleMetadata, kind: str, source: str, remedy: str) -> None:
    told = other_actions(learned(metadata, kind), source)
    assert told == f'model {metadata.model_id} learned from {kind}, {remedy}, here and in ' \
                   'memory_writer'


def test_actions_of_the_kind_learned_need_no_word(metadata: BundleMetadata) -> None:
    assert other_actions(learned(metadata, 'past motion'), 'motion') == ''
    assert other_actions(learned(metadata, 'commands'), 'twist') == ''


@pytest.mark.parametrize('training', [{}, {'data': {'file': 'rooms2d.h5'}}])
def test_a_bundle_that_does_not_say_suits_all(metadata: BundleMetadata,
                                              training: dict[str, object]) -> None:
    for source in ('topic', 'twist', 'motion'):
        assert other_actions(replace(metadata, training=training), source) == ''
