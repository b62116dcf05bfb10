from __future__ import annotations

import importlib.util
import json
from pathlib import Path
import subprocess
import sys

import spatial_rag_core

import pytest

PACKAGE = Path(spatial_rag_core.__file__).parent
MODULES = sorted(
    '.'.join(('spatial_rag_core', *path.relative_to(PACKAGE).with_suffix('').parts))
    for path in PACKAGE.rglob('*.py') if path.stem != '__init__')
TORCH_FREE = [name for name in MODULES if name.count('.') == 1 or name.split('.')[1] in {
    'data', 'memory', 'spatial', 'streams'}]
ROS = {'ament_index_python', 'cv_bridge', 'rclpy', 'rosidl_parser', 'rosidl_runtime_py', 'tf2_ros'}

PROGRAM = """
import importlib, json, sys
new = {}
for name in json.loads(sys.argv[1]):
    before = set(sys.modules)
    importlib.import_module(name)
    new[name] = sorted({module.partition('.')[0] for module in set(sys.modules) - before})
print(json.dumps(new))
"""


def roots_imported_by(modules: list[str]) -> dict[str, list[str]]:
    """Module → top-level packages that importing it brought in, in one fresh interpreter."""
    done = subprocess.run([sys.executable, '-c', PROGRAM, json.dumps(modules)], text=True,
                          capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    imported: dict[str, list[str]] = json.loads(done.stdout)
    return imported


def test_the_core_imports_no_ros() -> None:
    modules = MODULES if importlib.util.find_spec('torch') else TORCH_FREE
    for module, roots in roots_imported_by(modules).items():
        assert [root for root in roots if root.endswith('_msgs') or root in ROS] == [], module


def test_only_the_models_import_torch() -> None:
    imported = roots_imported_by(TORCH_FREE)
    assert {'spatial_rag_core.cli', 'spatial_rag_core.memory.retriever',
            'spatial_rag_core.memory.writer'} <= set(imported)
    assert [module for module, roots in imported.items() if 'torch' in roots] == []


@pytest.mark.skipif(not importlib.util.find_spec('torch'), reason='torch is not installed')
def test_the_proof_above_would_notice_torch() -> None:
    name = 'spatial_rag_core.models.encoder'
    assert 'torch' in roots_imported_by([name])[name]
