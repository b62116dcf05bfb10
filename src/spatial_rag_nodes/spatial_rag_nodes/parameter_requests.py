"""Requests to set parameters that end a node of rclpy, refused instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node


def refuse_what_rclpy_raises(node: Node) -> None:
    """
    Have the node answer what rclpy's callbacks do not foresee: a type that there is not.

    They raise, and the executor with them, which ends the process (in rclcpp it was the same:
    ros2/rclcpp#3257).
    """
    for service in node.services:
        if service.srv_type is SetParameters:
            service.callback = _answered(service.callback, _refuse_the_rest)
        elif service.srv_type is SetParametersAtomically:
            service.callback = _answered(service.callback, _refuse_all)


def _answered(callback: Callable[[Any, Any], Any],
              refuse: Callable[[Any, Any, SetParametersResult], None],
              ) -> Callable[[Any, Any], Any]:
    def answer(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:
            refuse(request, response, SetParametersResult(
                successful=False, reason=f'the request cannot be read: {error}'))
            return response
    return answer


def _refuse_the_rest(request: SetParameters.Request, response: SetParameters.Response,
                     refusal: SetParametersResult) -> None:
    """One result for each parameter; those before the one that cannot be read were handled."""
    left = len(request.parameters) - len(response.results)
    response.results = [*response.results, *left * [refusal]]


def _refuse_all(_request: SetParametersAtomically.Request,
                response: SetParametersAtomically.Response,
                refusal: SetParametersResult) -> None:
    response.result = refusal
