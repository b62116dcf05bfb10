"""
README.md says what the code says.

`python scripts/test/test_readme.py` prints the parameter tables as the README must hold them.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
import re
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / 'README.md').read_text()
NODES = ROOT / 'src/spatial_rag_nodes/spatial_rag_nodes'
BRINGUP = ROOT / 'src/spatial_rag_bringup'

STACK = {'encoder': 'E', 'memory_writer': 'W', 'retriever': 'R', 'transition_predictor': 'P'}
SOURCES = {'simulated_robot': 'S', 'bag_replay': 'B'}


def section(title: str) -> str:
    """Return the text under a heading, up to the next one."""
    found = re.search(rf'^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)', README, re.M | re.S)
    assert found, f'README has no section {title!r}'
    return found[1]


def first_cells(title: str) -> list[str]:
    """Return the code in the first column of the section's tables, row by row."""
    return [name for row in re.findall(r'^\| (`.*?) \|', section(title), re.M)
            for name in re.findall(r'`([^`]+)`', row)]


def parameters_of(node: str) -> Iterator[Any]:
    settings = import_module('spatial_rag_core.settings')
    module = import_module(f'spatial_rag_nodes.{node}_node')
    if hasattr(module, '_parameters'):
        yield from module._parameters(settings.Settings())
    else:
        yield from module.PARAMETERS


def parameter_rows(nodes: dict[str, str]) -> list[str]:
    """Return one row a parameter; nodes that declare the same share it."""
    letters: dict[Any, str] = {}
    for node, letter in nodes.items():
        for spec in parameters_of(node):
            letters[spec] = letters.get(spec, '') + letter
    return [f'| `{spec.name}` | {owners} | {_default(spec)} | {_range(spec)} | '
            f'{"live" if spec.live else ""} | {spec.description} |'
            for spec, owners in letters.items()]


def _default(spec: Any) -> str:
    value = str(spec.default).lower() if isinstance(spec.default, bool) else spec.default
    return f'{value} {spec.unit}'.strip() if value != '' else 'empty'


def _range(spec: Any) -> str:
    if spec.choices:
        return ', '.join(spec.choices)
    if spec.low is not None:
        return f'{spec.low:.10g} to {spec.high:.10g}'
    return 'true, false' if isinstance(spec.default, bool) else 'text'


@pytest.mark.parametrize(('title', 'nodes'), [
    ('Parameters of the four nodes', STACK), ('Parameters of the sources', SOURCES)])
def test_parameter_table_is_that_of_the_code(title: str, nodes: dict[str, str]) -> None:
    pytest.importorskip('rclpy', reason='the nodes need ROS or its wheels')
    rows = [row for row in section(title).splitlines() if row.startswith('| `')]
    assert rows == parameter_rows(nodes), f'paste what `python {Path(__file__).name}` prints'


def topics_in_code() -> set[str]:
    """Return the names in calls that make a publisher or a subscription, with a slash."""
    names = set()
    for path in NODES.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, 'attr', '') in (
                    'create_publisher', 'create_subscription', '_listen'):
                topic = node.args[1]
                names.add(getattr(topic.left if isinstance(topic, ast.BinOp) else topic,
                                  'value', None))  # 'name', or 'name' + suffix
            elif (path.name == 'motion_inputs.py' and isinstance(node, ast.Tuple)
                  and [type(part) for part in node.elts] == [ast.Name, ast.Constant]):
                names.add(node.elts[1].value)
    return {'/' + name.lstrip('/') for name in names if isinstance(name, str)}


def test_topic_table_names_every_topic_and_no_other() -> None:
    named = {re.sub('/compressed(Depth)?$', '', name) for name in first_cells('Topics')}
    assert named == topics_in_code()


def test_service_table_has_every_code() -> None:
    text = section('Services')
    files = sorted((ROOT / 'src/spatial_rag_msgs/srv').glob('*.srv'))
    for path in files:
        assert f'spatial_rag_msgs/srv/{path.stem}' in text
        for name, value in re.findall(r'^uint16 (\w+)=(\d+)', path.read_text(), re.M):
            assert f'{value} {name}' in text
    assert len(first_cells('Services')) == len(files)


def test_run_summary_table_has_its_fields() -> None:
    figures = import_module('spatial_rag_bringup.stack_figures')
    assert first_cells('RUN SUMMARY') == list(figures.StackFigures().summary())


def test_make_variables_are_those_of_the_makefile() -> None:
    flags = re.search(r'^RUN_FLAGS = (.*?)\n\n', (ROOT / 'Makefile').read_text(), re.M | re.S)
    assert flags
    assert set(first_cells('Variables of make run')) == set(
        re.findall(r'\$\(([A-Z_]+)\)', flags[1]))


def test_launch_arguments_are_those_of_the_launch_file() -> None:
    declared = re.findall(r"DeclareLaunchArgument\('(\w+)'",
                          (BRINGUP / 'launch/robot.launch.py').read_text())
    assert first_cells('Launch arguments') == declared


def test_environment_variables_are_those_of_the_settings() -> None:
    source = (ROOT / 'src/spatial_rag_core/spatial_rag_core/settings.py').read_text()
    read = dict.fromkeys(re.findall(r"env(?:, |\.get\()'([A-Z_]+)'", source))
    assert first_cells('Environment variables')[:len(read)] == list(read)


def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture[str]) -> None:
    code, output = re.findall(r'```(?:python|text)\n(.*?)```',
                              section('The memory from Python, without ROS'), re.S)[:2]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, 'README.md', 'exec'), {})
    assert capsys.readouterr().out == output


@pytest.mark.parametrize('path', [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))],
                         ids=lambda path: path.name)
def test_links_lead_to_files_and_headings(path: Path) -> None:
    for name, heading in re.findall(r'\]\(([^)#:]*)(?:#([^)]*))?\)', path.read_text()):
        target = path.parent / name if name else path
        assert target.exists(), name
        assert not heading or heading in headings(target), f'{name}#{heading}'


def headings(path: Path) -> set[str]:
    """Return the names by which a link reaches the headings of a page, as GitHub makes them."""
    return {re.sub(r'[^\w\- ]', '', title.lower()).replace(' ', '-')
            for title in re.findall(r'^#+ (.*)', path.read_text(), re.M)}


if __name__ == '__main__':
    for group in (STACK, SOURCES):
        print('\n'.join(parameter_rows(group)), end='\n\n')
