"""README.md and the pages in docs/ say what the code says."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
import re
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / 'README.md').read_text()
BRINGUP = ROOT / 'src/spatial_rag_bringup'

NODES = {'E': 'encoder', 'W': 'memory_writer', 'R': 'retriever', 'P': 'transition_predictor',
         'V': 'visualizer'}
OF_ROS = ('/parameter_events', '/rosout')
"""Topics of every node."""


def section(title: str, page: str = README) -> str:
    """Return the text under a heading, up to the next one."""
    found = re.search(rf'^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)', page, re.M | re.S)
    assert found, f'there is no section {title!r}'
    return found[1]


def first_cells(title: str) -> list[str]:
    """Return the code in the first column of the section's tables, row by row."""
    return [name for row in re.findall(r'^\| (`.*?) \|', section(title), re.M)
            for name in re.findall(r'`([^`]+)`', row)]


def default_of(node: str, parameter: str) -> str:
    """Return what the node declares, as the README writes it."""
    files = pytest.importorskip('spatial_rag_bringup.profile_files',
                                reason='the nodes need ROS or its wheels')
    settings = import_module('spatial_rag_core.settings').Settings()
    spec = {spec.name: spec for spec in files.declared(node, settings)}[parameter]
    return f'{spec.default} {spec.unit}'.strip()


def test_the_parameters_that_matter_most_have_the_defaults_of_the_code() -> None:
    rows = re.findall(r'^\| `(\w+)` \| ([A-Z]+) \| (.*?) \|', section('Parameters'), re.M)
    assert len(rows) == 10
    for name, letters, default in rows:
        for letter in letters:
            assert default == default_of(NODES[letter], name), (name, letter)


def topics_of_the_policy() -> set[str]:
    """Return what the nodes publish and subscribe to: a test compares it with their graph."""
    root = ElementTree.parse(BRINGUP / 'security/policy.xml').getroot()
    names = {str(topic.text) for topic in root.iter('topic')}
    return {'/' + name.lstrip('/') for name in names
            if name not in OF_ROS and not name.endswith('/transition_event')}


def test_topic_table_names_every_topic_and_no_other() -> None:
    assert set(first_cells('Topics')) == topics_of_the_policy()


def test_service_table_has_every_service_and_code_and_no_other() -> None:
    rows = section('Services').splitlines()
    files = sorted((ROOT / 'src/spatial_rag_msgs/srv').glob('*.srv'))
    wanted: list[str] = []
    for path in files:
        name = re.sub('(?<=[a-z])(?=[A-Z])', '_', path.stem).lower()
        row = next(row for row in rows if f'`/spatial_rag/{name}`' in row)
        codes = [f'{value} {code}' for code, value in re.findall(
            r'^uint16 (\w+)=([1-9]\d*)', path.read_text(), re.M)]
        assert [code for code in codes if code not in row] == []
        wanted += codes
    assert len(first_cells('Services')) == len(files)
    assert sorted(re.findall(r'\d{3,4} [A-Z_]{4,}', section('Services'))) == sorted(wanted)


def test_run_summary_table_has_its_fields() -> None:
    figures = import_module('spatial_rag_bringup.stack_figures')
    assert first_cells('RUN SUMMARY') == list(figures.StackFigures().summary())


def test_make_variables_are_those_of_the_makefile() -> None:
    flags = re.search(r'^RUN_FLAGS = (.*?)\n\n', (ROOT / 'Makefile').read_text(), re.M | re.S)
    assert flags
    assert set(first_cells('Variables of make run')) == set(
        re.findall(r'\$\(([A-Z_]+)\)', flags[1]))


def test_launch_arguments_are_those_of_the_launch_file() -> None:
    arguments = import_module('spatial_rag_bringup.launch_arguments')
    assert first_cells('Launch arguments') == [each.name for each in arguments.ROBOT]


def test_every_launch_file_is_named_with_the_arguments_of_its_own() -> None:
    arguments = import_module('spatial_rag_bringup.launch_arguments')
    text = section('Launch files')
    assert re.findall(r'^\| `(\w+\.launch\.py)', text, re.M) == [
        f'{name}.launch.py' for name in ('robot', 'sim', 'replay', 'collect', 'rviz')]
    of_the_robot = {each.name for each in arguments.ROBOT}
    for each in (*arguments.SIM, *arguments.REPLAY, *arguments.COLLECT):
        assert each.name in of_the_robot or f'`{each.name}`' in text


def test_markers_are_those_of_rviz() -> None:
    shown = re.search(r'Namespaces:\n((?: +\w+: true\n)+)',
                      (BRINGUP / 'rviz/spatial_rag.rviz').read_text())
    assert shown
    assert sorted(first_cells('RViz')) == sorted(re.findall(r'\w+(?=: )', shown[1]))


def test_environment_variables_are_those_of_the_settings() -> None:
    source = (ROOT / 'src/spatial_rag_core/spatial_rag_core/settings.py').read_text()
    read = dict.fromkeys(re.findall(r"env(?:, |\.get\()'([A-Z_]+)'", source))
    assert first_cells('Environment variables')[:len(read)] == list(read)


def test_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                             capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / 'docs/MEMORY.md').read_text()
    code, output = re.findall(r'```(?:python|text)\n(.*?)```', section('From Python', page),
                              re.S)[:2]
    monkeypatch.chdir(tmp_path)
    exec(compile(code, 'MEMORY.md', 'exec'), {})
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
