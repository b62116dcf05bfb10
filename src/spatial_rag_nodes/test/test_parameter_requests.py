"""Requests to set parameters as nobody should send them."""

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.ros

NOT_SET, INTEGER, DOUBLE, NO_TYPE = 0, 2, 3, 255


@pytest.fixture
def set_parameters(probe: Any, start_node: Callable[..., Any]) -> Callable[..., Any]:
    """set_parameters(('rate_hz', DOUBLE), atomically=True) → the answer of a running node."""
    from rcl_interfaces.msg import Parameter, ParameterValue
    from rcl_interfaces.srv import SetParameters, SetParametersAtomically
    process = start_node('simulated_robot_node')

    def call(*wanted: tuple[str, int], atomically: bool = False) -> Any:
        kind, name = ((SetParametersAtomically, 'set_parameters_atomically') if atomically
                      else (SetParameters, 'set_parameters'))
        answer = probe.call(kind, f'/simulated_robot/{name}', kind.Request(parameters=[
            Parameter(name=name, value=ParameterValue(type=number)) for name, number in wanted]))
        assert process.is_running()
        return answer
    return call


def test_a_type_that_there_is_not_is_refused_one_result_for_each_parameter(
        set_parameters: Callable[..., Any]) -> None:
    answer = set_parameters(('nothing', INTEGER), ('rate_hz', NO_TYPE), ('seed', NO_TYPE))
    assert [result.successful for result in answer.results] == [False, False, False]
    assert 'undeclared' in answer.results[0].reason
    assert '255' in answer.results[1].reason
    assert answer.results[1] == answer.results[2]
    answer = set_parameters(('rate_hz', NO_TYPE), atomically=True)
    assert not answer.result.successful
    assert '255' in answer.result.reason


@pytest.mark.parametrize('atomically', [False, True])
def test_a_parameter_of_ours_cannot_be_unset(
        set_parameters: Callable[..., Any], atomically: bool) -> None:
    answer = set_parameters(('rate_hz', NOT_SET), atomically=atomically)
    assert not (answer.result if atomically else answer.results[0]).successful
