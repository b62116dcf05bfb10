"""What RViz is told to show, and how it is started."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
import re
import sys
from typing import Any

import pytest
import yaml

from . import launch_shim

PACKAGE = Path(__file__).parents[1]
CONFIG = PACKAGE / 'rviz' / 'spatial_rag.rviz'
CLASSES = {
    'rviz_common/Displays', 'rviz_common/Views',
    *(f'rviz_default_plugins/{name}' for name in (
        'Grid', 'Image', 'MarkerArray', 'Path', 'Pose', 'FocusCamera', 'Interact', 'Measure',
        'MoveCamera', 'Select', 'TF', 'Orbit', 'TopDownOrtho'))}
"""Those of these that rviz_common and rviz_default_plugins of Jazzy and Kilted have."""
TYPES = {'MarkerArray': 'visualization_msgs/msg/MarkerArray', 'Path': 'nav_msgs/msg/Path',
         'Pose': 'geometry_msgs/msg/PoseStamped', 'Image': 'sensor_msgs/msg/Image'}


@pytest.fixture(scope='module')
def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(CONFIG.read_text())
    return found


def displays(config: dict[str, Any]) -> list[dict[str, Any]]:
    return list(config['Visualization Manager']['Displays'])


def every(value: Any, name: str) -> Iterator[Any]:
    """Values of a key, wherever it stands."""
    if isinstance(value, dict):
        for key, child in value.items():
            if key == name:
                yield child
            yield from every(child, name)
    if isinstance(value, list):
        for child in value:
            yield from every(child, name)


def test_every_class_is_one_of_rviz(config: dict[str, Any]) -> None:
    assert set(every(config, 'Class')) - {''} <= CLASSES


def test_the_map_is_fixed_and_everything_is_shown(config: dict[str, Any]) -> None:
    assert config['Visualization Manager']['Global Options']['Fixed Frame'] == 'map'
    shown = [display['Class'].partition('/')[2] for display in displays(config)]
    assert sorted(shown) == ['Grid', *['Image'] * 4, 'MarkerArray', 'Path', 'Pose']
    assert all(display['Enabled'] and display['Value'] for display in displays(config))
    assert len({display['Name'] for display in displays(config)}) == len(shown)


def test_each_picture_has_its_place_in_the_window(config: dict[str, Any]) -> None:
    """Qt keeps the names of the docks in UTF-16; a dock that it does not know floats."""
    layout = bytes.fromhex(config['Window Geometry']['QMainWindow State'])
    for display in displays(config):
        if display['Class'].endswith('/Image'):
            assert display['Name'].encode('utf-16-be') in layout


def test_the_names_of_the_markers_are_those_that_are_published(config: dict[str, Any]) -> None:
    import spatial_rag_nodes
    text = ''.join((Path(spatial_rag_nodes.__path__[0]) / f'{module}.py').read_text()
                   for module in ('memory_markers', 'moment_publisher'))
    (names,) = every(config, 'Namespaces')
    assert all(names.values())
    for name in names:
        assert re.search(f"'{name}'", text), name


@pytest.mark.ros
def test_every_topic_is_published_by_a_node_in_its_type(
        lab: Any, config: dict[str, Any], tmp_path: Path) -> None:
    """Relative names, so that RViz finds them in the namespace that it is started in."""
    for name in ('visualizer_node', 'simulated_robot_node'):
        lab.start_node(name, '-r', '__ns:=/robot1')
    wanted = {display['Topic']['Value']: TYPES[display['Class'].partition('/')[2]]
              for display in displays(config) if 'Topic' in display}
    assert len(wanted) == 7
    node = lab.probe.node

    def types_of(topic: str) -> set[str]:
        return {one.topic_type for one in node.get_publishers_info_by_topic(f'/robot1/{topic}')}
    lab.probe.until(lambda: all(types_of(topic) == {kind} for topic, kind in wanted.items()),
                    message=lambda: str({topic: types_of(topic) for topic in wanted}))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """started(name=value…) → the node that the launch file starts."""
    pytest.importorskip('ament_index_python.packages')
    launch_shim.install(monkeypatch)

    def start(**given: str) -> Any:
        context = launch_shim.Context(dict(given))
        launch_shim.visit_all(
            launch_shim.description_of(PACKAGE / 'launch' / 'rviz.launch.py'), context)
        sys.modules.pop('spatial_rag_bringup.launch_actions', None)
        (node,) = context.started
        return node
    return start


def test_rviz_is_started_in_the_namespace_and_with_the_time_of_the_robot(
        started: Callable[..., Any]) -> None:
    node = started(namespace='robot1', use_sim_time='true', pose_topic='amcl_pose')
    assert (node.package, node.executable, node.namespace) == ('rviz2', 'rviz2', 'robot1')
    assert node.parameters == [{'use_sim_time': True}]
    assert node.remappings == [('pose', 'amcl_pose'), ('/tf', 'tf'), ('/tf_static', 'tf_static')]


def test_rviz_shows_the_file_that_is_installed_or_another(started: Callable[..., Any]) -> None:
    option, file, frame_option, frame = started().arguments
    assert (option, frame_option, frame) == ('-d', '-f', 'map')
    assert Path(file).read_text() == CONFIG.read_text()
    assert started(rviz_config='mine.rviz', map_frame='world').arguments == [
        '-d', 'mine.rviz', '-f', 'world']
