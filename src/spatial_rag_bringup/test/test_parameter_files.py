"""config/*.yaml against what the nodes declare."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from spatial_rag_bringup.profiles import PROFILES, TITLES
from spatial_rag_core.settings import Settings

import pytest
import yaml

profile_files = pytest.importorskip('spatial_rag_bringup.profile_files',
                                    reason='rclpy is absent: no ROS and no wheels of it')

FOLDER = Path(__file__).parents[1] / 'config'
LEFT_OUT = {*profile_files.SET_BY_LAUNCH, *profile_files.FROM_ENVIRONMENT}

each_profile = pytest.mark.parametrize('profile', PROFILES)
each_node = pytest.mark.parametrize('node', profile_files.NODES)


def declared(node: str, settings: Settings | None = None) -> dict[str, Any]:
    """Name → Parameter."""
    return {spec.name: spec for spec in profile_files.declared(node, settings or Settings())}


def written(profile: str) -> Iterator[tuple[str, str, Any]]:
    """(node, parameter, value) of each that stands in the file."""
    for section, content in yaml.safe_load((FOLDER / f'{profile}.yaml').read_text()).items():
        assert section.startswith('/**/')
        assert list(content) == ['ros__parameters']
        for name, value in content['ros__parameters'].items():
            yield section.removeprefix('/**/'), name, value


def test_there_is_one_file_for_each_profile() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == PROFILES.keys() == TITLES.keys()


@each_profile
def test_a_file_is_what_the_declarations_and_its_profile_make_it(profile: str) -> None:
    assert (FOLDER / f'{profile}.yaml').read_text() == profile_files.text_of(profile), (
        f'a parameter has changed; python -m spatial_rag_bringup.profile_files {FOLDER}')


@each_profile
def test_every_parameter_of_every_node_stands_in_it_unless_launch_or_the_environment_sets_it(
        profile: str) -> None:
    found = {(node, name) for node, name, _ in written(profile)}
    wanted = {(node, name) for node in profile_files.NODES for name in declared(node)}
    assert found <= wanted
    assert {name for _, name in wanted - found} <= LEFT_OUT


@each_profile
def test_every_value_is_the_default_or_the_profiles_and_one_that_the_node_takes(
        profile: str) -> None:
    settings = PROFILES[profile]
    for node, name, value in written(profile):
        spec = declared(node)[name]
        expected = settings[node, name].value if (node, name) in settings else spec.default
        assert value == expected, (node, name)
        assert type(value) is type(spec.default), (node, name)
        spec.check(value)


@each_profile
def test_every_setting_of_a_profile_is_another_than_the_default(profile: str) -> None:
    for (node, name), setting in PROFILES[profile].items():
        assert setting.value != declared(node)[name].default
        assert len(setting.reason) > 10


@each_profile
def test_the_lines_are_no_longer_than_code(profile: str) -> None:
    assert max(map(len, (FOLDER / f'{profile}.yaml').read_text().splitlines())) <= 99


def test_an_entry_tells_meaning_unit_range_default_and_the_profiles_reason() -> None:
    text = (FOLDER / 'jetson.yaml').read_text()
    assert ('    # A frame needs a pose at most this far away in time [s] (0 to 10; default 0.1)\n'
            '    pose_tolerance_sec: 0.1\n') in text
    assert '; default auto)\n    # Here otherwise: ' in text
    assert '    # z_dim: 32\n' in text


@each_profile
def test_the_file_is_installed(profile: str) -> None:
    from spatial_rag_bringup.defaults import profile_file
    assert profile_file(profile).read_text() == (FOLDER / f'{profile}.yaml').read_text()


def test_what_the_environment_sets_is_left_to_it() -> None:
    settings = Settings(z_dim=16, action_dim=3, topk=5, image_size=96)
    values = {name: spec.default
              for node in ('encoder', 'memory_writer', 'retriever', 'episode_recorder')
              for name, spec in declared(node, settings).items()}
    assert [values[name] for name in profile_files.FROM_ENVIRONMENT] == [16, 3, 5, 96]


@each_node
def test_every_parameter_has_a_description(node: str) -> None:
    assert not [spec.name for spec in declared(node).values() if len(spec.description) < 5]
