"""What a server is started with, and when it refuses to start."""

from __future__ import annotations

import os
from pathlib import Path
import signal
import subprocess
import sys

from spatial_rag_api.config import ApiConfig, is_loopback, memory_path_from, model_path_from
from spatial_rag_api.limits import Limits
from spatial_rag_api.main import _parser, config_from, main
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.bundle import Bundle
from spatial_rag_core.models.bundle_metadata import read_metadata

import httpx
import pytest

from .robots import make_bundle, make_memory

KEY = 'a-key-of-some-length'
MODEL, MEMORY = Path('model.pt'), Path('memory.db')


@pytest.mark.parametrize(('host', 'is_local'), [
    ('127.0.0.1', True), ('::1', True), ('localhost', True), ('127.1.2.3', True),
    ('0.0.0.0', False), ('::', False), ('192.168.1.2', False), ('robot.local', False),
    ('', False)])
def test_another_host_needs_a_key(host: str, is_local: bool) -> None:
    assert is_loopback(host) == is_local
    assert ApiConfig(MODEL, MEMORY, host, api_key=KEY).host == host
    if is_local:
        assert ApiConfig(MODEL, MEMORY, host).api_key is None
    else:
        with pytest.raises(ConfigurationError, match='set SPATIAL_RAG_API_KEY'):
            ApiConfig(MODEL, MEMORY, host)


@pytest.mark.parametrize(('fields', 'words'), [
    ({'port': 65536}, '65536'), ({'device': 'tpu'}, 'tpu'), ({'api_key': 'short'}, '5 characters'),
    ({'api_key': 'with a space in the middle'}, 'spaces'), ({'api_key': ''}, '0 characters'),
    ({'api_key': 'ä' * 20}, 'ASCII'), ({'allowed_origins': ('robot',)}, "'robot'"),
    ({'allowed_origins': ('http://robot:3000/',)}, 'without a path')])
def test_what_is_out_of_range_is_told_with_its_value(
        fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ApiConfig(MODEL, MEMORY, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize('value', [0, -1, float('nan'), float('inf')])
def test_a_limit_is_a_positive_number(value: float) -> None:
    with pytest.raises(ConfigurationError, match='body_timeout_sec must be > 0'):
        Limits(body_timeout_sec=value)


def test_the_key_stands_in_no_message() -> None:
    assert KEY not in repr(ApiConfig(MODEL, MEMORY, api_key=KEY))


def test_the_model_is_the_one_that_is_named_else_the_one_that_ships(tmp_path: Path) -> None:
    assert model_path_from({'WM_CHECKPOINT_PATH': '/a/model.pt'}) == Path('/a/model.pt')
    with pytest.raises(ConfigurationError, match='WM_CHECKPOINT_PATH'):
        model_path_from({'AMENT_PREFIX_PATH': f':{tmp_path}'})
    shipped = tmp_path / 'share/spatial_rag_bringup/models/encoder_transition.pt'
    shipped.parent.mkdir(parents=True)
    shipped.touch()
    assert model_path_from({'AMENT_PREFIX_PATH': f'/nowhere:{tmp_path}'}) == shipped


def test_the_memory_is_the_robots_own_where_none_is_named() -> None:
    assert memory_path_from({'SPATIAL_RAG_MEMORY': '/a/b.db'}, MODEL) == Path('/a/b.db')
    assert memory_path_from({'ROS_HOME': '/ros'}, MODEL) == Path('/ros/spatial_rag/memory.db')
    assert memory_path_from({}, MODEL) == Path.home() / '.ros/spatial_rag/memory.db'


def test_beside_another_models_memory_that_of_this_one_is_taken(
        bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / 'spatial_rag').mkdir()
    own = make_memory(tmp_path / 'spatial_rag/memory.db', bundle, 1)
    other = make_bundle(tmp_path / 'other.pt', seed=1)
    other_id = read_metadata(other).model_id
    assert memory_path_from({'ROS_HOME': str(tmp_path)}, other) == own.with_name(
        f'memory-{other_id}.db')


def test_arguments_win_over_the_environment(tmp_path: Path) -> None:
    file = tmp_path / 'key'
    file.write_text(f'{KEY}-of-the-file\n')
    environment = {
        'WM_CHECKPOINT_PATH': 'env.pt', 'SPATIAL_RAG_MEMORY': 'env.db', 'SPATIAL_RAG_API_KEY': KEY,
        'SPATIAL_RAG_API_HOST': '0.0.0.0', 'SPATIAL_RAG_API_PORT': '9000',
        'SPATIAL_RAG_API_ORIGINS': 'http://a http://b'}
    from_environment = config_from(_parser().parse_args([]), environment)
    assert from_environment == ApiConfig(Path('env.pt'), Path('env.db'), '0.0.0.0', 9000, KEY,
                                         ('http://a', 'http://b'))
    arguments = _parser().parse_args([
        '--model', 'm.pt', '--memory', 'm.db', '--host', '127.0.0.1', '--port', '1',
        '--api-key-file', str(file), '--allow-origin', 'http://c', '--device', 'cpu'])
    assert config_from(arguments, environment) == ApiConfig(
        Path('m.pt'), Path('m.db'), '127.0.0.1', 1, f'{KEY}-of-the-file', ('http://c',), 'cpu')


@pytest.mark.parametrize(('words', 'complaint'), [
    (['--model', 'none.pt'], 'none.pt: no such bundle file'),
    (['--model', 'm', '--host', '192.0.2.1', '--api-key-file', 'KEY'], 'nobody can listen'),
    (['--model', 'm', '--port', 'x'], "'x'"),
    (['--model', 'm', '--host', '0.0.0.0'], 'no API key'),
    (['--model', 'm', '--api-key-file', '/none'], '/none cannot be read')])
def test_a_server_that_cannot_start_says_why_in_one_line(
        words: list[str], complaint: str, capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / 'key').write_text(KEY)
    words = [word.replace('KEY', str(tmp_path / 'key')) for word in words]
    for name in [name for name in os.environ if name.startswith('SPATIAL_RAG_API')]:
        monkeypatch.delenv(name)
    assert main(words) == 1
    told = capsys.readouterr().err
    assert complaint in told
    assert told.count('\n') == 1


def test_the_program_serves_until_it_is_stopped(bundle_path: Path, memory_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, '-m', 'spatial_rag_api', '--model', str(bundle_path), '--memory',
         str(memory_path), '--port', '0', '--device', 'cpu'], stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if 'http://127.0.0.1' in line)
        assert str(bundle_path) in line
        assert 'UNTRAINED' in line
        address = line.split()[2]
        with httpx.Client(base_url=address, trust_env=False) as client:
            assert client.get('/ready').json() == {'status': 'ready', 'memory': 'ready'}
            with client.stream('GET', '/stream-rollout', params={
                    'from_memory': 'latest', 'repeat': True}) as stream:
                assert next(stream.iter_lines()) == 'event: start'
                process.send_signal(signal.SIGINT)  # while a client is there
                assert process.wait(60.0) == 130
        assert 'Traceback' not in process.stderr.read()
    finally:
        process.kill()
        process.stderr.close()
