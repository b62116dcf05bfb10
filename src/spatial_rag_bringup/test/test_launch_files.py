"""Launch files: read where launch is not installed, run where it is."""

import ast
from importlib.metadata import entry_points
from pathlib import Path
import runpy
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

from spatial_rag_core.models.bundle_metadata import read_metadata

import pytest

from .memory_samples import remember

FILES = sorted((Path(__file__).parents[1] / 'launch').glob('*.launch.py'))
ARGUMENTS = {'namespace', 'use_sim_time', 'params_file', 'model_path', 'composition',
             'log_level', 'respawn'}
READERS = {'LaunchConfiguration': 0, '_value': 1}
"""What reads an argument, and at which position its name stands."""

each_file = pytest.mark.parametrize('file', FILES, ids=lambda file: file.name)


def calls(file: Path) -> list[tuple[str, ast.Call]]:
    """Name of the function and the call, everywhere in the file."""
    tree = ast.parse(file.read_text(), file.name)
    return [(node.func.id, node) for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]


def keywords(call: ast.Call) -> dict[str, ast.expr]:
    return {keyword.arg or '**': keyword.value for keyword in call.keywords}


def declarations(file: Path) -> dict[str, dict[str, ast.expr]]:
    """Name of each declared argument → the keywords of its declaration."""
    found = {}
    for name, call in calls(file):
        if name == 'DeclareLaunchArgument':
            assert isinstance(call.args[0], ast.Constant)
            assert call.args[0].value not in found, f'{call.args[0].value} is declared twice'
            found[call.args[0].value] = keywords(call)
    return found


def used(file: Path) -> set[str]:
    """Names of the arguments that are read."""
    return {argument.value for name, call in calls(file) if name in READERS
            for argument in call.args[READERS[name]:READERS[name] + 1]
            if isinstance(argument, ast.Constant)}


def node_executables(file: Path) -> set[str]:
    """Every word in the file that is the name of an executable: …_node, or composed."""
    words = {node.value for node in ast.walk(ast.parse(file.read_text()))
             if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    return {word for word in words if word.endswith('_node')} | (words & {'composed'})


def test_there_is_a_launch_file() -> None:
    assert 'robot.launch.py' in [file.name for file in FILES]


@each_file
def test_every_executable_is_installed(file: Path) -> None:
    packages = pytest.importorskip('ament_index_python.packages')
    for name, call in calls(file):
        if name == 'Node':
            package = keywords(call)['package']
            assert isinstance(package, ast.Constant)
            folder = Path(packages.get_package_prefix(package.value)) / 'lib' / package.value
            for executable in node_executables(file):
                assert (folder / executable).is_file(), f'{package.value} has no {executable}'
    assert node_executables(file) <= entry_points(group='console_scripts').names


@each_file
def test_exactly_the_four_nodes_and_the_composed_process_are_started(file: Path) -> None:
    assert node_executables(file) == {'encoder_node', 'memory_writer_node', 'retriever_node',
                                      'transition_predictor_node', 'composed'}


@each_file
def test_every_argument_of_the_contract_is_declared(file: Path) -> None:
    assert declarations(file).keys() >= ARGUMENTS


@each_file
def test_every_declared_argument_is_used_and_every_used_one_declared(file: Path) -> None:
    assert used(file) == declarations(file).keys()


@each_file
def test_every_argument_has_a_description_and_a_default(file: Path) -> None:
    for name, words in declarations(file).items():
        assert 'default_value' in words, name
        text = ''.join(part.value for part in ast.walk(words['description'])
                       if isinstance(part, ast.Constant))
        assert len(text) > 10, name


@each_file
def test_a_yes_or_no_argument_takes_only_true_and_false(file: Path) -> None:
    for name, words in declarations(file).items():
        default = words['default_value']
        if isinstance(default, ast.Constant) and default.value in ('true', 'false'):
            assert ast.literal_eval(words['choices']) == ['true', 'false'], name


def test_the_default_parameter_file_is_installed() -> None:
    pytest.importorskip('ament_index_python.packages')
    from spatial_rag_bringup.defaults import parameter_file
    assert parameter_file().is_file()
    source = Path(__file__).parents[1] / 'config' / parameter_file().name
    assert parameter_file().read_text() == source.read_text()


def test_the_launch_file_starts_what_the_runner_starts() -> None:
    pytest.importorskip('ament_index_python.packages')
    from spatial_rag_bringup.run_plan import EXECUTABLES
    tree = ast.parse(next(file for file in FILES if file.name == 'robot.launch.py').read_text())
    nodes = next(ast.literal_eval(node.value) for node in ast.walk(tree)
                 if isinstance(node, ast.Assign) and node.targets[0].id == 'NODES')
    assert nodes == EXECUTABLES


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch, shipped: Path) -> Any:
    """
    Gives started(name=value…) → what the launch file says, and the paths that it gives the nodes.

    No bundle ships, unless the test puts one at `shipped`.
    """
    def record(*args: Any, **kwargs: Any) -> SimpleNamespace:
        return SimpleNamespace(args=args, **kwargs)

    class Configuration:
        def __init__(self, name: str) -> None:
            self.name = name

        def perform(self, context: dict[str, str]) -> str:
            return context[self.name]
    for module, names in {
            'launch': ['LaunchContext', 'LaunchDescription', 'LaunchDescriptionEntity'],
            'launch.actions': ['DeclareLaunchArgument', 'LogInfo', 'OpaqueFunction'],
            'launch.substitutions': ['LaunchConfiguration'], 'launch_ros': [],
            'launch_ros.actions': ['Node'],
            'launch_ros.parameter_descriptions': ['ParameterValue']}.items():
        stub = ModuleType(module)
        for name in names:
            setattr(stub, name, Configuration if name == 'LaunchConfiguration' else record)
        monkeypatch.setitem(sys.modules, module, stub)

    def start(**given: str) -> tuple[str, list[dict[str, str]]]:
        launch_file = runpy.run_path(str(FILES[0]))
        description = launch_file['generate_launch_description']().args[0]
        context = {argument.args[0]: argument.default_value for argument in description
                   if argument.args} | given
        remark, *nodes = launch_file['_nodes'](context)
        paths = [{name: value.args[0] for name, value in node.parameters[1].items()
                  if name.endswith('_path')} for node in nodes]
        return remark.msg, paths
    return start


def test_launch_passes_an_untrained_model_and_no_memory_where_nothing_is_named(
        started: Any, tmp_path: Path) -> None:
    remark, paths = started()
    assert 'UNTRAINED' in remark
    assert len(paths) == 4
    for given in paths:
        assert given.keys() == {'model_path'}
        assert Path(given['model_path']).parent == tmp_path / 'ros_home' / 'spatial_rag'


def test_launch_passes_the_model_that_ships(
        started: Any, shipped: Path, bundle_path: Path) -> None:
    shipped.parent.mkdir()
    shipped.write_bytes(bundle_path.read_bytes())
    assert started()[1] == [{'model_path': str(shipped)}] * 4


def test_launch_passes_a_memory_of_its_own_where_the_default_one_is_another_models(
        started: Any, tmp_path: Path, bundle_path: Path) -> None:
    memory = tmp_path / 'ros_home' / 'spatial_rag' / 'memory.db'
    remember(memory, 'older-model')
    remark, paths = started(model_path=str(bundle_path))
    assert f'{memory} holds memories of model older-model' in remark
    model_id = read_metadata(bundle_path).model_id
    assert paths == [{'model_path': str(bundle_path),
                      'memory_path': str(memory.with_name(f'memory-{model_id}.db'))}] * 4


def test_launch_passes_what_its_arguments_name(started: Any, bundle_path: Path) -> None:
    given = {'model_path': str(bundle_path), 'memory_path': 'm.db'}
    assert started(**given, composition='true')[1] == [given]


def test_launch_leaves_to_the_parameter_file_what_it_names(started: Any, tmp_path: Path) -> None:
    file = tmp_path / 'mine.yaml'
    file.write_text('/**:\n  ros__parameters: {model_path: theirs.pt, memory_path: theirs.db}')
    assert started(params_file=str(file)) == ('model theirs.pt', [{}] * 4)
    assert started(params_file=str(file), memory_path='m.db')[1] == [{'memory_path': 'm.db'}] * 4


def test_a_model_that_cannot_be_read_or_made_is_left_to_the_nodes_to_refuse(
        started: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / 'bad.pt').write_text('no bundle')
    for name in ('bad.pt', 'absent.pt'):
        assert started(model_path=f'{tmp_path}/{name}')[0] == f'model {tmp_path}/{name}'
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'bad.pt'))
    assert started() == ('no model', [{}] * 4)


@pytest.mark.ros
@pytest.mark.stack
def test_the_launch_file_brings_up_the_four_nodes_for_real(lab, bundle_path, tmp_path) -> None:
    pytest.importorskip('launch_ros', reason='launch_ros is absent: it comes with ROS, not with '
                                             "PyPI's wheels")
    import signal
    process = lab.start('ros2', 'launch', str(FILES[0]), f'model_path:={bundle_path}',
                        f'memory_path:={tmp_path / "memory.db"}', 'namespace:=robot1')
    lab.diagnostics.wait_ready(*(f'robot1/{node}' for node in (
        'encoder', 'memory_writer', 'retriever', 'transition_predictor')))
    nodes = dict(lab.probe.node.get_node_names_and_namespaces())
    assert nodes['encoder'] == '/robot1'
    process.signal(signal.SIGINT)
    assert process.wait() == 0
    assert 'Traceback' not in process.output
