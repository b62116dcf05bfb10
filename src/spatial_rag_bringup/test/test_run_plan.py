"""From what is asked to commands and parameters."""

from itertools import pairwise
from pathlib import Path
from typing import Any

from spatial_rag_core.errors import BagError

import pytest
import yaml

run_plan = pytest.importorskip('spatial_rag_bringup.run_plan',
                               reason='ament_index_python is absent')
from spatial_rag_bringup.run_options import parse  # noqa: E402

from .bag_samples import (  # noqa: E402
    ACTIONS,
    CONTRACT,
    IMAGE,
    ODOMETRY,
    POSE,
    TWIST,
    write_bag,
)
from .memory_samples import remember  # noqa: E402

NODES = ['encoder', 'memory_writer', 'retriever', 'transition_predictor']


def plan_of(tmp_path: Path, *words: object) -> Any:
    return run_plan.make_plan(parse(['--model', 'model.pt', *map(str, words)]), tmp_path)


def overrides(tmp_path: Path) -> dict[str, dict[str, Any]]:
    content = yaml.safe_load((tmp_path / 'overrides.yaml').read_text())
    return {name.rpartition('/')[2]: values['ros__parameters']
            for name, values in content.items()}


def renamings(command: list[str]) -> set[str]:
    return {after for before, after in pairwise(command)
            if before == '-r' and not after.startswith('__')}


def parameter(command: list[str], name: str) -> str:
    return next(word.partition(':=')[2] for word in command if word.startswith(f'{name}:='))


def test_the_simulated_robot_runs_with_four_nodes(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, '--memory', 'm.db')
    assert list(plan.nodes) == NODES
    name, command = plan.source
    assert (name, Path(command[0]).name) == ('simulated_robot', 'simulated_robot_node')
    assert command[-2:] == plan.nodes['encoder'][-4:-2]  # the parameter file
    assert (plan.compressed, plan.ends_itself) == (False, False)
    values = overrides(tmp_path)
    assert values['encoder']['model_path'] == 'model.pt'
    assert values['transition_predictor']['model_path'] == 'model.pt'
    assert values['memory_writer'] == values['retriever'] == {
        'exit_on_failure': True, 'memory_path': 'm.db'}


def test_every_command_is_an_installed_program(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', CONTRACT)
    for words in ([], ['--composition', 'true'], ['--bag', bag]):
        plan = plan_of(tmp_path, *words)
        for command in (*plan.nodes.values(), plan.source[1]):
            assert Path(command[0]).is_file()


def test_composed_is_one_process(tmp_path: Path) -> None:
    assert list(plan_of(tmp_path, '--composition', 'true').nodes) == ['composed']


def test_a_namespace_is_given_to_all(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, '--namespace', 'fleet/robot1/')
    for command in (*plan.nodes.values(), plan.source[1]):
        assert '__ns:=/fleet/robot1' in command


def test_a_bag_with_the_names_of_the_contract_is_not_renamed(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, '--bag', write_bag(tmp_path / 'bag', CONTRACT))
    assert renamings(plan.source[1]) == set()
    assert plan.source_topics == ['camera/image_raw/compressed', 'pose']
    assert plan.compressed
    assert plan.ends_itself
    values = overrides(tmp_path)
    assert values['encoder']['image_transport'] == 'compressed'
    for name in ('memory_writer', 'transition_predictor'):
        assert values[name]['action_source'] == 'motion'
        assert values[name]['map_frame'] == 'world'
    assert values['retriever']['pose_source'] == 'pose'


def test_a_bag_with_other_names_is_understood_by_its_types(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [
        ('/front/image_raw', IMAGE), ('/wheels', ODOMETRY), ('/drive', TWIST)], frame='odom')
    plan = plan_of(tmp_path, '--bag', bag)
    assert renamings(plan.source[1]) == {
        'front/image_raw:=camera/image_raw', 'wheels:=odom', 'drive:=cmd_vel'}
    assert plan.source_topics == ['cmd_vel', 'camera/image_raw', 'odom']
    assert not plan.compressed
    values = overrides(tmp_path)
    assert values['memory_writer']['pose_source'] == 'odometry'
    assert values['memory_writer']['action_source'] == 'twist'
    assert values['memory_writer']['map_frame'] == 'odom'


def test_where_several_topics_could_be_meant_remap_chooses(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [
        ('/left/image_raw', IMAGE), ('/right/image_raw', IMAGE), ('/pose', POSE)])
    with pytest.raises(BagError, match='REMAP'):
        plan_of(tmp_path, '--bag', bag)
    plan = plan_of(tmp_path, '--bag', bag, '--remap', '/right/image_raw:=/camera/image_raw')
    assert renamings(plan.source[1]) == {'right/image_raw:=camera/image_raw'}
    assert 'left/image_raw' in plan.source_topics


def test_remap_of_a_topic_that_is_not_there_is_refused(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', CONTRACT)
    with pytest.raises(BagError, match=r"REMAP names '/poze'.*it has .*/pose"):
        plan_of(tmp_path, '--bag', bag, '--remap', '/poze:=/pose')


def test_recorded_actions_are_used(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [*CONTRACT, ('/actions', ACTIONS)])
    plan_of(tmp_path, '--bag', bag)
    assert overrides(tmp_path)['memory_writer']['action_source'] == 'topic'


def test_the_axes_of_the_pose_reach_those_who_derive_actions(tmp_path: Path) -> None:
    plan_of(tmp_path, '--bag', write_bag(tmp_path / 'bag', CONTRACT), '--axes', 'optical')
    values = overrides(tmp_path)
    assert [name for name in NODES if values[name].get('pose_axes') == 'optical'] == [
        'memory_writer', 'transition_predictor']


def test_a_bag_without_poses_is_refused(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', CONTRACT[:1])
    with pytest.raises(BagError, match=r'no pose .* record one too'):
        plan_of(tmp_path, '--bag', bag)


@pytest.mark.parametrize(('words', 'limit', 'remark'), [
    ([], 0.0, ''), (['--duration', '4'], 4.0, ''), (['--duration', '9'], 9.0, ''),
    (['--duration', '9.5'], 0.0, 'the recording ends 0.50 s after DURATION'),
    (['--duration', '20'], 0.0, ''), (['--duration', '4', '--rate', '2'], 8.0, ''),
    (['--duration', '4', '--loop', 'true'], 0.0, '')])
def test_duration_cuts_a_recording_unless_less_than_a_second_would_be_left(
        tmp_path: Path, words: list[str], limit: float, remark: str) -> None:
    plan = plan_of(tmp_path, '--bag', write_bag(tmp_path / 'bag', CONTRACT), *words)
    assert float(parameter(plan.source[1], 'duration_sec')) == limit
    cut = [line for line in plan.remarks if 'after DURATION' in line]
    assert len(cut) == bool(remark)
    assert remark in ''.join(cut)
    assert plan.ends_itself == ('--loop' not in words)


@pytest.mark.parametrize('name', ['2024', 'true', 'a: b', 'with space', "it's", 'wörter', '~'])
def test_any_name_of_a_recording_reaches_the_node_as_it_is(tmp_path: Path, name: str) -> None:
    plan = plan_of(tmp_path, '--bag', write_bag(tmp_path / name, CONTRACT))
    assert yaml.safe_load(parameter(plan.source[1], 'path')) == str(tmp_path / name)


@pytest.mark.ros
def test_ros_reads_an_odd_name_as_we_write_it(lab: Any, tmp_path: Path,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ('2024', "it's: a wörd"):
        write_bag(tmp_path / name, [('/pose', POSE)], 0.01)
        word = run_plan._quoted(Path(name))
        process = lab.start_node('bag_replay_node', subscriber_wait_sec=0.0, path=word)
        assert process.wait() == 0, process.output
        assert 'played 2 messages' in process.output


def test_each_place_has_its_own_memory_file_unless_one_is_named(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'home'))
    bag = write_bag(tmp_path / 'kitchen', CONTRACT)
    paths = []
    for words in ([], ['--bag', bag], ['--memory', tmp_path / 'mine.db']):
        plan = plan_of(tmp_path, *words)
        paths.append(overrides(tmp_path)['retriever']['memory_path'])
        assert f'memory {paths[-1]}' in plan.remarks
    assert [Path(path).name for path in paths] == ['memory-sim.db', 'memory-kitchen.db', 'mine.db']


@pytest.mark.parametrize('name', ['run.1', 'run.2', 'run'])
def test_the_memory_file_of_a_folder_bears_its_whole_name(tmp_path: Path, name: str) -> None:
    plan = plan_of(tmp_path, '--bag', write_bag(tmp_path / name, CONTRACT))
    assert plan.remarks[0].endswith(f'/memory-{name}.db')


def test_the_memory_file_of_a_recorded_file_leaves_out_its_ending(tmp_path: Path) -> None:
    file = next(write_bag(tmp_path / 'bag', CONTRACT).glob('*.mcap'))
    assert plan_of(tmp_path, '--bag', file).remarks[0].endswith(f'/memory-{file.stem}.db')


def parameters(tmp_path: Path, text: str) -> Path:
    path = tmp_path / 'mine.yaml'
    path.write_text(text)
    return path


NAMED = """
/**:
  ros__parameters: {model_path: theirs.pt, memory_path: theirs.db}
"""


def test_what_the_parameter_file_names_is_left_to_it(tmp_path: Path) -> None:
    plan = run_plan.make_plan(
        parse(['--params', str(parameters(tmp_path, NAMED))]), tmp_path)
    assert plan.model == Path('theirs.pt')
    assert plan.remarks[0] == 'memory theirs.db'
    assert not any({'model_path', 'memory_path'} & values.keys()
                   for values in overrides(tmp_path).values())


def test_an_argument_outdoes_the_parameter_file(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, '--params', parameters(tmp_path, NAMED), '--memory', 'mine.db')
    assert (str(plan.model), plan.remarks[0]) == ('model.pt', 'memory mine.db')
    assert overrides(tmp_path)['encoder']['model_path'] == 'model.pt'
    assert overrides(tmp_path)['retriever']['memory_path'] == 'mine.db'


def test_the_parameter_file_outdoes_the_environment(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('WM_CHECKPOINT_PATH', 'environment.pt')
    plan = run_plan.make_plan(
        parse(['--params', str(parameters(tmp_path, NAMED))]), tmp_path)
    assert plan.model == Path('theirs.pt')
    plan = run_plan.make_plan(parse([]), tmp_path)
    assert plan.model == Path('environment.pt')


def test_a_recording_played_slowly_is_waited_for_as_long(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', CONTRACT)

    def waits(*words: str) -> tuple[float | None, ...]:
        plan_of(tmp_path, '--bag', bag, *words)
        values = overrides(tmp_path)
        return (values['memory_writer'].get('pose_wait_sec'),
                values['memory_writer'].get('action_timeout_sec'),
                values['transition_predictor'].get('action_timeout_sec'))
    assert waits() == waits('--rate', '2') == (None, None, None)
    assert waits('--rate', '0.25') == (0.8, 4.0, 4.0)
    assert waits('--rate', '0.01') == (10.0, 100.0, 100.0)
    own = parameters(tmp_path, '/**/memory_writer:\n'
                               '  ros__parameters: {pose_wait_sec: 0.5, action_timeout_sec: 60.0}')
    assert waits('--rate', '0.01', '--params', str(own)) == (10.0, 3600.0, 100.0)
    assert waits('--rate', '0.1', '--params', str(own)) == (5.0, 600.0, 10.0)


def test_recorded_topics_of_the_stack_itself_are_not_played(tmp_path: Path) -> None:
    bag = write_bag(tmp_path / 'bag', [*CONTRACT, ('/spatial_rag/pose', POSE), ('/clock', POSE),
                                       ('/latent_next', ACTIONS), ('/diagnostics', POSE)])
    assert plan_of(tmp_path, '--bag', bag).source_topics == ['camera/image_raw/compressed', 'pose']


def test_where_none_is_named_the_memory_goes_with_the_model(
        tmp_path: Path, shipped: Path, bundle_path: Path) -> None:
    first = run_plan.make_plan(parse(['--model', str(bundle_path)]), tmp_path)
    home = tmp_path / 'ros_home' / 'spatial_rag'
    remember(home / 'memory-sim.db', 'older-model')
    second = run_plan.make_plan(parse(['--model', str(bundle_path)]), tmp_path)
    assert first.remarks == [f'memory {home}/memory-sim.db']
    assert second.remarks[0].startswith(f'memory {home}/memory-sim-')
    assert 'memory reencode' in second.remarks[1]
    assert overrides(tmp_path)['memory_writer']['memory_path'] in second.remarks[0]


def test_a_memory_that_is_named_is_left_to_the_nodes(
        tmp_path: Path, bundle_path: Path) -> None:
    remember(tmp_path / 'mine.db', 'older-model')
    plan = run_plan.make_plan(
        parse(['--model', str(bundle_path), '--memory', str(tmp_path / 'mine.db')]), tmp_path)
    assert plan.remarks == [f'memory {tmp_path}/mine.db']
