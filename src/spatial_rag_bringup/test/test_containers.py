"""Dockerfile and compose.yaml: all that can be checked without a Docker engine."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatch
import http.server
import os
from pathlib import Path
import re
import shutil
import subprocess
import sys
import threading
from typing import Any
from xml.etree import ElementTree

from spatial_rag_core import cli

import pytest
import yaml

ROOT = Path(__file__).parents[3]
DOCKERFILE = (ROOT / 'Dockerfile').read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / 'compose.yaml').read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE['services']
PROFILES = ['core', 'ros2', 'collect', 'data', 'train', 'experiment', 'reports']
CORE_NODES = ['encoder', 'memory_writer', 'retriever', 'transition_predictor']
ON_A_DESK = {'rviz2', 'rviz_default_plugins'}
"""What no robot needs: a gigabyte of windows."""

each_service = pytest.mark.parametrize('name', SERVICES)


def resolved(text: str, **environment: str) -> str:
    """${NAME:-default} as compose takes it."""
    return re.sub(r'\$\{(\w+):-([^}]*)\}',
                  lambda match: environment.get(match[1]) or match[2], text).replace('$$', '$')


def words(service: str, **environment: str) -> list[str]:
    return [resolved(str(word), **environment) for word in SERVICES[service]['command']]


def tool(name: str) -> str:
    return shutil.which(name) or pytest.fail(f'no {name}: it is in requirements/dev.txt')


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)


def test_the_dockerfile_passes_hadolint() -> None:
    result = run(tool('hadolint'), 'Dockerfile')
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize('profile', [*PROFILES, '*'])
def test_compose_itself_takes_every_profile(profile: str) -> None:
    result = run(tool('docker-compose'), '--profile', profile, 'config', '--quiet')
    assert (result.returncode, result.stderr) == (0, '')


def test_each_profile_is_one_service() -> None:
    assert [service['profiles'] for service in SERVICES.values()] == [[name] for name in PROFILES]


def copied() -> list[str]:
    """What is copied from the context, not from another stage or from the Dockerfile itself."""
    return [source for line in re.findall(r'^COPY (.*)$', DOCKERFILE, re.MULTILINE)
            if '<<' not in line and '--from=' not in line for source in line.split()[:-1]]


def is_left_out(path: str) -> bool:
    """As .dockerignore says: the last pattern that fits decides."""
    left_out = False
    for pattern in (ROOT / '.dockerignore').read_text().splitlines():
        if not pattern.startswith('#') and any(
                fnmatch(part, pattern.lstrip('!').replace('**/', '*'))
                for part in (path, f'/{path}', path.split('/')[0])):
            left_out = not pattern.startswith('!')
    return left_out


def test_all_that_is_copied_exists_and_is_in_the_context() -> None:
    assert len(copied()) >= 4
    for source in copied():
        assert (ROOT / source).exists()
        assert not is_left_out(source)


@pytest.mark.parametrize('path', [
    '.git', '.venv', 'data', 'artifacts', 'build', 'install', 'log', 'docs',
    'src/spatial_rag_core/test', 'src/spatial_rag_core/spatial_rag_core/__pycache__'])
def test_what_no_image_needs_is_not_sent_to_the_engine(path: str) -> None:
    assert is_left_out(path)


def test_all_stages_share_one_base() -> None:
    stages = re.findall(r'^FROM (\S+) AS (\w+)$', DOCKERFILE, re.MULTILINE)
    assert stages == [('${BASE_IMAGE}', 'base'), ('base', 'build'), ('base', 'runtime'),
                      ('base', 'training')]


def test_the_base_holds_what_the_packages_depend_on() -> None:
    installed = DOCKERFILE.partition(' AS build')[0]
    own = {folder.name for folder in (ROOT / 'src').glob('spatial_rag_*')}
    for file in (ROOT / 'src').glob('*/package.xml'):
        for element in ElementTree.parse(file).iter():
            key = str(element.text)
            if element.tag in ('depend', 'exec_depend') and key not in own | ON_A_DESK:
                package = (key if key.startswith('python3-')
                           else f'"ros-${{ROS_DISTRO}}-{key.replace("_", "-")}"')
                assert f' {package} ' in installed, f'{file}: {key}'


def test_no_image_runs_as_root() -> None:
    for stage in DOCKERFILE.split('\nFROM ')[1:]:
        name = stage.splitlines()[0].split()[-1]
        if name in ('runtime', 'training'):
            assert stage.rstrip().endswith('USER ${UID}')


@each_service
def test_every_service_is_confined_and_limited(name: str) -> None:
    service = SERVICES[name]
    limits = service['deploy']['resources']['limits']
    assert set(limits) == {'cpus', 'memory', 'pids'}
    assert service['cap_drop'] == ['ALL']
    assert service['security_opt'] == ['no-new-privileges:true']
    assert 'privileged' not in service
    assert service['logging']['options']['max-size'] == '10m'
    assert not any(str(volume).startswith(('/', '.')) for volume in service['volumes'])


@each_service
def test_every_volume_is_declared(name: str) -> None:
    for volume in SERVICES[name]['volumes']:
        assert str(volume).split(':')[0] in COMPOSE['volumes']


def test_nothing_listens_on_the_network_unless_it_is_asked_to() -> None:
    assert [resolved(port) for port in SERVICES['qdrant']['ports']] == ['127.0.0.1:6333:6333']
    for name, service in SERVICES.items():
        if service.get('network_mode') == 'host':
            assert resolved(service['environment']['ROS_AUTOMATIC_DISCOVERY_RANGE']) == 'LOCALHOST'
        elif name != 'qdrant':
            assert service['network_mode'] == 'none'


@pytest.mark.parametrize('name', ['robot', 'collect', 'qdrant'])
def test_what_runs_for_long_has_a_health_check_and_comes_back(name: str) -> None:
    check = SERVICES[name]['healthcheck']
    assert check['test'][0] == 'CMD'
    assert {'interval', 'timeout', 'retries', 'start_period'} <= set(check)
    assert SERVICES[name]['restart'] == 'unless-stopped'


@pytest.mark.parametrize('name', ['data', 'train', 'experiment', 'reports'])
def test_the_commands_of_the_core_are_ones_that_it_takes(name: str) -> None:
    program, *rest = words(name)
    assert program == 'spatial-rag'
    assert callable(cli._parser().parse_args(rest).run)


def test_the_robot_is_launched_with_arguments_that_exist() -> None:
    launch_arguments = pytest.importorskip('spatial_rag_bringup.launch_arguments')
    declared = {argument.name: argument for argument in launch_arguments.ROBOT}
    command = words('robot')
    assert command[:3] == ['ros2', 'launch', 'spatial_rag_bringup']
    assert (ROOT / 'src/spatial_rag_bringup/launch' / command[3]).is_file()
    for word in command[4:]:
        name, _, value = word.partition(':=')
        assert value, f'ros2 launch refuses {word}'
        assert value in declared[name].choices or not declared[name].choices


def healthy(name: str, **environment: str) -> list[str]:
    """The command of a health check, as it runs here: the entry point's work is done."""
    check = [resolved(str(word), **environment) for word in SERVICES[name]['healthcheck']['test']]
    return check[2:] if check[1] == '/spatial_rag_entrypoint.sh' else check[1:]


def within(timeout_sec: float, check: list[str]) -> list[str]:
    """The same, that waits so long; what ROS takes stands last."""
    return [*check[:3], f'--timeout-sec={timeout_sec}', *check[3:]]


@pytest.mark.ros
def test_the_recorder_of_the_collect_service_lives_as_its_health_check_finds(
        lab: Any, tmp_path: Path) -> None:
    pytest.importorskip('h5py')
    command = [word.replace('/data/data', str(tmp_path)) for word in words(
        'collect', NAMESPACE='robot1')]
    check = healthy('collect', NAMESPACE='robot1')
    assert lab.start(*within(0.5, check)).wait() == 1
    recorder = lab.start(*command)
    lab.diagnostics.wait_ready('robot1/episode_recorder')
    assert lab.start(*check).wait() == 0
    recorder.end()
    silent = lab.start(*within(3.0, check))
    assert silent.wait() == 1
    assert 'robot1/episode_recorder has not told its state' in silent.output


@pytest.mark.ros
def test_the_check_of_the_robot_fails_while_one_of_its_nodes_is_missing(
        lab: Any, bundle_path: Path) -> None:
    lab.start_node('encoder_node', model_path=bundle_path)
    lab.diagnostics.wait_ready('encoder')
    check = healthy('robot')
    assert check[3:7] == CORE_NODES
    result = lab.start(*within(3.0, check))
    assert result.wait() == 1
    assert [line.split()[0] for line in result.output.splitlines()] == CORE_NODES[1:]


@pytest.mark.ros
def test_a_node_that_could_not_be_configured_is_not_healthy_but_one_that_waits_is(
        lab: Any, tmp_path: Path) -> None:
    def check(wanted: int) -> str:
        command = [sys.executable, '-m', 'spatial_rag_bringup.check_alive', 'encoder']
        result = lab.start(*command)
        assert result.wait() == wanted, result.output
        return str(result.output)
    node = lab.start_node('encoder_node', model_path=tmp_path / 'none.pt')
    lab.diagnostics.wait('encoder', lambda status, _: 'no such bundle' in status.message)
    assert 'encoder does not work: unconfigured: the way from unconfigured failed' in check(1)
    node.end()
    lab.start_node('encoder_node', model_path=tmp_path / 'none.pt', autostart=False)
    lab.diagnostics.wait('encoder', lambda status, _: status.message == 'unconfigured')
    check(0)


@pytest.fixture(params=[200, 503])
def qdrant(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """A server that answers /readyz as Qdrant does: (port, status)."""
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param if self.path == '/readyz' else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(('127.0.0.1', 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, request.param
        server.shutdown()
        thread.join()


def test_the_check_of_qdrant_asks_whether_it_is_ready(qdrant: tuple[int, int]) -> None:
    port, status = qdrant
    command = [word.replace('6333', str(port)) for word in healthy('qdrant')]
    assert (run(*command).returncode == 0) == (status == 200)


def test_the_check_of_qdrant_fails_where_nobody_listens() -> None:
    command = [word.replace('6333', '1') for word in healthy('qdrant')]
    assert run(*command).returncode != 0


def test_the_entry_point_lets_the_system_s_python_find_the_environment(tmp_path: Path) -> None:
    script = re.search(r"COPY --chmod=755 <<'EOF' (\S+)\n(.*?)\nEOF\n", DOCKERFILE, re.DOTALL)
    assert script is not None
    assert f'ENTRYPOINT ["{script[1]}"]' in DOCKERFILE
    packages = tmp_path / 'venv/lib/python3.12/site-packages'
    packages.mkdir(parents=True)
    (tmp_path / 'spatial_rag').mkdir()
    (tmp_path / 'spatial_rag/setup.bash').write_text('export SOURCED=yes\n')
    file = tmp_path / 'entrypoint.sh'
    file.write_text(script[2].replace('/opt', str(tmp_path)))
    result = subprocess.run(['bash', file, 'env'], capture_output=True, text=True, check=True,
                            env={'PATH': os.environ['PATH']})
    assert f'PYTHONPATH={packages}' in result.stdout.splitlines()
    assert 'SOURCED=yes' in result.stdout.splitlines()
