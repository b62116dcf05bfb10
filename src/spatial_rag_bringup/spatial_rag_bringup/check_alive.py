"""
Whether nodes live: each tells its state on /diagnostics, and it can work; for health checks.

python -m spatial_rag_bringup.check_alive NODE … [--namespace NAME] [--timeout-sec SEC]
                                             [--ros-args …]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
import sys

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.task import Future
from rclpy.utilities import remove_ros_args

_TIMEOUT_SEC = 10.0
"""Nodes tell their state once a second, and must be found first."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where all nodes live; else 1, and say of each other what is wrong."""
    parser = argparse.ArgumentParser(prog='check_alive', description='Do these nodes live?')
    parser.add_argument('nodes', nargs='+', metavar='NODE')
    parser.add_argument('--namespace', default='', metavar='NAME')
    parser.add_argument('--timeout-sec', type=float, default=_TIMEOUT_SEC, metavar='SEC')
    words = sys.argv[1:] if argv is None else list(argv)
    arguments = parser.parse_args(remove_ros_args(words))
    prefix = ''.join(f'{word}/' for word in arguments.namespace.split('/') if word)
    troubles = troubles_of([f'{prefix}{node}' for node in arguments.nodes], arguments.timeout_sec,
                           words)
    for node, trouble in troubles.items():
        print(f'{node} {trouble}', file=sys.stderr)
    return 1 if troubles else 0


def troubles_of(nodes: Sequence[str], timeout_sec: float,
                ros_args: Sequence[str] = ()) -> dict[str, str]:
    """
    What is wrong with nodes that do not live: silent, or not active though they tried.

    nodes: with their namespace, without a leading slash.  ros_args: may hold --ros-args.  Other
    errors, a camera that is silent or a full disk, are no reason to start a node anew; they stand
    in /diagnostics.
    """
    troubles = dict.fromkeys(nodes, 'has not told its state on /diagnostics for '
                             f'{timeout_sec:g} s; look at its log')
    waiting = {f'spatial_rag: {node}': node for node in nodes}

    def hear(message: DiagnosticArray) -> bool:
        for status in message.status:
            if (node := waiting.pop(status.name, None)) is not None:
                del troubles[node]
                if _has_failed(status):
                    troubles[node] = f'does not work: {status.message}'
        return not waiting
    _listen(hear, timeout_sec, ros_args)
    return troubles


def _has_failed(status: DiagnosticStatus) -> bool:
    """Whether it tried to become active, and did not."""
    values = {value.key: value.value for value in status.values}
    return status.level == DiagnosticStatus.ERROR and values.get('state', 'active') != 'active'


def _listen(hear: Callable[[DiagnosticArray], bool], timeout_sec: float,
            ros_args: Sequence[str]) -> None:
    """Hand on what comes on /diagnostics until `hear` has heard enough; or so long."""
    context, enough = rclpy.Context(), Future()
    rclpy.init(context=context, args=list(ros_args))
    try:
        node = rclpy.create_node('check_alive', context=context, enable_rosout=False,
                                 start_parameter_services=False)
        node.create_subscription(DiagnosticArray, '/diagnostics', lambda message: (
            enough.set_result(None) if hear(message) else None), 10)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        executor.spin_until_future_complete(enough, timeout_sec)
    finally:
        context.try_shutdown()


if __name__ == '__main__':
    sys.exit(main())
