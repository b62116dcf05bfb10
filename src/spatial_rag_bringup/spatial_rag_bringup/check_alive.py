"""
Whether nodes live: each has told its state on /diagnostics just now; for health checks.

python -m spatial_rag_bringup.check_alive NODE … [--namespace NAME] [--timeout-sec SEC]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys
import time

from diagnostic_msgs.msg import DiagnosticArray
import rclpy
from rclpy.executors import SingleThreadedExecutor

_TIMEOUT_SEC = 10.0
"""Nodes tell their state once a second, and must be found first."""


def main(argv: Sequence[str] | None = None) -> int:
    """Return 0 where all nodes spoke within the timeout; else 1, and name the silent ones."""
    parser = argparse.ArgumentParser(prog='check_alive', description='Do these nodes live?')
    parser.add_argument('nodes', nargs='+', metavar='NODE')
    parser.add_argument('--namespace', default='', metavar='NAME')
    parser.add_argument('--timeout-sec', type=float, default=_TIMEOUT_SEC, metavar='SEC')
    arguments = parser.parse_args(argv)
    prefix = ''.join(f'{word}/' for word in arguments.namespace.split('/') if word)
    silent = silent_nodes([f'{prefix}{node}' for node in arguments.nodes], arguments.timeout_sec)
    for node in silent:
        print(f'{node} has not told its state on /diagnostics for {arguments.timeout_sec:g} s; '
              'look at its log', file=sys.stderr)
    return 1 if silent else 0


def silent_nodes(nodes: Sequence[str], timeout_sec: float) -> list[str]:
    """Nodes, with their namespace but without a leading slash, that say nothing."""
    waiting = [f'spatial_rag: {node}' for node in nodes]

    def hear(message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name in waiting:
                waiting.remove(status.name)

    context = rclpy.Context()
    rclpy.init(context=context, args=[])
    try:
        node = rclpy.create_node('check_alive', context=context, enable_rosout=False,
                                 start_parameter_services=False)
        node.create_subscription(DiagnosticArray, '/diagnostics', hear, 10)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        end = time.monotonic() + timeout_sec
        while waiting and (left := end - time.monotonic()) > 0:
            executor.spin_once(timeout_sec=left)
    finally:
        context.try_shutdown()
    return [name.removeprefix('spatial_rag: ') for name in waiting]


if __name__ == '__main__':
    sys.exit(main())
