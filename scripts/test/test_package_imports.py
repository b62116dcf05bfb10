"""package.xml and requirements name what the packages import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
import re
import sys
import xml.etree.ElementTree as ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob('src/*/package.xml')
                  if (path.parent / 'setup.py').exists())
ROSDEP_KEYS = {'cv2': 'python3-opencv', 'numpy': 'python3-numpy', 'pytest': 'python3-pytest',
               'tf2_ros': 'tf2_ros_py', 'yaml': 'python3-yaml'}
PIP_NAMES = {'faiss': 'faiss-cpu', 'prometheus_client': 'prometheus-client',
             'qdrant_client': 'qdrant-client', 'qdrant_edge': 'qdrant-edge-py',
             'sse_starlette': 'sse-starlette'}
TO_RUN = ('runtime.txt', 'training.txt', 'api.txt')
TAGS = {'source': ('depend', 'exec_depend'), 'test': ('depend', 'exec_depend', 'test_depend')}

each_package = pytest.mark.parametrize('package', PACKAGES, ids=lambda path: path.name)


def imports(files: Iterator[Path]) -> set[str]:
    """Top names of all modules that are imported anywhere in the files, Python's own apart."""
    names = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module)
    return {name.partition('.')[0] for name in names} - sys.stdlib_module_names


def keys(package: Path, tags: tuple[str, ...]) -> set[str]:
    root = ElementTree.parse(package / 'package.xml').getroot()
    return {element.text or '' for tag in tags for element in root.iter(tag)}


def from_pip(*files: str) -> set[str]:
    text = '\n'.join((ROOT / 'requirements' / file).read_text() for file in files)
    return set(re.findall(r'^([A-Za-z][\w-]*)', text, re.M))


def missing(package: Path, kind: str, modules: set[str], pip: set[str]) -> set[str]:
    declared = keys(package, TAGS[kind])
    return {name for name in modules - {package.name}
            if ROSDEP_KEYS.get(name, name) not in declared
            and PIP_NAMES.get(name, name) not in pip}


@each_package
def test_every_import_of_a_package_is_declared(package: Path) -> None:
    modules = imports(package.glob(f'{package.name}/**/*.py')) | imports(
        package.glob('launch/*.py'))
    assert missing(package, 'source', modules, from_pip(*TO_RUN)) == set()


@each_package
def test_every_import_of_its_tests_is_declared(package: Path) -> None:
    modules = imports(package.glob('test/**/*.py')) - {
        program.stem for main in package.glob('test/**/__main__.py')
        for program in main.parent.glob('*.py')}  # a folder that is run finds its own files
    modules -= {program.stem for program in ROOT.glob('benchmarks/*.py')}
    pip = from_pip(*TO_RUN, 'dev.txt')
    assert missing(package, 'test', modules, pip) == set()


def test_what_pip_installs_is_imported_somewhere() -> None:
    modules = set().union(*(imports(package.glob('**/*.py')) for package in PACKAGES))
    used = {PIP_NAMES.get(name, name) for name in modules}
    assert from_pip('runtime.txt') - used == {'rosbags-image', 'setuptools'} - used
