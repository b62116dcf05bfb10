"""docs/PRACTICAL_GUIDE.md names only what there is."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
import re
import shlex
from typing import Any

from spatial_rag_bringup import launch_arguments
from spatial_rag_bringup.launch_arguments import Argument
from spatial_rag_core import cli
from spatial_rag_core.settings import Settings
from spatial_rag_core.training.training_config import TrainingConfig

import pytest
import yaml

profile_files = pytest.importorskip('spatial_rag_bringup.profile_files',
                                    reason='rclpy is absent: no ROS and no wheels of it')

ROOT = Path(__file__).parents[3]
DOCS = ROOT / 'docs'
GUIDE = (DOCS / 'PRACTICAL_GUIDE.md').read_text()
BLOCKS = re.findall(r'^```(\w*)\n(.*?)^```', GUIDE, re.M | re.S)
CODE = re.findall(r'(?<!`)`([^`\n]+)`(?!`)', re.sub(r'^```.*?^```', '', GUIDE, flags=re.M | re.S))
SETTINGS = [yaml.safe_load(text) for kind, text in BLOCKS if kind == 'yaml']
COMMANDS = [line for kind, text in BLOCKS if not kind for line in text.splitlines()] + CODE

NO_PARAMETERS = {'message', 'spatial_rag'}
OF_A_TRAINING = {'reach_m'}
DECLARED = {node: {spec.name: spec for spec in profile_files.declared(node, Settings())}
            for node in profile_files.NODES}
LAUNCH: dict[str, Sequence[Argument]] = {
    'robot': launch_arguments.ROBOT, 'collect': launch_arguments.COLLECT,
    'replay': (*launch_arguments.ROBOT, *launch_arguments.REPLAY),
    'sim': (*launch_arguments.ROBOT, *launch_arguments.SIM)}


def parameters_of_robots() -> list[Any]:
    """(node, name, value) of each that a block sets."""
    return [pytest.param(section.removeprefix('/**/'), name, value, id=f'{section[4:]}-{name}')
            for block in SETTINGS for section, content in block.items()
            if 'ros__parameters' in content
            for name, value in content['ros__parameters'].items()]


@pytest.mark.parametrize(('node', 'name', 'value'), parameters_of_robots())
def test_a_parameter_is_declared_by_its_node_and_within_its_range(
        node: str, name: str, value: Any) -> None:
    spec = DECLARED[node][name]
    assert type(value) is type(spec.default), f'{name}: {value}'
    spec.check(value)


def named_parameters() -> list[tuple[str, Any]]:
    """`name: value` in the text."""
    found = [re.fullmatch(r'([a-z][a-z0-9_]+): (\S+)', code) for code in CODE]
    return [(match[1], yaml.safe_load(match[2])) for match in found
            if match and match[1] not in NO_PARAMETERS]


@pytest.mark.parametrize(('name', 'value'), named_parameters())
def test_a_value_that_the_text_gives_is_one_that_a_node_or_a_training_takes(
        name: str, value: Any) -> None:
    specs = [specs[name] for specs in DECLARED.values() if name in specs]
    assert specs or name in OF_A_TRAINING
    for spec in specs:
        assert type(value) is type(spec.default)
        spec.check(value)


def test_the_settings_of_a_training_are_ones_that_it_takes(tmp_path: Path) -> None:
    trainings = [block for block in SETTINGS if not all('/**/' in name for name in block)]
    assert trainings
    for number, block in enumerate(trainings):
        path = tmp_path / f'{number}.yaml'
        path.write_text(yaml.safe_dump(block))
        assert TrainingConfig.load(path, TrainingConfig()) != TrainingConfig()


def launches() -> Iterator[tuple[str, dict[str, str]]]:
    """(launch file, arguments) of each command."""
    for command in COMMANDS:
        match = re.search(r'ros2 launch spatial_rag_bringup (\w+)\.launch\.py(.*)', command)
        if match:
            words = [word for word in shlex.split(match[2]) if word != '--show-args']
            yield match[1], dict(word.split(':=', 1) for word in words)


@pytest.mark.parametrize(('file', 'given'), [*launches()])
def test_a_launch_command_gives_arguments_that_there_are_and_values_that_they_take(
        file: str, given: dict[str, str]) -> None:
    arguments = {argument.name: argument for argument in LAUNCH[file]}
    for name, value in given.items():
        assert not arguments[name].choices or value in arguments[name].choices


def test_launch_arguments_in_the_text_are_ones_that_there_are() -> None:
    known = {argument.name: argument for arguments in LAUNCH.values() for argument in arguments}
    words = [word.split(':=') for code in CODE for word in code.split()
             if re.match(r'[a-z_]+:=', word)]
    assert len(words) > 20
    for name, value in words:
        assert not known[name].choices or value in known[name].choices


def test_the_files_that_commands_name_are_blocks_of_the_guide() -> None:
    named = set(re.findall(r'(?:params_file:=|--config )(\S+\.yaml)', GUIDE))
    assert named == set(re.findall(r'^```yaml\n# (\S+)', GUIDE, re.M))


@pytest.mark.parametrize('command', [
    command[command.index('spatial-rag '):] for command in COMMANDS if 'spatial-rag ' in command])
def test_a_command_of_spatial_rag_is_one_that_it_takes(command: str) -> None:
    words = shlex.split(command)[1:]
    if any(word in ('-h', '…') for word in words) or _is_name_of_a_command(words):
        return
    assert callable(cli._parser().parse_args(words).run)


def _is_name_of_a_command(words: list[str]) -> bool:
    """Such as `memory reencode`, without what it works on: then there is help on it."""
    if len(words) > 2:
        return False
    with pytest.raises(SystemExit) as end:
        cli._parser().parse_args([*words, '--help'])
    return end.value.code == 0


def test_make_targets_and_variables_are_those_of_the_makefile() -> None:
    makefile = (ROOT / 'Makefile').read_text()
    words = [word for code in COMMANDS if code.startswith('make ') for word in shlex.split(code)]
    assert {'setup', 'run'} <= set(words)
    for word in set(words) - {'make'}:
        name = word.split('=')[0]
        assert re.search(rf'^{name}:|\$\({name}\)', makefile, re.M), word


def texts(node: ast.AST) -> Iterator[str]:
    """Texts of a module; what a program fills in is '…'."""
    for part in ast.walk(node):
        if isinstance(part, ast.JoinedStr):
            yield ''.join(str(value.value) if isinstance(value, ast.Constant) else '…'
                          for value in part.values)
        elif isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


@pytest.fixture(scope='module')
def source() -> str:
    """All texts of nodes and core."""
    files = [file for package in ('nodes', 'core')
             for file in (ROOT / f'src/spatial_rag_{package}/spatial_rag_{package}').rglob('*.py')]
    return '\n'.join(text for file in files for text in texts(ast.parse(file.read_text())))


def test_the_diagnostics_that_it_explains_are_what_nodes_say(source: str) -> None:
    table = GUIDE.split('## Read the diagnostics')[1].split('\n\n')[2]
    said = [part.strip(' .') for row in table.splitlines()[2:]
            for code in re.findall(r'`([^`]+)`', row.split('|')[2]) for part in code.split('…')]
    assert len(said) > 12
    assert [part for part in said if part not in source] == []


def test_topics_services_and_figures_are_ones_of_the_nodes(source: str) -> None:
    names = {code.removeprefix('/') for code in CODE if code.startswith('/spatial_rag/')}
    figures = {code for code in CODE if re.fullmatch(r'(error|memories|latents)_[a-z_]+', code)}
    assert names
    assert figures
    for name in names:
        assert name in source or name.removeprefix('spatial_rag/') in source, name
    assert [figure for figure in figures if figure not in source] == []


def test_links_lead_to_files_and_headings() -> None:
    for name, heading in re.findall(r'\]\(([^)#:]*)(?:#([^)]*))?\)', GUIDE):
        page = (DOCS / name if name else DOCS / 'PRACTICAL_GUIDE.md').read_text()
        titles = {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-')
                  for title in re.findall(r'^#+ (.*)', page, re.M)}
        assert not heading or heading in titles, f'{name}#{heading}'
