"""
The part of `launch` and `launch_ros` that the launch files use, for machines without ROS.

Keyword for keyword as in Jazzy's sources; visits what they describe, and starts nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
import runpy
import sys
from types import ModuleType
from typing import Any

import pytest


@dataclass
class Context:
    """launch_configurations: the arguments by name.  started: what would run."""

    launch_configurations: dict[str, str]
    started: list[Any] = field(default_factory=list)


class DeclareLaunchArgument:
    def __init__(self, name: str, *, default_value: str | None = None, description: str = '',
                 choices: list[str] | None = None) -> None:
        assert choices is None or default_value is None or default_value in choices
        self.name, self.default_value = name, default_value
        self.description, self.choices = description, choices

    def visit(self, context: Context) -> None:
        values = context.launch_configurations
        if self.name not in values:
            if self.default_value is None:
                raise RuntimeError(f'Required launch argument "{self.name}" was not provided.')
            values[self.name] = self.default_value
        if self.choices is not None and values[self.name] not in self.choices:
            raise RuntimeError(f'Argument "{self.name}" provided value is not valid.')


class OpaqueFunction:
    def __init__(self, *, function: Callable[[Context], list[Any]]) -> None:
        self._function = function

    def visit(self, context: Context) -> None:
        visit_all(self._function(context), context)


class SetLaunchConfiguration:
    def __init__(self, name: str, value: str) -> None:
        self._name, self._value = name, value

    def visit(self, context: Context) -> None:
        context.launch_configurations[self._name] = self._value


class IncludeLaunchDescription:
    def __init__(self, source: PythonLaunchDescriptionSource) -> None:
        self.source = source

    def visit(self, context: Context) -> None:
        visit_all(description_of(Path(self.source.path)), context)


@dataclass
class PythonLaunchDescriptionSource:
    path: str


@dataclass
class LaunchDescription:
    entities: Sequence[Any]

    def __iter__(self) -> Any:
        return iter(self.entities)


class TimerAction:
    def __init__(self, *, period: float, actions: Iterable[Any]) -> None:
        self.period, self._actions = period, actions

    def visit(self, context: Context) -> None:
        visit_all(self._actions, context)


@dataclass
class Shutdown:
    reason: str


@dataclass
class ParameterValue:
    value: Any
    value_type: type


class Started:
    """What would be started or logged; its keywords are its attributes."""

    def visit(self, context: Context) -> None:
        context.started.append(self)


@dataclass
class LogInfo(Started):
    msg: str


@dataclass
class ExecuteProcess(Started):
    cmd: list[str]
    output: str = 'log'
    on_exit: Any = None


@dataclass(kw_only=True)
class Node(Started):
    executable: str
    package: str
    name: str | None
    namespace: str
    output: str
    parameters: list[Any]
    remappings: list[tuple[str, str]]
    ros_arguments: list[str]
    arguments: list[str] = field(default_factory=list)
    respawn: bool = False
    respawn_delay: float | None = None
    sigterm_timeout: str = '5'
    sigkill_timeout: str = '5'
    on_exit: Any = None

    def values(self) -> dict[str, Any]:
        """The parameters beside the file."""
        return {name: value.value if isinstance(value, ParameterValue) else value
                for name, value in self.parameters[-1].items()}


_MODULES: Mapping[str, tuple[type, ...]] = {
    'launch': (LaunchDescription,),
    'launch.actions': (DeclareLaunchArgument, ExecuteProcess, IncludeLaunchDescription, LogInfo,
                       OpaqueFunction, SetLaunchConfiguration, Shutdown, TimerAction),
    'launch.launch_description_sources': (PythonLaunchDescriptionSource,),
    'launch_ros': (), 'launch_ros.actions': (Node,),
    'launch_ros.parameter_descriptions': (ParameterValue,)}


def install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let launch files import these instead of `launch`, for one test."""
    for name, members in _MODULES.items():
        module = ModuleType(name)
        for member in members:
            setattr(module, member.__name__, member)
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules['launch'].LaunchDescriptionEntity = object  # type: ignore[attr-defined]
    monkeypatch.delitem(sys.modules, 'spatial_rag_bringup.launch_actions', raising=False)


def description_of(file: Path) -> LaunchDescription:
    return runpy.run_path(str(file))['generate_launch_description']()


def visit_all(entities: Iterable[Any], context: Context) -> None:
    for entity in entities:
        entity.visit(context)
