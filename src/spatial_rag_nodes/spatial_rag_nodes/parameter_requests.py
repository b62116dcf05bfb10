"""Requests to set parameters that end a node of rclpy, refused instead."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from spatial_rag_nodes.rclpy_internals import Callback, wrap_callbacks

from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.node import Node


def refuse_what_rclpy_raises(node: Node) -> None:
    """
    Have the node answer what rclpy's callbacks do not foresee: a type that there is not.

    They raise, and the executor with them, which ends the process (in rclcpp it was the same:
    ros2/rclcpp#3257).
    """
    wrap_callbacks(node, SetParameters, partial(_answered, refuse=_refuse_the_rest))
    wrap_callbacks(node, SetParametersAtomically, partial(_answered, refuse=_refuse_all))


def _answered(callback: Callback, refuse: Callable[[Any, Any, SetParametersResult], None],
              ) -> Callback:
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
