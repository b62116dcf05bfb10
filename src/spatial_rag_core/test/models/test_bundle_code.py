"""A bundle that does more than compute is refused before anything of it is loaded."""

from __future__ import annotations

from pathlib import Path
import re
import zipfile

from spatial_rag_core.errors import BundleError
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.bundle_code import require_known_code
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
    require_known_code(tmp_path / 'bundle.pt')


@pytest.mark.parametrize('line', [
    'torch.save(rgb, "TARGET")', 'rgb.save("TARGET")', '_99 = torch.save',
    'torch.from_file("TARGET", True, 4)', 'ops.prim.PythonOp(rgb)', 'ops.mine.anything(rgb)',
    'getattr(rgb, "save")("TARGET")', 'eval("1")'])
def test_code_that_does_more_is_refused(path: Path, tmp_path: Path, line: str) -> None:
    hostile = tmp_path / 'hostile.pt'
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(hostile, 'w') as new:
        for name in old.namelist():
            data = old.read(name)
            if '/code/' in name and '/world_model' in name and name.endswith('.py'):
                data = re.sub(rb'(\) -> Tensor:\n)', rb'\1    ' + line.replace(
                    'TARGET', str(tmp_path / 'written')).encode() + b'\n', data)
            new.writestr(name, data)
    with pytest.raises(BundleError, match=r'its code calls .*; use bundles that you made'):
        Bundle.load(hostile)
    assert not (tmp_path / 'written').exists()
