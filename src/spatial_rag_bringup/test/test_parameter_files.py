"""config/*.yaml against what the nodes declare."""

from importlib import import_module
from pathlib import Path
from typing import Any

from spatial_rag_core.settings import Settings

import pytest
import yaml

FILES = sorted((Path(__file__).parents[1] / 'config').glob('*.yaml'))
SET_BY_LAUNCH = {'model_path', 'memory_path'}
FROM_ENVIRONMENT = {'z_dim', 'action_dim', 'k'}
SECTIONS = [(file, section) for file in FILES for section in yaml.safe_load(file.read_text())]

each_section = pytest.mark.parametrize(
    ('file', 'section'), SECTIONS, ids=[f'{file.name}-{name}' for file, name in SECTIONS])


def declared(section: str, settings: Settings | None = None) -> dict[str, Any]:
    """Name → Parameter of the node that the section is for."""
    pytest.importorskip('rclpy', reason='rclpy is absent: no ROS and no wheels of it')
    module = import_module(f'spatial_rag_nodes.{section.rpartition("/")[2]}_node')
    specs = getattr(module, 'PARAMETERS', None) or module._parameters(settings or Settings())
    return {spec.name: spec for spec in specs}


def written(file: Path, section: str) -> dict[str, Any]:
    content = yaml.safe_load(file.read_text())[section]
    assert list(content) == ['ros__parameters']
    return content['ros__parameters']


def test_the_four_nodes_and_the_simulated_robot_have_their_sections() -> None:
    assert [section for file, section in SECTIONS if file.name == 'robot.yaml'] == [
        '/**/encoder', '/**/memory_writer', '/**/retriever', '/**/transition_predictor',
        '/**/simulated_robot']


@each_section
def test_every_key_is_a_declared_parameter(file: Path, section: str) -> None:
    assert written(file, section).keys() <= declared(section).keys()


@each_section
def test_every_value_is_the_declared_default_and_of_its_type(file: Path, section: str) -> None:
    specs = declared(section)
    for name, value in written(file, section).items():
        assert type(value) is type(specs[name].default), name
        assert value == specs[name].default, name
        specs[name].check(value)


@each_section
def test_every_parameter_stands_in_the_file_unless_launch_or_the_environment_sets_it(
        file: Path, section: str) -> None:
    missing = declared(section).keys() - written(file, section).keys()
    assert missing == declared(section).keys() & (SET_BY_LAUNCH | FROM_ENVIRONMENT)


def test_what_the_environment_sets_is_left_to_it() -> None:
    settings = Settings(z_dim=16, action_dim=3, topk=5)
    values = {name: spec.default for section in ('encoder', 'memory_writer', 'retriever')
              for name, spec in declared(section, settings).items()}
    assert [values[name] for name in ('z_dim', 'action_dim', 'k')] == [16, 3, 5]


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)
def test_the_head_names_what_is_left_out_and_every_key_has_a_comment(file: Path) -> None:
    lines = file.read_text().splitlines()
    head = ' '.join(lines[:next(i for i, line in enumerate(lines) if not line)])
    for name in SET_BY_LAUNCH | FROM_ENVIRONMENT | {'Z_DIM', 'ACTION_DIM', 'TOPK'}:
        assert f' {name}' in head, name
    keys = [line for line in lines if line.startswith('    ')]
    assert not [line for line in keys if ' # ' not in line]


@each_section
def test_every_parameter_has_a_description(file: Path, section: str) -> None:
    assert not [spec.name for spec in declared(section).values() if len(spec.description) < 5]
