"""Encoder, memory writer, retriever and transition predictor on a robot."""

from pathlib import Path

from spatial_rag_bringup.defaults import describe_model, model_file, parameter_file, state_folder

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
                              description='Model bundle; empty: WM_CHECKPOINT_PATH, else an '
                                          'untrained one is made'),
        DeclareLaunchArgument('memory_path', default_value=str(state_folder() / 'memory.db'),
                              description='Memory file, made where it is missing'),
        DeclareLaunchArgument('composition', default_value='false', choices=['true', 'false'],
                              description='Run the four nodes in one process'),
        DeclareLaunchArgument('log_level', default_value='info',
                              choices=['debug', 'info', 'warn', 'error', 'fatal'],
                              description='Log level of all nodes'),
        DeclareLaunchArgument('respawn', default_value='true', choices=['true', 'false'],
                              description='Start a node again that has died'),
        OpaqueFunction(function=_nodes),
    ])


def _nodes(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    model_path = _value(context, 'model_path') or str(model_file())
    parameters = [LaunchConfiguration('params_file'), {
        'use_sim_time': ParameterValue(LaunchConfiguration('use_sim_time'), value_type=bool),
        'model_path': model_path, 'memory_path': _value(context, 'memory_path')}]
    composed = _value(context, 'composition') == 'true'
    executables = {None: 'composed'} if composed else NODES
    nodes = [Node(package='spatial_rag_nodes', executable=executable, name=name,
                  namespace=LaunchConfiguration('namespace'), parameters=parameters,
                  output='screen', respawn=_value(context, 'respawn') == 'true',
                  respawn_delay=1.0,
                  arguments=['--ros-args', '--log-level', LaunchConfiguration('log_level')])
             for name, executable in executables.items()]
    return [LogInfo(msg=describe_model(Path(model_path))), *nodes]


def _value(context: LaunchContext, name: str) -> str:
    return LaunchConfiguration(name).perform(context)
