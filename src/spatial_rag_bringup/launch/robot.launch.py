"""Encoder, memory writer, retriever and transition predictor on a robot."""

from pathlib import Path

from spatial_rag_bringup.defaults import (
    model_file,
    name_model,
    parameter_file,
    state_folder,
)
from spatial_rag_bringup.memory_choice import memory_of_model
from spatial_rag_bringup.parameter_values import choose, ParameterFile
from spatial_rag_core.errors import SpatialRagError

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

NODES = {'encoder': 'encoder_node', 'memory_writer': 'memory_writer_node',
         'retriever': 'retriever_node', 'transition_predictor': 'transition_predictor_node'}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments; the nodes are made once their values are known."""
    return LaunchDescription([
        DeclareLaunchArgument('namespace', default_value='',
                              description='Namespace of all nodes, topics and services'),
        DeclareLaunchArgument('use_sim_time', default_value='false', choices=['true', 'false'],
                              description='Take the time from /clock (simulator, bag)'),
        DeclareLaunchArgument('params_file', default_value=str(parameter_file()),
                              description='Parameters of the nodes (YAML)'),
        DeclareLaunchArgument('model_path', default_value='',
                              description='Model bundle; empty: that of params_file, else '
                                          'WM_CHECKPOINT_PATH, else the one that ships; for '
                                          'other sizes than its own an untrained one is made'),
        DeclareLaunchArgument('memory_path', default_value='',
                              description='Memory file, made where it is missing; empty: that of '
                                          'params_file, else spatial_rag/memory.db in ROS_HOME, '
                                          'or one beside it where that is of another model'),
        DeclareLaunchArgument('composition', default_value='false', choices=['true', 'false'],
                              description='Run the four nodes in one process'),
        DeclareLaunchArgument('log_level', default_value='info',
                              choices=['debug', 'info', 'warn', 'error', 'fatal'],
                              description='Log level of all nodes'),
        DeclareLaunchArgument('respawn', default_value='false', choices=['true', 'false'],
                              description='Start a node again that has died; also one that '
                                          'refused to start, which launch cannot tell apart'),
        OpaqueFunction(function=_nodes),
    ])


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    file = ParameterFile(Path(_value(context, 'params_file')), _value(context, 'namespace'))
    model = choose(_value(context, 'model_path'), file, ('encoder', 'transition_predictor'),
                   'model_path', _default_model)
    remarks = [name_model(Path(model.value).expanduser()) if model.value else 'no model']
    memory = choose(_value(context, 'memory_path'), file, ('memory_writer', 'retriever'),
                    'memory_path', lambda: _default_memory(model.value, remarks))
    paths = {name: choice.value for name, choice in
             (('model_path', model), ('memory_path', memory))
             if choice.value and choice.must_be_passed}
    parameters = [LaunchConfiguration('params_file'), {
        'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool),
        **{name: ParameterValue(path, value_type=str) for name, path in paths.items()}}]
    composed = _value(context, 'composition') == 'true'
    executables = {None: 'composed'} if composed else NODES
    nodes = [Node(package='spatial_rag_nodes', executable=executable, name=name,
                  namespace=LaunchConfiguration('namespace'), parameters=parameters,
                  output='screen', respawn=_value(context, 'respawn') == 'true',
                  respawn_delay=1.0,
                  arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])
             for name, executable in executables.items()]
    return [LogInfo(msg='; '.join(remarks)), *nodes]


def _default_model() -> str:
    """Empty where none can be made: the nodes refuse, and say why."""
    try:
        return str(model_file())
    except SpatialRagError:
        return ''


def _default_memory(model: str, remarks: list[str]) -> str:
    """Empty where the nodes' own default serves."""
    path = state_folder() / 'memory.db'
    chosen = memory_of_model(path, Path(model))
    if chosen.remark:
        remarks.append(chosen.remark)
    return '' if chosen.path == path else str(chosen.path)


def _value(context: LaunchContext, name: str) -> str:
    return LaunchConfiguration(name).perform(context)
