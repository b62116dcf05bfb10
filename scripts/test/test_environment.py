"""What a clone promises before any node runs: set-up, shell, targets, requirements."""

from __future__ import annotations

import importlib.metadata
import json
import os
from pathlib import Path
import re
import shutil
import subprocess
import xml.etree.ElementTree as ElementTree

from packaging.requirements import Requirement
import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = sorted(path.parent for path in ROOT.glob('src/*/package.xml'))
SHELLS = [
    pytest.param(shell, marks=pytest.mark.skipif(not shutil.which(shell), reason=f'no {shell}'))
    for shell in ('bash', 'zsh')
]
PATH_LISTS = ('PATH', 'PYTHONPATH', 'LD_LIBRARY_PATH', 'AMENT_PREFIX_PATH', 'CMAKE_PREFIX_PATH')
BARE_ENVIRONMENT = {'HOME': os.environ.get('HOME', '/'), 'PATH': '/usr/local/bin:/usr/bin:/bin'}


def run(*command: str, cwd: Path = ROOT, env: dict[str, str] | None = None,
        ) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60,
                          stdin=subprocess.DEVNULL, check=False)


def run_in_bare_shell(shell: str, script: str) -> list[str]:
    """Run in a shell without any set-up, far from the clone, in its strictest mode."""
    no_start_files = {'bash': ['--norc'], 'zsh': ['-f']}[shell]
    result = run(shell, *no_start_files, '-eu', '-c', script, cwd=Path('/'), env=BARE_ENVIRONMENT)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ''
    return result.stdout.splitlines()


@pytest.mark.parametrize('shell', SHELLS)
def test_sourcing_env_twice_changes_nothing(shell: str) -> None:
    show = 'echo ' + ' '.join(f'"${name}"' for name in PATH_LISTS)
    once, twice = run_in_bare_shell(
        shell, f'source {ROOT}/scripts/env.sh; {show}; source {ROOT}/scripts/env.sh; {show}')
    assert twice == once
    folders = once.split()[0].split(':')
    assert len(folders) == len(set(folders))


@pytest.mark.parametrize('shell', SHELLS)
def test_env_gives_python_messages_and_executables(shell: str) -> None:
    python, executable, message, options = run_in_bare_shell(shell, f"""
        source {ROOT}/scripts/env.sh
        command -v python
        command -v spatial-rag
        python -c 'from spatial_rag_msgs.msg import LatentStamped; print(LatentStamped().z)'
        echo $-
    """)
    assert python == f'{ROOT}/.venv/bin/python'
    assert executable == f'{ROOT}/install/spatial_rag_core/lib/spatial_rag_core/spatial-rag'
    assert message == "array('f')"
    assert {'e', 'u'} <= set(options)


@pytest.mark.parametrize('shell', SHELLS)
def test_env_without_set_up_names_the_remedy_and_leaves_the_shell_alive(
        shell: str, tmp_path: Path) -> None:
    (tmp_path / 'scripts').mkdir()
    shutil.copy(ROOT / 'scripts/env.sh', tmp_path / 'scripts')
    result = run(shell, '-c', f'source {tmp_path}/scripts/env.sh; echo "alive after $?"')
    assert result.stdout == 'alive after 1\n'
    assert result.stderr == f"Spatial-RAG: not set up yet: run 'make setup' in {tmp_path}\n"


def test_env_of_a_moved_clone_names_the_remedy(tmp_path: Path) -> None:
    for name in ('scripts', '.venv', 'install'):
        (tmp_path / name).mkdir()
    shutil.copy(ROOT / 'scripts/env.sh', tmp_path / 'scripts')
    shutil.copy(ROOT / '.venv/identity', tmp_path / '.venv')
    (tmp_path / '.venv/installed').touch()
    (tmp_path / 'install/.built').touch()
    result = run('bash', '-c', f'source {tmp_path}/scripts/env.sh')
    assert result.returncode == 1
    assert f"run 'make setup' in {tmp_path}" in result.stderr


def test_set_up_again_changes_nothing() -> None:
    marks = [ROOT / '.venv/installed', ROOT / 'install/.built']
    before = [mark.stat().st_mtime_ns for mark in marks]
    result = run('scripts/setup.sh')
    assert result.stdout.startswith('Set up already: Python 3.')
    assert [mark.stat().st_mtime_ns for mark in marks] == before


@pytest.fixture
def bare_clone(tmp_path: Path) -> Path:
    for name in ('scripts', 'requirements'):
        shutil.copytree(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.parametrize(('variables', 'complaint', 'remedy'), [
    ({'PYTHON': '/bin/false'}, '/bin/false is no Python that runs', 'PYTHON=/path/to/python3.12'),
    ({'PYTHON': './python3.9'}, './python3.9 is Python 3.9', '3.10 to 3.13 is needed'),
    ({'ROS_DISTRO': 'foxy'}, "ROS 2 'foxy' is not installed", 'leave ROS_DISTRO unset'),
    ({'PATH': './tools'}, 'build tools are missing: cmake make c++', 'sudo apt install cmake'),
])
def test_set_up_that_cannot_work_says_so_at_once(
        bare_clone: Path, variables: dict[str, str], complaint: str, remedy: str) -> None:
    old_python = bare_clone / 'python3.9'
    old_python.write_text('#!/bin/sh\necho 3.9\n')
    old_python.chmod(0o755)
    tools = bare_clone / 'tools'
    tools.mkdir()
    for tool in ('bash', 'cat', 'cut', 'dirname', 'flock', 'mkdir', 'python3', 'sha256sum',
                 'touch'):
        (tools / tool).symlink_to(shutil.which(tool) or tool)
    result = run('scripts/setup.sh', cwd=bare_clone, env={**BARE_ENVIRONMENT, **variables})
    assert result.returncode == 1
    assert complaint in result.stderr
    assert remedy in result.stderr
    assert not (bare_clone / '.venv').exists()


@pytest.mark.parametrize(('variables', 'free_mb', 'needed_mb'), [
    ({}, 9_999, 10_000), ({'PIP_EXTRA_INDEX_URL': 'file:///cpu'}, 2_999, 3_000)])
def test_set_up_asks_for_the_room_that_pytorch_takes(
        bare_clone: Path, variables: dict[str, str], free_mb: int, needed_mb: int) -> None:
    disk = bare_clone / 'fakes/df'
    disk.parent.mkdir()
    disk.write_text(f'#!/bin/sh\necho head; echo disk 1 1 {free_mb}\n')
    disk.chmod(0o755)
    result = run('scripts/setup.sh', cwd=bare_clone, env={
        **BARE_ENVIRONMENT, 'PATH': f'{disk.parent}:{os.environ["PATH"]}',
        'PIP_CONFIG_FILE': os.devnull, **variables})
    assert result.returncode == 1
    assert f'{free_mb} MB are free in {bare_clone}, and {needed_mb} are needed' in result.stderr
    assert ('PIP_EXTRA_INDEX_URL' in result.stderr) == (not variables)


def run_command(*arguments: str, cwd: Path = ROOT) -> str:
    """Return what `make run` would start."""
    result = run('make', '--no-print-directory', '-n', 'run', *arguments, cwd=cwd)
    assert result.returncode == 0, result.stderr
    return next(line for line in result.stdout.splitlines() if 'run_stack' in line)


def test_make_run_forwards_every_variable() -> None:
    command = run_command('DURATION=5', 'COMPOSITION=true', 'MEMORY=/tmp/m.db', 'MODEL=/tmp/m.pt',
                          'RATE=2.0', 'LOOP=true', 'NAMESPACE=robot1', 'LOG_LEVEL=debug',
                          'REMAP=/a:=/b /c:=/d', 'RESPAWN=false')
    assert command.endswith(
        "exec run_stack --robot 'sim' --duration '5' --composition 'true' --memory '/tmp/m.db' "
        "--model '/tmp/m.pt' --rate '2.0' --loop 'true' --namespace 'robot1' "
        "--log-level 'debug' --remap '/a:=/b /c:=/d' --respawn 'false'")


def test_make_run_passes_no_empty_flag() -> None:
    assert run_command('DURATION=', 'MEMORY=').endswith("exec run_stack --robot 'sim'")


def test_make_run_takes_a_recording_from_where_it_is_called(tmp_path: Path) -> None:
    command = run_command('-f', f'{ROOT}/Makefile', "BAG=my bag's", cwd=tmp_path)
    assert command.endswith(rf"exec run_stack --bag '{tmp_path}/my bag'\''s'")


def requirements(name: str) -> list[str]:
    lines = (ROOT / 'requirements' / name).read_text().splitlines()
    return [line.split('#')[0].strip() for line in lines if line.split('#')[0].strip()]


def identity() -> dict[str, str]:
    lines = (ROOT / '.venv/identity').read_text().splitlines()
    return dict(line.split('=', 1) for line in lines)


@pytest.mark.parametrize(
    'text', [*requirements('runtime.txt'), *requirements('without-ros.txt'),
             *requirements('training.txt'), *requirements('api.txt'),
             *requirements('dev.txt')])
def test_requirement_is_installed_at_an_allowed_version(text: str) -> None:
    if identity()['ros'] == 'system' and text in requirements('without-ros.txt'):
        pytest.skip('rosdep installs it')
    requirement = Requirement(text)
    assert requirement.specifier.contains(importlib.metadata.version(requirement.name))


def test_ros_wheels_are_bare_names_and_installed() -> None:
    ros = identity()
    lines = requirements('ros-wheels.txt')
    assert lines
    for line in lines:
        name, only = re.fullmatch(r'([a-z-]+)(?:; (jazzy|kilted))?', line).groups()
        if ros['ros'] == 'wheels' and only in (None, ros['ros_distro']):
            importlib.metadata.version(f'ros-{ros["ros_distro"]}-{name}')


def test_ros_wheels_name_no_folder_of_their_build_machine() -> None:
    left = run('grep', '-rl', '--include=*.cmake', '/opt/python/cp', f'{ROOT}/.venv')
    assert left.stdout == ''


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    names = ['pypi' + '.org', 'python' + 'hosted', 'download.' + 'pytorch', 'registry.' + 'npm',
             'deb.' + 'debian', '/opt/' + 'wheels', '/opt/' + 'pypi', '/root/' + '.pyenv']
    if not (ROOT / '.git').exists():
        pytest.skip('not a clone')
    patterns = [argument for name in names for argument in ('-e', name)]
    found = run('git', 'grep', '--untracked', '--fixed-strings', '-n', '-I', *patterns)
    assert found.stdout == ''
    assert found.returncode == 1, found.stderr


def test_colcon_builds_the_messages_without_tests() -> None:
    meta = json.loads((ROOT / 'colcon.meta').read_text())
    assert '-DBUILD_TESTING=OFF' in meta['names']['spatial_rag_msgs']['cmake-args']


def test_all_packages_have_one_version() -> None:
    versions = {path.name: ElementTree.parse(path / 'package.xml').findtext('version')
                for path in PACKAGES}
    for path in PACKAGES:
        if (path / 'setup.py').exists():
            in_setup = re.search(r"version='([^']+)'", (path / 'setup.py').read_text())
            assert in_setup, path.name
            versions[f'{path.name}/setup.py'] = in_setup[1]
    assert len(set(versions.values())) == 1, versions
