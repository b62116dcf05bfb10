"""The stack as benchmarks run it: its processes, what they take, and when it predicts."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
import os
from pathlib import Path
import random
import signal
import time
from typing import Any, NamedTuple, TextIO

from spatial_rag_bringup.processes import ChildProcess
from spatial_rag_bringup.stack_monitor import published_ns
from spatial_rag_msgs.msg import LatentStamped
from spatial_rag_nodes import qos

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

LAST_DOMAIN = 101  # above it, DDS ports meet the ephemeral ports of Linux


def free_domain() -> int:
    """Return a ROS_DOMAIN_ID in which nothing runs on this machine now (DDSI 9.6.1.1)."""
    ports = {int(line.split()[1].rpartition(':')[2], 16)
             for line in Path('/proc/net/udp').read_text().splitlines()[1:]}
    taken = {(port - 7400) // 250 for port in ports if port >= 7400}
    return random.choice(sorted(set(range(1, LAST_DOMAIN + 1)) - taken))


def stay_apart(folder: Path) -> None:
    """Have this process, and all that it starts, meet no other nodes and no one's memories."""
    os.environ.setdefault('ROS_DOMAIN_ID', str(free_domain()))
    os.environ['ROS_AUTOMATIC_DISCOVERY_RANGE'] = 'LOCALHOST'
    os.environ['ROS_HOME'] = str(folder / 'ros_home')


class Taken(NamedTuple):
    """What a process has taken: CPU time [s], and memory that is resident now [bytes]."""

    cpu_sec: float
    resident_bytes: int


def taken(pid: int) -> Taken | None:
    """None where the process has ended."""
    try:
        fields = Path(f'/proc/{pid}/stat').read_text().rpartition(')')[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if fields[0] == 'Z':
        return None
    return Taken((int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK'),
                 int(fields[21]) * os.sysconf('SC_PAGE_SIZE'))


def nodes_of(runner_pid: int) -> dict[str, int]:
    """Executable → process id of the nodes that a `run_stack` has started."""
    found = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            parent = int(stat.read_text().rpartition(')')[2].split()[1])
            words = stat.with_name('cmdline').read_text(errors='replace').split('\0')
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == runner_pid:
            name = next((Path(word).name for word in words if '/lib/spatial_rag_nodes/' in word),
                        None)
            if name is not None:
                found[name] = int(stat.parent.name)
    return found


class PoweredStack:
    """Processes that are started all at once, and killed all at once."""

    def __init__(self, commands: dict[str, list[str]], log: TextIO) -> None:
        self._commands, self._log = commands, log
        self._children: list[ChildProcess] = []

    def power_on(self) -> None:
        """Start every process."""
        self._children = [
            ChildProcess(name, command, partial(print, file=self._log, flush=True))
            for name, command in self._commands.items()]

    def power_off(self) -> None:
        """SIGKILL to every process; returns when none is left."""
        for child in self._children:
            if child.exit_code() is None:
                os.kill(child.pid, signal.SIGKILL)
        for child in self._children:
            child.wait_stopped(time.monotonic() + 10.0)
        self._children = []

    def taken(self) -> dict[str, Taken]:
        """What each process that lives has taken."""
        now = {child.name: taken(child.pid) for child in self._children}
        return {name: share for name, share in now.items() if share is not None}

    def dead(self) -> list[str]:
        """Processes that have ended by themselves, with their exit codes."""
        return [f'{child.name} ended with {child.exit_code()}' for child in self._children
                if child.exit_code() is not None]


class Ear:
    """A node of this process; notes when each spatial_rag/latent_next was published."""

    def __init__(self) -> None:
        rclpy.init(signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self.node = Node('bench')
        self.predicted_ns: list[int] = []
        self.node.create_subscription(LatentStamped, 'spatial_rag/latent_next', self._note,
                                      qos.stream(depth=200), raw=True)
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)

    def _note(self, _message: bytes, info: dict[str, Any]) -> None:
        self.predicted_ns.append(published_ns(info))

    def spin(self, seconds: float) -> None:
        """Listen for so long."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            self._executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], bool], timeout_sec: float) -> bool:
        """Listen until the condition holds; False where it does not in time."""
        end = time.monotonic() + timeout_sec
        while not condition():
            if time.monotonic() > end:
                return False
            self._executor.spin_once(timeout_sec=0.01)
        return True

    def call(self, kind: Any, name: str, request: Any, timeout_sec: float = 20.0) -> Any | None:
        """The service's answer; None where none comes in time."""
        client = self.node.create_client(kind, name)
        try:
            if not self.until(client.service_is_ready, timeout_sec):
                return None
            future = client.call_async(request)
            return future.result() if self.until(future.done, timeout_sec) else None
        finally:
            self.node.destroy_client(client)

    def close(self) -> None:
        """Leave ROS."""
        self._executor.shutdown()
        self.node.destroy_node()
        rclpy.try_shutdown()
