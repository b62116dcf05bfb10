"""What a parameter file says for a node."""

from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

values = pytest.importorskip('spatial_rag_bringup.parameter_values')
SECTIONS = ['/**/encoder', 'encoder', '/encoder', '/**']


def file_of(folder: Path, text: str, namespace: str = '') -> Any:
    path = folder / 'mine.yaml'
    path.write_text(text)
    return values.ParameterFile(path, namespace)


def section(name: str, value: str) -> str:
    return f'{name}:\n  ros__parameters: {{p: {value}}}\n'


@pytest.mark.parametrize(('name', 'namespace', 'applies'), [
    *((name, '', True) for name in SECTIONS), ('/*', '', True), ('/retriever', '', False),
    ('/robot1/encoder', '', False), ('/**/encoder', 'robot1', True), ('/**', 'a/b', True),
    ('/robot1/encoder', '/robot1/', True), ('/encoder', 'robot1', False),
    ('/*/encoder', 'robot1', True), ('/*/encoder', 'a/b', False), ('/robot1/**', 'robot1', True)])
def test_a_section_applies_as_ros_applies_it(
        tmp_path: Path, name: str, namespace: str, applies: bool) -> None:
    file = file_of(tmp_path, section(name, 'here'), namespace)
    assert file.value('encoder', 'p') == ('here' if applies else None)
    assert file.value('encoder', 'q') is None


def test_namespaces_may_be_nested(tmp_path: Path) -> None:
    file = file_of(tmp_path, 'a:\n  b:\n    encoder:\n      ros__parameters: {p: 1}', 'a/b')
    assert file.value('encoder', 'p') == 1


@pytest.mark.parametrize('text', ['', 'a: [', 'words', '- 1', 'encoder: 5'])
def test_a_file_that_cannot_be_used_says_nothing(tmp_path: Path, text: str) -> None:
    assert file_of(tmp_path, text).value('encoder', 'p') is None
    assert values.ParameterFile(tmp_path / 'absent').value('encoder', 'p') is None


@pytest.mark.ros
@pytest.mark.parametrize('names', list(permutations(SECTIONS, 2)), ids=' '.join)
def test_ros_reads_the_same_and_our_section_outdoes_it(
        tmp_path: Path, ros_domain: int, names: tuple[str, str]) -> None:
    import rclpy
    file = file_of(tmp_path, ''.join(section(name, f'value of {name}') for name in names))
    (tmp_path / 'ours.yaml').write_text(section(file.section_that_wins('encoder'), 'ours'))
    words = ['--ros-args']
    got = []
    for name in ('mine.yaml', 'ours.yaml'):
        words += ['--params-file', str(tmp_path / name)]
        context = rclpy.Context()
        rclpy.init(args=words, context=context, domain_id=ros_domain)
        node = rclpy.create_node('encoder', context=context)
        got.append(node._parameter_overrides['p'].value)
        node.destroy_node()
        context.try_shutdown()
    assert got == [file.value('encoder', 'p'), 'ours']


def no_default() -> str:
    pytest.fail('the default is not wanted')


def test_an_explicit_value_wins_and_must_be_passed(tmp_path: Path) -> None:
    file = file_of(tmp_path, section('/**', 'theirs'))
    assert values.choose('mine', file, ['a', 'b'], 'p', no_default) == values.Choice('mine', True)


def test_what_the_file_says_for_all_need_not_be_passed(tmp_path: Path) -> None:
    file = file_of(tmp_path, section('/**', 'theirs'))
    assert values.choose('', file, ['a', 'b'], 'p', no_default) == values.Choice('theirs', False)


def test_what_the_file_says_for_one_is_meant_for_all(tmp_path: Path) -> None:
    file = file_of(tmp_path, section('/**/b', 'theirs'))
    assert values.choose('', file, ['a', 'b'], 'p', no_default) == values.Choice('theirs', True)


@pytest.mark.parametrize('text', ['{}', section('/**', "''")])
def test_else_the_default_is_passed(tmp_path: Path, text: str) -> None:
    file = file_of(tmp_path, text)
    assert values.choose('', file, ['a'], 'p', lambda: 'last') == values.Choice('last', True)
