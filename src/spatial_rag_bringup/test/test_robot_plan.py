"""From the arguments of robot.launch.py to nodes, parameters and topics."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from spatial_rag_bringup.launch_arguments import ROBOT, SIM
from spatial_rag_bringup.nodes_to_start import STACK
from spatial_rag_core.errors import ConfigurationError
from spatial_rag_core.models.bundle_metadata import read_metadata

import pytest

from .launch_values import values_of
from .memory_samples import remember

robot_plan = pytest.importorskip('spatial_rag_bringup.robot_plan',
                                 reason='ament_index_python is absent')


@pytest.fixture
def home(shipped: Path, tmp_path: Path) -> Path:
    """Where memories are kept; no bundle ships."""
    return tmp_path / 'ros_home' / 'spatial_rag'


def plan(**given: str) -> Any:
    return robot_plan.plan_robot(values_of(ROBOT, **given))


def parameters(**given: str) -> dict[str, Any]:
    """What all nodes are given beside the file, apart from what is always there."""
    (first, *others) = plan(**given).nodes
    assert all(node.parameters == first.parameters for node in others)
    return {name: value for name, value in first.parameters.items()
            if name not in ('use_sim_time', 'autostart')}


def test_where_nothing_is_named_an_untrained_model_and_the_memory_of_the_home_are_taken(
        home: Path) -> None:
    given = parameters()
    assert given.keys() == {'model_path', 'memory_path'}
    assert Path(given['model_path']).parent == home
    assert given['memory_path'] == str(home / 'memory.db')
    assert any('UNTRAINED' in remark for remark in plan().remarks)


def test_the_model_that_ships_is_taken(home: Path, shipped: Path, bundle_path: Path) -> None:
    shipped.parent.mkdir()
    shipped.write_bytes(bundle_path.read_bytes())
    assert parameters()['model_path'] == str(shipped)


@pytest.mark.parametrize(('given', 'ends'), [
    ({}, set()), ({'respawn': 'true'}, {*STACK, 'visualizer'}),
    ({'respawn': 'true', 'composition': 'true'}, {'visualizer'})])
def test_a_node_that_cannot_be_configured_ends_where_it_is_started_again_and_harms_no_other(
        home: Path, given: dict[str, str], ends: set[str]) -> None:
    assert {node.name for node in plan(**given, visualizer='true').nodes
            if node.parameters.get('exit_on_failure')} == ends


def test_each_namespace_and_each_place_has_a_memory_of_its_own(
        home: Path, bundle_path: Path) -> None:
    def memory(**given: str) -> str:
        return str(parameters(model_path=str(bundle_path), **given)['memory_path'])
    assert memory(namespace='robot1') == str(home / 'robot1' / 'memory.db')
    assert memory(namespace='/fleet/robot2/') == str(home / 'fleet' / 'robot2' / 'memory.db')
    assert memory(place='hall') == str(home / 'memory-hall.db')


def test_a_memory_beside_it_is_taken_where_the_default_one_is_another_models(
        home: Path, bundle_path: Path) -> None:
    memory = home / 'memory.db'
    remember(memory, 'older-model')
    given = {'model_path': str(bundle_path)}
    model_id = read_metadata(bundle_path).model_id
    assert parameters(**given)['memory_path'] == str(home / f'memory-{model_id}.db')
    assert any(f'{memory} holds memories of model older-model' in remark
               for remark in plan(**given).remarks)


def test_arguments_win_over_the_parameter_file_and_the_file_over_the_defaults(
        home: Path, tmp_path: Path, bundle_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('/**:\n  ros__parameters: {model_path: theirs.pt, memory_path: theirs.db}')
    assert parameters(params_file=str(file)) == {}
    assert plan(params_file=str(file)).remarks == ('model theirs.pt', 'memory theirs.db')
    assert parameters(params_file=str(file), memory_path='m.db') == {'memory_path': 'm.db'}
    named = {'model_path': str(bundle_path), 'memory_path': 'm.db'}
    assert parameters(**named) == named


def test_a_model_that_cannot_be_read_or_made_is_left_to_the_nodes_to_refuse(
        home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'bad.pt').write_text('no bundle')
    for name in ('bad.pt', 'absent.pt'):
        assert plan(model_path=f'{tmp_path}/{name}').remarks[0] == f'model {tmp_path}/{name}'
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'bad.pt'))
    assert plan().remarks[0] == 'no model'


def test_a_profile_chooses_the_parameter_file_and_a_file_outdoes_it(
        home: Path, tmp_path: Path) -> None:
    for profile in ('cpu', 'jetson', 'sim'):
        assert {Path(node.file).name for node in plan(profile=profile).nodes} == {
            f'{profile}.yaml'}
    mine = tmp_path / 'mine.yaml'
    mine.write_text('{}')
    assert plan(profile='sim', params_file=str(mine)).nodes[0].file == str(mine)


def test_a_parameter_file_that_is_not_there_is_refused(home: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r'no\.yaml does not exist; name one with'):
        plan(params_file=str(tmp_path / 'no.yaml'))


def test_what_sources_are_named_all_nodes_are_told_and_nothing_else(
        home: Path, bundle_path: Path) -> None:
    paths = {'model_path': str(bundle_path), 'memory_path': 'm.db'}
    sources = {'pose_source': 'tf', 'map_frame': 'world', 'base_frame': 'base_footprint',
               'action_source': 'twist', 'image_transport': 'compressed'}
    assert parameters(**paths, **sources) == {**paths, **sources}


def test_topics_of_other_names_are_renamed_and_those_of_the_contract_are_not(home: Path) -> None:
    assert plan().nodes[0].renamings == ()
    found = dict(plan(image_topic='/front/image', odom_topic='odometry/filtered',
                      tf_topic='/tf').nodes[0].renamings)
    assert found == {'camera/image_raw': '/front/image',
                     'camera/image_raw/compressed': '/front/image/compressed',
                     'camera/image_raw/compressedDepth': '/front/image/compressedDepth',
                     'odom': 'odometry/filtered', 'tf': '/tf'}


def test_robots_in_namespaces_share_no_transforms_unless_that_is_asked_for(home: Path) -> None:
    assert plan(namespace='robot1', pose_source='tf').nodes[0].renamings == ()
    shared = plan(namespace='robot1', pose_source='tf', base_frame='robot1/base_link',
                  tf_topic='/tf', tf_static_topic='/tf_static').nodes[0]
    assert shared.renamings == (('tf', '/tf'), ('tf_static', '/tf_static'))


def test_the_compressed_topic_may_be_named_too(home: Path) -> None:
    found = dict(plan(image_topic='/front/image/compressed').nodes[0].renamings)
    assert found['camera/image_raw/compressed'] == '/front/image/compressed'


@pytest.mark.parametrize(('given', 'topic'), [
    ({}, '/camera/image_raw'),
    ({'namespace': 'robot1'}, '/robot1/camera/image_raw'),
    ({'namespace': 'robot1', 'image_topic': '/front'}, '/front'),
    ({'image_transport': 'compressed'}, '/camera/image_raw/compressed')])
def test_reliable_pictures_are_asked_for_under_the_name_that_they_have_here(
        home: Path, given: dict[str, str], topic: str) -> None:
    found = parameters(image_reliability='reliable', **given)['qos_overrides']
    assert found == {topic: {'subscription': {'reliability': 'reliable', 'depth': 30}}}


def test_a_seed_that_is_no_number_is_refused(home: Path) -> None:
    values = values_of(ROBOT) | values_of(SIM, seed='first')
    with pytest.raises(ConfigurationError, match="seed must be a whole number, got 'first'"):
        robot_plan.plan_simulated_robot(values)
