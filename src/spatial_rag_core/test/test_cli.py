from __future__ import annotations

import json
from pathlib import Path
import subprocess
import sys

from spatial_rag_core import cli
from spatial_rag_core.models.bundle import Bundle, save_bundle
from spatial_rag_core.models.untrained import untrained_model
from spatial_rag_core.settings import Settings

import pytest


def run(*words: object) -> int:
    return cli.main([str(word) for word in words])


def info(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    capsys.readouterr()
    assert run('bundle', 'info', path, '--json') == 0
    values: dict[str, object] = json.loads(capsys.readouterr().out)
    return values


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv('Z_DIM', '8')
    monkeypatch.setenv('ACTION_DIM', '3')
    path = tmp_path / 'model.pt'
    assert run('bundle', 'create-untrained', path) == 0
    return path


def test_help_and_info_do_not_import_torch(path: Path) -> None:
    program = 'import sys; from spatial_rag_core import cli; {}; print("torch" in sys.modules)'
    for call in ('cli._parser().format_help()', f'cli.main(["bundle", "info", {str(path)!r}])'):
        done = subprocess.run([sys.executable, '-c', program.format(call)], text=True,
                              capture_output=True, check=True, timeout=60)
        assert done.stdout.splitlines()[-1] == 'False'


def test_an_untrained_bundle_has_the_sizes_of_the_environment(
        path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = info(path, capsys)
    assert (values['z_dim'], values['action_dim'], values['trained']) == (8, 3, False)
    assert Bundle.load(path, z_dim=8, action_dim=3).model_id == values['model_id']


def test_info_for_people_names_every_fact(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = info(path, capsys)
    assert run('bundle', 'info', path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[0] for line in lines} == set(values)


def test_if_missing_keeps_what_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = path.stat().st_mtime_ns
    assert run('bundle', 'create-untrained', path, '--seed', 1, '--if-missing') == 0
    assert 'already there' in capsys.readouterr().out
    assert path.stat().st_mtime_ns == before
    assert run('bundle', 'create-untrained', path.with_name('other.pt'), '--if-missing') == 0
    assert path.with_name('other.pt').exists()


def test_another_seed_replaces_an_untrained_or_a_damaged_file(
        path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = info(path, capsys)['model_id']
    assert run('bundle', 'create-untrained', path, '--seed', 1) == 0
    assert info(path, capsys)['model_id'] != before
    path.write_bytes(b'damaged')
    assert run('bundle', 'create-untrained', path) == 0
    assert info(path, capsys)['model_id'] == before


def test_a_trained_bundle_is_never_replaced(
        tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / 'trained.pt'
    save_bundle(untrained_model(Settings()), path, trained=True, training={})
    before = path.read_bytes()
    assert run('bundle', 'create-untrained', path) == 1
    assert 'holds a trained model' in capsys.readouterr().err
    assert path.read_bytes() == before


@pytest.mark.parametrize(('words', 'environment', 'message'), [
    (('bundle', 'info', 'none.pt'), {}, 'none.pt: no such bundle file'),
    (('bundle', 'create-untrained', 'm.pt', '--seed', '-1'), {}, 'seed must lie between'),
    (('bundle', 'create-untrained', 'm.pt'), {'Z_DIM': 'many'}, 'Z_DIM must be a whole number'),
    (('bundle', 'create-untrained', '/dev/null/m.pt'), {}, 'cannot be written'),
])
def test_an_error_is_one_line_and_exit_status_1(
        words: tuple[str, ...], environment: dict[str, str], message: str, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run(*words) == 1
    error = capsys.readouterr().err
    assert message in error
    assert error.count('\n') == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize('words', [(), ('bundle',), ('bundle', 'info'), ('nonsense',)])
def test_an_incomplete_command_shows_its_usage(
        words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match='2'):
        run(*words)
    assert 'usage: spatial-rag' in capsys.readouterr().err


@pytest.mark.parametrize(('word', 'plain'), [
    ('-1e-05', '-0.00001'), ('-2.5E+3', '-2500'), ('-.5e1', '-5'), ('-1.e2', '-100'),
    ('-1.5', '-1.5'), ('1e-05', '1e-05'), ('-e5', '-e5'), ('--seed', '--seed'), ('-', '-'),
    ('-1e999999999', '-1e999999999')])
def test_a_negative_number_with_an_exponent_is_a_number(word: str, plain: str) -> None:
    assert cli._plain_numbers([word]) == [plain]
    if word != plain:
        assert float(word) == float(plain)


def test_an_output_that_nobody_reads_ends_quietly(path: Path) -> None:
    with subprocess.Popen([sys.executable, '-m', 'spatial_rag_core.cli', 'bundle', 'info', path],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as done:
        done.stdout.close()
        assert done.stderr.read() == b''
        assert done.wait(60) == 141


def test_version_and_help_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ('--version', '--help'):
        with pytest.raises(SystemExit, match='0'):
            run(word)
    assert 'memory files: look into one' in capsys.readouterr().out
