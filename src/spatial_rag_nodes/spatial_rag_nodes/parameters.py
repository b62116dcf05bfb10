"""Parameters that are declared once: name, default, unit, range, description."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import difflib
from typing import Any

from spatial_rag_core.errors import ConfigurationError
from spatial_rag_nodes.parameter_requests import refuse_what_rclpy_raises
from spatial_rag_nodes.rclpy_internals import overrides_of

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.node import Node
from rclpy.parameter import Parameter as RclParameter

_NEAR = 0.84
"""Likeness of a name and its misspelling; that of latent_ and action_timeout_sec is 0.83."""

_OF_OTHERS = ('qos_overrides.', 'bond_', 'use_sim_time', 'start_type_description_service')
"""Declared later, or by what others add to a node."""


@dataclass(frozen=True)
class Parameter:
    """
    One parameter; its type is that of its default.

    low, high: both ends allowed.  choices: the words allowed.  live: may change while the node
    works; all others are read when it is configured.
    is_secret: its value is in no message.
    """

    name: str
    default: Any
    description: str
    unit: str = ''
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    is_secret: bool = False

    def check(self, value: Any) -> None:
        """Raise ConfigurationError that names value, range and remedy."""
        if self.choices and value not in self.choices:
            raise ConfigurationError(
                f'parameter {self.name} must be one of {", ".join(self.choices)}, got {value!r}; '
                f'set {self.name} in the parameter file or with -p {self.name}:=…')
        if self.low is not None and self.high is not None and not self.low <= value <= self.high:
            raise ConfigurationError(
                f'parameter {self.name} must lie between {self.low:.12g} and {self.high:.12g}'
                f'{" " + self.unit if self.unit else ""}, got {value}; '
                f'set {self.name} in the parameter file or with -p {self.name}:=…')

    def descriptor(self, read_only: bool) -> ParameterDescriptor:
        """What `ros2 param describe` shows."""
        unit = f' [{self.unit}]' if self.unit else ''
        descriptor = ParameterDescriptor(
            name=self.name, type=RclParameter.Type.from_parameter_value(self.default).value,
            description=f'{self.description}{unit}', read_only=read_only,
            additional_constraints=' | '.join(self.choices))
        if self.low is not None and self.high is not None:
            if isinstance(self.default, int):
                descriptor.integer_range = [
                    IntegerRange(from_value=int(self.low), to_value=int(self.high))]
            else:
                descriptor.floating_point_range = [
                    FloatingPointRange(from_value=float(self.low), to_value=float(self.high))]
        return descriptor


class NodeParameters:
    """
    The declared parameters of a node, by name; live ones follow `ros2 param set`.

    refusal: why a parameter that is not live cannot be set now, None: it can. Without it such
    a parameter never changes.
    """

    def __init__(self, node: Node, specs: Sequence[Parameter],
                 on_change: Callable[[], None] = lambda: None,
                 refusal: Callable[[], str | None] | None = None) -> None:
        self._specs = {spec.name: spec for spec in specs}
        self._on_change = on_change
        self._refusal = refusal or (lambda: None)
        self._values: dict[str, Any] = {}
        self.namespace = node.get_namespace()
        for spec in specs:
            self._values[spec.name] = _declare(node, spec, not spec.live and refusal is None)
        _tell_misspelt(node, list(self._specs))
        refuse_what_rclpy_raises(node)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._take)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def _check(self, parameters: list[RclParameter]) -> SetParametersResult:
        try:
            for parameter in parameters:
                if parameter.name in self._specs:
                    self._check_one(self._specs[parameter.name], parameter.value)
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _check_one(self, spec: Parameter, value: Any) -> None:
        reason = None if spec.live else self._refusal()
        if reason is not None:
            raise ConfigurationError(f'parameter {spec.name} cannot change now: {reason}')
        spec.check(value)

    def _take(self, parameters: list[RclParameter]) -> None:
        changed = {p.name: p.value for p in parameters if p.name in self._specs}
        self._values.update(changed)
        if changed:
            self._on_change()


def _tell_misspelt(node: Node, names: list[str]) -> None:
    """
    Log what is set for a node that has no such parameter: rclpy passes over it in silence.

    What resembles none of `names` may be meant for others: launch gives all nodes the same.
    """
    for name in sorted(overrides_of(node)):
        if node.has_parameter(name) or name.startswith(_OF_OTHERS):
            continue
        told = f'parameter {name} is ignored: no such name in {node.get_fully_qualified_name()}'
        if near := difflib.get_close_matches(name, names, 1, _NEAR):
            node.get_logger().warning(f'{told}; did you mean {near[0]}?')
        else:
            node.get_logger().debug(told)


def _declare(node: Node, spec: Parameter, read_only: bool) -> Any:
    """Declared without its range first, so that a bad value is refused in our words."""
    try:
        value = node.declare_parameter(spec.name, spec.default).value
    except InvalidParameterTypeException as error:
        kind = {float: 'a number with a decimal point'}.get(
            type(spec.default), type(spec.default).__name__)
        told = 'it is of another type' if spec.is_secret else error
        raise ConfigurationError(
            f'parameter {spec.name} must be {kind} (default {spec.default!r}): {told}; correct '
            'it in the parameter file') from error
    spec.check(value)
    node.set_descriptor(spec.name, spec.descriptor(read_only))
    return value
