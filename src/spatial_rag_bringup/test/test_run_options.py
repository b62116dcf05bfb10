"""The command line of run_stack."""

from pathlib import Path
import subprocess

from spatial_rag_core.errors import ConfigurationError

import pytest

run_options = pytest.importorskip('spatial_rag_bringup.run_options',
                                  reason='ament_index_python is absent')
parse = run_options.parse


def test_without_words_the_simulated_robot_runs_until_told_to_stop() -> None:
    options = parse([])
    assert options.bag is None
    assert options.duration_sec is None
    assert [options.composition, options.loop, options.respawn] == [False] * 3
    assert options.remap == {}
    assert options.rate == 1.0
    assert options.params_file.name == 'sim.yaml'


def test_every_word_is_taken() -> None:
    options = parse(['--bag', '/bags/a b', '--duration', '2.5', '--composition', 'TRUE',
                     '--memory', 'm.db', '--model', 'm.pt', '--rate', '0.5', '--loop', 'true',
                     '--namespace', '/fleet/robot_1', '--log-level', 'debug', '--respawn', 'true',
                     '--remap', '/cam:=/camera/image_raw  /p:=/pose', '--axes', 'optical'])
    assert options.bag == Path('/bags/a b')
    assert (options.duration_sec, options.rate) == (2.5, 0.5)
    assert [options.composition, options.loop, options.respawn] == [True] * 3
    assert options.remap == {'/cam': '/camera/image_raw', '/p': '/pose'}
    assert (options.namespace, options.log_level) == ('/fleet/robot_1', 'debug')
    assert options.pose_axes == 'optical'


MISTAKES = [
    (['--duration', 'abc'], "--duration: must be a number, got 'abc'"),
    (['--duration', '0'], 'DURATION must be > 0 s, got 0'),
    (['--duration', '-3'], 'DURATION must be > 0 s, got -3'),
    (['--duration', 'nan'], 'DURATION must be > 0 s, got nan'),
    (['--duration', 'inf'], 'DURATION must be > 0 s, got inf'),
    (['--rate', '0'], 'RATE must lie between 0.01 and 100, got 0'),
    (['--rate', 'fast'], "--rate: must be a number, got 'fast'"),
    (['--robot', 'sim', '--bag', 'x'], '--bag: not allowed with argument --robot'),
    (['--robot', 'spot'], "invalid choice: 'spot'"),
    (['--remap', 'a=b'], "must be FROM:=TO, got 'a=b'"),
    (['--remap', 'a:='], "must be FROM:=TO, got 'a:='"),
    (['--composition', 'maybe'], "must be true or false, got 'maybe'"),
    (['--log-level', 'loud'], "invalid choice: 'loud'"),
    (['--namespace', 'a-b'], "NAMESPACE must be names of letters, digits and _, joined by /, "
                             "got 'a-b'"),
    (['--namespace', '1st'], "got '1st'"),
    (['--params', '/nowhere.yaml'], 'parameter file /nowhere.yaml does not exist'),
    (['--what'], 'unrecognized arguments: --what'),
]


@pytest.mark.parametrize(('words', 'reason'), MISTAKES, ids=[' '.join(m[0]) for m in MISTAKES])
def test_a_mistake_is_told_in_one_line(words: list[str], reason: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse(words)
    assert reason in str(caught.value)
    assert '\n' not in str(caught.value)


@pytest.mark.parametrize('text', ['a: [1, 2', 'just words', '', '\t- x'])
def test_a_parameter_file_that_is_no_yaml_is_refused_in_one_line(tmp_path: Path,
                                                                 text: str) -> None:
    file = tmp_path / 'robot.yaml'
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=r'robot\.yaml cannot be used') as caught:
        parse(['--params', str(file)])
    assert '\n' not in str(caught.value)


@pytest.mark.ros
@pytest.mark.parametrize(('words', 'reason'), [
    (['--duration', 'abc'], 'must be a number'), (['--bag', '/nowhere'], 'does not exist')])
def test_the_program_exits_with_1_and_one_line(lab, words: list[str], reason: str) -> None:
    process = lab.start('run_stack', *words, '--model', '/not/looked/at.pt')
    assert process.wait() == 1
    lines = [line for line in process.output.splitlines() if not line.startswith('[run] ')]
    assert len(lines) == 1, process.output
    assert lines[0].startswith('run_stack: ')
    assert reason in lines[0]


def test_help_names_every_word() -> None:
    text = subprocess.run(['run_stack', '--help'], capture_output=True, text=True, check=True,
                          timeout=60).stdout
    for word in ('--robot', '--bag', '--duration', '--composition', '--memory', '--model',
                 '--rate', '--loop', '--namespace', '--log-level', '--remap', '--respawn',
                 '--params', '--axes'):
        assert word in text
