"""From the arguments of robot.launch.py to what is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spatial_rag_bringup.defaults import default_memory, model_file, name_model, profile_file
from spatial_rag_bringup.launch_arguments import number
from spatial_rag_bringup.nodes_to_start import given, NodeToStart, STACK
from spatial_rag_bringup.parameter_values import choose, ParameterFile
from spatial_rag_bringup.topic_names import (
    full_name,
    reliable_pictures,
    renamings,
    without_transport,
)
from spatial_rag_core.errors import ConfigurationError, SpatialRagError


@dataclass(frozen=True)
class RobotPlan:
    """
    What to start, and what a user should know of it.

    map_frame: that of the memory; empty: nobody names one.
    """

    nodes: tuple[NodeToStart, ...]
    remarks: tuple[str, ...]
    map_frame: str


def plan_robot(values: Mapping[str, str]) -> RobotPlan:
    """values: launch arguments by name; raises ConfigurationError without a parameter file."""
    path = parameter_file(values)
    file = ParameterFile(path, values['namespace'])
    remarks: list[str] = []
    parameters = {'use_sim_time': values['use_sim_time'] == 'true',
                  'autostart': values['autostart'] == 'true', **given(values),
                  **_files(values, file, remarks), **_pictures(values, file)}
    executables: dict[str | None, str] = {
        **({None: 'composed'} if values['composition'] == 'true' else STACK),
        **({'visualizer': 'visualizer_node'} if values['visualizer'] == 'true' else {})}
    return RobotPlan(tuple(
        NodeToStart(executable, name, values['namespace'], str(path),
                    {**parameters, **_ends(values, name)}, tuple(renamings(values)))
        for name, executable in executables.items()), tuple(remarks),
        values['map_frame'] or str(file.value('memory_writer', 'map_frame') or ''))


def plan_simulated_robot(values: Mapping[str, str]) -> NodeToStart:
    """
    values: launch arguments by name.

    It keeps the system's time: there is no /clock in a world that moves as fast as this one.
    """
    chosen: dict[str, Any] = {name: number(values, name, int)
                              for name in ('seed', 'policy_seed') if values[name]}
    if values['policy']:
        chosen['policy'] = values['policy']
    return NodeToStart('simulated_robot_node', 'simulated_robot', values['namespace'],
                       str(parameter_file(values)), chosen, tuple(renamings(values)))


def parameter_file(values: Mapping[str, str]) -> Path:
    """The file that is meant; launch itself would go on without one that is not there."""
    path = (Path(values['params_file']).expanduser() if values['params_file']
            else profile_file(values['profile']))
    if not path.is_file():
        raise ConfigurationError(f'parameter file {path} does not exist; name one with '
                                 'params_file:=…, or leave it out for that of the profile')
    return path


def _ends(values: Mapping[str, str], node: str | None) -> dict[str, Any]:
    """Have launch try a node again that cannot be configured, where it takes no other along."""
    return {'exit_on_failure': True} if values['respawn'] == 'true' and node is not None else {}


def _files(values: Mapping[str, str], file: ParameterFile, remarks: list[str],
           ) -> dict[str, str]:
    """The paths that must be passed; which they are goes into the remarks."""
    viewers = ('visualizer',) if values['visualizer'] == 'true' else ()
    model = choose(values['model_path'], file, ('encoder', 'transition_predictor', *viewers),
                   'model_path', _default_model)
    model_path = Path(model.value).expanduser() if model.value else None
    remarks.append(name_model(model_path) if model_path else 'no model')
    memory = choose(values['memory_path'], file, ('memory_writer', 'retriever', *viewers),
                    'memory_path', lambda: _default_memory(values, model_path, remarks))
    remarks.append(f'memory {memory.value}')
    return {name: choice.value for name, choice in
            (('model_path', model), ('memory_path', memory))
            if choice.value and choice.must_be_passed}


def _default_model() -> str:
    """Empty where none can be made: the nodes refuse, and say why."""
    try:
        return str(model_file())
    except SpatialRagError:
        return ''


def _default_memory(values: Mapping[str, str], model: Path | None, remarks: list[str]) -> str:
    chosen = default_memory(values['place'], values['namespace'], model)
    if chosen.remark:
        remarks.append(chosen.remark)
    return str(chosen.path)


def _pictures(values: Mapping[str, str], file: ParameterFile) -> dict[str, Any]:
    if values['image_reliability'] != 'reliable':
        return {}
    transport = values['image_transport'] or file.value('encoder', 'image_transport')
    topic = full_name(without_transport(values['image_topic']), values['namespace'])
    return reliable_pictures(topic + ('/compressed' if transport == 'compressed' else ''))
