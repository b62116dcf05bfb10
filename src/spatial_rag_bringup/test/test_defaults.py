"""Which model is taken where none is named."""

from __future__ import annotations

from pathlib import Path

from spatial_rag_core.errors import BundleError
from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.bundle_metadata import read_metadata
from spatial_rag_core.models.untrained import untrained_model
from spatial_rag_core.settings import Settings

import pytest

defaults = pytest.importorskip('spatial_rag_bringup.defaults',
                               reason='ament_index_python is absent')
SOURCE = Path(__file__).parents[1] / 'models' / 'encoder_transition.pt'
MOST_BYTES = 5_000_000


def ship(path: Path) -> Path:
    """A bundle of the default sizes that says that it is trained."""
    save_bundle(untrained_model(Settings(), seed=1), path, trained=True, training={})
    return path


def test_the_bundle_that_ships_is_taken_and_told_as_trained(shipped: Path) -> None:
    ship(shipped)
    assert defaults.model_file() == shipped
    assert 'trained, tiny' in defaults.describe_model(shipped)
    assert 'UNTRAINED' not in defaults.describe_model(shipped)


def test_the_environment_outdoes_the_bundle_that_ships(
        shipped: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ship(shipped)
    monkeypatch.setenv('WM_CHECKPOINT_PATH', 'mine.pt')
    assert defaults.model_file() == Path('mine.pt')


@pytest.mark.parametrize(('name', 'value'), [
    ('Z_DIM', '16'), ('ACTION_DIM', '3'), ('IMAGE_SIZE', '96')])
def test_for_other_sizes_an_untrained_one_is_made_and_told_as_such(
        shipped: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    ship(shipped)
    monkeypatch.setenv(name, value)
    made = defaults.model_file()
    assert str(getattr(read_metadata(made), name.lower())) == value
    assert 'UNTRAINED' in defaults.describe_model(made)


def test_a_tiny_bundle_is_no_stand_in_for_resnet18(shipped: Path) -> None:
    metadata = read_metadata(ship(shipped))
    assert defaults._suits(metadata, Settings())
    assert defaults._suits(metadata, Settings(topk=3))
    assert not defaults._suits(metadata, Settings(use_tiny_models=False))


def test_where_none_ships_an_untrained_one_is_made_once(shipped: Path) -> None:
    first = defaults.model_file()
    made_at = first.stat().st_mtime_ns
    assert first.is_relative_to(shipped.parents[1] / 'ros_home')
    assert 'UNTRAINED' in defaults.describe_model(first)
    assert defaults.model_file() == first
    assert first.stat().st_mtime_ns == made_at


def test_a_bundle_that_ships_damaged_is_told(shipped: Path) -> None:
    shipped.parent.mkdir()
    shipped.write_text('version https://git-lfs.github.com/spec/v1')
    with pytest.raises(BundleError, match=r'encoder_transition.pt: not a bundle'):
        defaults.model_file()


def test_where_no_model_can_be_made_it_is_told_in_one_line(
        shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'file').write_text('in the way')
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'file'))
    with pytest.raises(BundleError, match=r'no untrained model can be made in .*MODEL') as told:
        defaults.model_file()
    assert '\n' not in str(told.value)


@pytest.mark.skipif(not SOURCE.exists(), reason='no trained bundle ships yet')
def test_the_bundle_that_ships_is_installed_trained_small_and_of_the_default_sizes() -> None:
    path = defaults.shipped_model()
    metadata = read_metadata(path)
    assert path.read_bytes() == SOURCE.read_bytes()
    assert metadata.trained
    assert metadata.uses_memory_pose
    assert defaults._suits(metadata, Settings())
    assert path.stat().st_size < MOST_BYTES
