"""From plans to the actions of `launch`; the only module here that needs it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from spatial_rag_bringup.launch_arguments import Argument
from spatial_rag_bringup.nodes_to_start import NodeToStart

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    IncludeLaunchDescription,
    OpaqueFunction,
    SetLaunchConfiguration,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

Values = dict[str, str]

_TERMINATE_SEC, _KILL_SEC = '30', '5'
"""What a node is given to store what waits before launch ends it; 5 and 5 are launch's own."""


def declare(arguments: Sequence[Argument]) -> list[DeclareLaunchArgument]:
    """Declarations that `ros2 launch FILE --show-args` shows."""
    return [DeclareLaunchArgument(
        argument.name, default_value=argument.default, description=argument.description,
        choices=list(argument.choices) or None) for argument in arguments]


def with_values(make: Callable[[Values], list[LaunchDescriptionEntity]]) -> OpaqueFunction:
    """Call make with the value of every argument that is declared, or given, by then."""
    return OpaqueFunction(function=lambda context: make(dict(context.launch_configurations)))


def set_values(values: Mapping[str, str]) -> list[SetLaunchConfiguration]:
    """Give arguments to the launch files that are included after this."""
    return [SetLaunchConfiguration(name, value) for name, value in values.items()]


def include(file: str) -> IncludeLaunchDescription:
    """Another launch file of this package; it gets the arguments of the one that includes it."""
    share = get_package_share_directory('spatial_rag_bringup')
    return IncludeLaunchDescription(PythonLaunchDescriptionSource(f'{share}/launch/{file}'))


def process(plan: NodeToStart | tuple[str, ...], values: Mapping[str, str],
            respawn: bool = False, **options: object) -> ExecuteProcess:
    """The action that starts it; values: launch arguments. options: as ExecuteProcess has them."""
    if isinstance(plan, tuple):
        return ExecuteProcess(cmd=list(plan), output='screen', **options)
    enclave = ['--enclave', f"{values['enclaves'].rstrip('/')}/{plan.name or plan.executable}"]
    return Node(package='spatial_rag_nodes', executable=plan.executable, name=plan.name,
                namespace=plan.namespace, output='screen',
                parameters=[*([plan.file] if plan.file else []), _typed(plan.parameters)],
                remappings=list(plan.renamings), respawn=respawn, respawn_delay=1.0,
                sigterm_timeout=_TERMINATE_SEC, sigkill_timeout=_KILL_SEC,
                ros_arguments=['--log-level', values['log_level'],
                               *(enclave if values['enclaves'] else [])], **options)


def _typed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Text stays text: launch_ros would take a folder called 2024 for a number."""
    return {name: ParameterValue(value, value_type=str) if isinstance(value, str) else value
            for name, value in parameters.items()}
