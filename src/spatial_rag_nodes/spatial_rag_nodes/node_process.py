"""Runs nodes as a process: start, spin, and a clean end in every case."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import contextlib
import faulthandler
import gc
import signal
import sys

from spatial_rag_core.errors import SpatialRagError
from spatial_rag_nodes.closing_node import ClosingNode, ProcessEnd
from spatial_rag_nodes.stream_executor import StreamExecutor

import rclpy
from rclpy.executors import ExternalShutdownException

_CLOSE_TIMEOUT_SEC = 25.0
"""
For each node: a disk that does not answer is given 15 s of them (Committer.close), and each of the
writer's four threads 1 s or 2 s.
"""
_LEAVE_TIMEOUT_SEC = 4.0
"""For the middleware, when all is stored; what manages processes kills after 5 s to 10 s."""


def run_process(factories: Sequence[Callable[[], ClosingNode]],
                args: list[str] | None = None) -> int:
    """
    Make the nodes and spin them until SIGINT or SIGTERM.

    Returns 0 after a clean end, 1 where a node refused to start (its reason is printed), and the
    exit_code of a node that ended the process.  Where a node cannot be closed, or the
    middleware does not let go of one that is, the process ends all the same, with 1.
    """
    faulthandler.enable()  # a crash, or SIGABRT to a node that hangs, shows where it stood
    try:
        rclpy.init(args=args)
    except Exception as error:  # rclpy's own errors are not public; a parameter file is at fault
        print(f'[FATAL] cannot start: {" ".join(str(error).split())}; check the ROS arguments '
              'and the parameter file', file=sys.stderr, flush=True)
        return 1
    nodes: list[ClosingNode] = []
    try:
        executor = StreamExecutor()
        for make in factories:
            nodes.append(make())
            executor.add_node(nodes[-1])
            nodes[-1].start()
        _prepare_for_streams()
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException, ProcessEnd):
        return max((node.exit_code for node in nodes), default=0)
    except SpatialRagError as error:
        print(f'[FATAL] cannot start: {error}', file=sys.stderr, flush=True)
        return 1
    except Exception:
        if rclpy.ok():
            raise
        return 0  # told to end while it was starting: half-made entities may fail in any way
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second Ctrl-C must not cut the end short
        _end(nodes)
    return 0


def _end(nodes: Sequence[ClosingNode]) -> None:
    """Close the nodes, then let them go; what fails keeps no other from ending."""
    with contextlib.ExitStack() as ending:
        ending.callback(faulthandler.cancel_dump_traceback_later)
        ending.callback(rclpy.try_shutdown)
        for node in nodes:
            ending.callback(node.leave)
        ending.callback(_light_fuse, _LEAVE_TIMEOUT_SEC)
        for node in nodes:  # the last first, and before each the fuse anew
            ending.callback(node.close)
            ending.callback(_light_fuse, _CLOSE_TIMEOUT_SEC)


def _light_fuse(seconds: float) -> None:
    """
    End the process where this is not called again in time, and show where it hangs.

    The fuse is faulthandler's, which needs no lock of Python: what hangs may hold it.
    """
    faulthandler.dump_traceback_later(seconds, exit=True)


def _prepare_for_streams() -> None:
    """
    Keep the topics' callbacks from waiting for Python itself.

    A thread that computes lets others go on after 1 ms instead of 5, which a callback would meet
    at each of a dozen places. And the garbage collector leaves alone what is there from the start,
    and goes through the rest less often: to look at it all takes 50 to 100 ms.
    """
    sys.setswitchinterval(0.001)
    gc.collect()
    gc.freeze()
    gc.set_threshold(5000, 10, 50)
