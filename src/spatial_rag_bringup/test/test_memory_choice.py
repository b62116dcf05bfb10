"""Which memory file belongs to a model: nothing is lost, and a run after a change works."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.memory.memory_choice import memory_of_model
from spatial_rag_core.models.bundle_metadata import read_metadata

import pytest

from .memory_samples import remember


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / 'memory-sim.db'


def test_a_memory_that_is_new_or_holds_nothing_yet_is_taken(path: Path, bundle_path: Path) -> None:
    assert memory_of_model(path, bundle_path) == (path, '')
    assert not path.exists()
    path.touch()
    assert memory_of_model(path, bundle_path) == (path, '')


def test_a_memory_of_this_model_is_taken(path: Path, bundle_path: Path) -> None:
    remember(path, read_metadata(bundle_path).model_id)
    assert memory_of_model(path, bundle_path) == (path, '')


def test_beside_a_memory_of_another_model_one_of_its_own_is_taken(
        path: Path, bundle_path: Path) -> None:
    model_id = read_metadata(bundle_path).model_id
    remember(path, 'older-model')
    before = path.read_bytes()
    chosen, remark = memory_of_model(path, bundle_path)
    assert chosen == path.with_name(f'memory-sim-{model_id}.db')
    assert path.read_bytes() == before
    for words in (f'{path} holds memories of model older-model', model_id,
                  f'spatial-rag memory reencode {path} NEW_FILE --model {bundle_path}'):
        assert words in remark
    remember(chosen, model_id)
    assert memory_of_model(path, bundle_path).path == chosen


def test_what_cannot_be_read_is_left_to_the_nodes_to_refuse(
        path: Path, bundle_path: Path, tmp_path: Path) -> None:
    remember(path, 'older-model')
    assert memory_of_model(path, tmp_path / 'absent.pt') == (path, '')
    path.write_bytes(b'no memory file' * 100)
    assert memory_of_model(path, bundle_path) == (path, '')
