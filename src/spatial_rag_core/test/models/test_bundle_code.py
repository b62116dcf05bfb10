"""A bundle that does more than compute is refused before anything of it is loaded."""

from __future__ import annotations

import io
from pathlib import Path
import re
import struct
import zipfile

from spatial_rag_core.errors import BundleError
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.bundle_code import checked_copy
from spatial_rag_core.models.bundle_file import save_bundle
from spatial_rag_core.models.encoder import EncoderConfig
from spatial_rag_core.models.transition_config import TransitionConfig
from spatial_rag_core.models.world_model import WorldModel, WorldModelConfig

import pytest


@pytest.fixture
def path(tmp_path: Path) -> Path:
    model = WorldModel(WorldModelConfig(EncoderConfig(z_dim=4), TransitionConfig(4, 2)))
    save_bundle(model, tmp_path / 'bundle.pt', trained=False, training={})
    return tmp_path / 'bundle.pt'


@pytest.mark.parametrize('architecture', ['tiny', 'resnet18'])
@pytest.mark.parametrize('has_all', [False, True])
def test_our_own_models_are_known(tmp_path: Path, architecture: str, has_all: bool) -> None:
    config = TransitionConfig()
    model = WorldModel(WorldModelConfig(
        EncoderConfig(architecture, use_depth=has_all, proprio_dim=3 * has_all),
        config if has_all else config.plain()))
    save_bundle(model, tmp_path / 'bundle.pt', trained=False, training={})
    checked_copy(tmp_path / 'bundle.pt')


def changed(path: Path, line: str) -> dict[str, bytes]:
    """The records of a bundle, with a line more in each function that gives a tensor."""
    with zipfile.ZipFile(path) as old:
        records = {name: old.read(name) for name in old.namelist()}
    name = next(name for name in records if '/code/' in name and '/world_model' in name
                and name.endswith('.py'))
    more = re.sub(rb'(\) -> Tensor:\n)', rb'\1    ' + line.encode() + b'\n', records[name])
    return {**records, name: more}


def archive(records: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as new:
        for name, data in records.items():
            new.writestr(zipfile.ZipInfo(name), data)
    return file.getvalue()


@pytest.mark.parametrize('line', [
    'torch.save(rgb, "TARGET")', 'rgb.save("TARGET")', '_99 = torch.save',
    'torch.from_file("TARGET", True, 4)', 'ops.prim.PythonOp(rgb)', 'ops.mine.anything(rgb)',
    'getattr(rgb, "save")("TARGET")', 'eval("1")'])
def test_code_that_does_more_is_refused(path: Path, tmp_path: Path, line: str) -> None:
    hostile = tmp_path / 'hostile.pt'
    hostile.write_bytes(archive(changed(path, line.replace('TARGET', str(tmp_path / 'written')))))
    with pytest.raises(BundleError, match=r'its code calls .*; use bundles that you made'):
        Bundle.load(hostile)
    assert not (tmp_path / 'written').exists()


def test_a_file_that_shows_python_other_code_than_torch_does_not_run_it(
        path: Path, tmp_path: Path) -> None:
    line = f'torch.save(0, "{tmp_path}/written")'
    hostile, harmless = (archive(changed(path, each))
                         for each in (line, '#' + '-' * (len(line) - 1)))
    assert len(hostile) == len(harmless)
    end = hostile.rfind(b'PK\5\6')
    (offset,) = struct.unpack('<I', hostile[end + 16:end + 20])
    two_faced = tmp_path / 'two_faced.pt'  # Python corrects the second's offset, torch does not
    two_faced.write_bytes(hostile[:end] + harmless[:end] + harmless[end:end + 16]
                          + struct.pack('<I', offset) + b'\0\0')
    with zipfile.ZipFile(two_faced) as seen:
        assert not any(b'torch.save' in seen.read(name) for name in seen.namelist())
    Bundle.load(two_faced)
    assert not (tmp_path / 'written').exists()
