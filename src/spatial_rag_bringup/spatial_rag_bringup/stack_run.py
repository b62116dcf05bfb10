"""One run of the stack without ROS launch: start it, show how it does, end it."""

from __future__ import annotations

from collections.abc import Callable
import json
import os
from pathlib import Path
import signal
import tempfile
import threading
import time

from spatial_rag_bringup.defaults import describe_model
from spatial_rag_bringup.nodes_to_start import STACK
from spatial_rag_bringup.processes import ChildProcess, stop_all
from spatial_rag_bringup.run_options import RunOptions
from spatial_rag_bringup.run_plan import make_plan, RunPlan
from spatial_rag_bringup.stack_monitor import StackMonitor
from spatial_rag_core.models.bundle_metadata import read_metadata

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.signals import SignalHandlerOptions

START_TIMEOUT_SEC = 90.0
DRAIN_SEC = 1.6
"""
Long enough for the last messages and one more round of diagnostics, too short for the nodes to
miss the robot (health_checks.SILENT_SEC).
"""
STATS_SEC = 0.3
"""So long before a status line the memory is asked how much it holds."""
STATS_TIMEOUT_SEC = 10.0
"""How long it is given to answer at the end."""
RESPAWN_DELAY_SEC = 1.0
REFUSED = 1
"""Exit code of a node that refused to start: it would refuse again."""


class StackRun:
    """One run, from the first process to the summary."""

    def __init__(self, options: RunOptions, plan: RunPlan, monitor: StackMonitor,
                 executor: SingleThreadedExecutor, interrupted: threading.Event) -> None:
        self._options, self._plan = options, plan
        self._monitor, self._executor, self._interrupted = monitor, executor, interrupted
        self._nodes: dict[str, ChildProcess] = {}
        self._respawn_at: dict[str, float] = {}
        self._source: ChildProcess | None = None

    def run(self) -> int:
        """Returns the exit code; prints RUN SUMMARY where the stack came up."""
        try:
            for name in self._plan.nodes:
                self._start_node(name)
            if not self._wait_until_ready():
                return 0 if self._interrupted.is_set() else 1
            self._warn_of_another_stack()
            self._start_source()
            self._watch()
            self._source.request_stop()
            self._spin_for(DRAIN_SEC)
            self._count_memories()
        finally:
            self._stop_all()
        for sentence in self._monitor.figures.problems:
            _say(f'[run] problem: {sentence}')
        print('RUN SUMMARY ' + json.dumps(self._monitor.figures.summary()), flush=True)
        return 1 if self._has_failed() else 0

    def _start_node(self, name: str) -> None:
        self._nodes[name] = ChildProcess(name, self._plan.nodes[name], forward=_say)

    def _start_source(self) -> None:
        """It waits for every subscription that is there, or the first frames would be lost."""
        name, command = self._plan.source
        expected = sum(self._monitor.count_subscribers(self._monitor.resolve_topic_name(topic))
                       for topic in self._plan.source_topics)
        self._source = ChildProcess(
            name, [*command, '-p', f'subscriptions_expected:={expected}'], forward=_say)

    def _warn_of_another_stack(self) -> None:
        topic = self._monitor.resolve_topic_name('latent')
        if (publishers := self._monitor.count_publishers(topic)) > 1:
            _say(f'[run] {publishers} nodes publish {topic}: another stack is in ROS_DOMAIN_ID '
                 f'{os.environ.get("ROS_DOMAIN_ID", "0")} and the two will mix (or one was '
                 'killed seconds ago); end it, or give this run a ROS_DOMAIN_ID of its own')

    def _wait_until_ready(self) -> bool:
        """Until all four nodes have told their state and the memory has told its size."""
        deadline = time.monotonic() + START_TIMEOUT_SEC
        while not (self._monitor.nodes_seen >= set(STACK)
                   and self._monitor.figures.memories_before is not None):
            if self._interrupted.is_set():
                return False
            for name, node in self._nodes.items():
                if (code := node.exit_code()) is not None:
                    _say(f'[run] {name} did not start ({_cause(code)})')
                    return False
            if time.monotonic() > deadline:
                _say(f'[run] not ready after {START_TIMEOUT_SEC:.0f} s: {self._missing()}; '
                     'is the machine overloaded, or does a firewall stop DDS?')
                return False
            self._monitor.ask_stats()
            self._spin_for(0.1)
        return True

    def _missing(self) -> str:
        silent = sorted(set(STACK) - self._monitor.nodes_seen)
        return f'nothing heard of {", ".join(silent)}' if silent else (
            'the memory has not answered how much it holds')

    def _watch(self) -> None:
        """Until DURATION, the end of the recording, or a signal; one status line a second."""
        _say('[run] the nodes are ready, waiting for the first frame')
        next_line = time.monotonic() + 1.0
        next_question = next_line - STATS_SEC
        while not self._interrupted.is_set() and not self._is_over():
            self._spin_for(0.05)
            self._look_after_nodes()
            if time.monotonic() >= next_question:
                next_question += 1.0
                self._monitor.ask_stats()
            if time.monotonic() >= next_line:
                next_line += 1.0
                if not self._monitor.figures.frames.count:
                    continue
                _say('[run] ' + self._monitor.figures.status_line(time.monotonic_ns()))

    def _is_over(self) -> bool:
        assert self._source is not None
        if (code := self._source.exit_code()) is not None:
            if code:
                _say(f'[run] {self._source.name} died ({_cause(code)}); the run ends')
            return True
        limit = self._options.duration_sec
        if limit is None or self._plan.ends_itself:
            return False
        return self._monitor.figures.seconds_since_first_frame(time.monotonic_ns()) >= limit

    def _look_after_nodes(self) -> None:
        for name, node in list(self._nodes.items()):
            code = node.exit_code()
            if code is None or node.stopping:
                continue
            if name not in self._respawn_at:
                self._monitor.figures.deaths += 1
                self._respawn_at[name] = time.monotonic() + RESPAWN_DELAY_SEC
                _say(f'[run] {name} died ({_cause(code)}); {self._consequence(code)}')
            elif (self._options.respawn and code != REFUSED
                  and time.monotonic() >= self._respawn_at[name]):
                del self._respawn_at[name]
                self._start_node(name)

    def _consequence(self, code: int) -> str:
        if code == REFUSED:
            return ('the others go on; it is not started again, for with this code a node '
                    'refuses to start')
        if self._options.respawn:
            return 'it is started again'
        return 'the others go on (RESPAWN=true starts it again)'

    def _count_memories(self) -> None:
        """At the end; the answer to an earlier question would tell too few."""
        self._spin_until(lambda: not self._monitor.is_asking)
        self._monitor.figures.memories_now = None
        self._monitor.ask_stats()
        self._spin_until(lambda: self._monitor.figures.memories_now is not None)

    def _spin_until(self, condition: Callable[[], bool]) -> None:
        """For STATS_TIMEOUT_SEC at most, or until the node that answers has ended."""
        server = self._nodes.get('retriever') or self._nodes['composed']
        deadline = time.monotonic() + STATS_TIMEOUT_SEC
        while (not condition() and server.exit_code() is None
               and time.monotonic() < deadline):
            self._spin_for(0.02)

    def _spin_for(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=min(left, 0.1))

    def _stop_all(self) -> None:
        children = list(self._nodes.values())
        if self._source is not None:
            children.insert(0, self._source)
        for name in stop_all(children):
            _say(f'[run] {name} did not end by itself and was killed')

    def _has_failed(self) -> bool:
        assert self._source is not None
        source_failed = self._source.exit_code() not in (0, -signal.SIGTERM)
        return source_failed or any(
            node.exit_code() not in (0, -signal.SIGTERM) for node in self._nodes.values())


def _cause(code: int) -> str:
    return f'signal {signal.Signals(-code).name}' if code < 0 else f'exit code {code}'


def _say(line: str) -> None:
    print(line, flush=True)


def run(options: RunOptions) -> int:
    """Do one run; returns the exit code."""
    interrupted = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: interrupted.set())
    os.environ.setdefault('ROS_AUTOMATIC_DISCOVERY_RANGE', 'LOCALHOST')
    os.environ.setdefault('RCUTILS_CONSOLE_OUTPUT_FORMAT', '{severity} {name}: {message}' if (
        options.composition) else '{severity} {message}')
    with tempfile.TemporaryDirectory(prefix='spatial_rag_') as folder:
        plan = make_plan(options, Path(folder))
        for remark in (describe_model(plan.model), *plan.remarks):
            _say(f'[run] {remark}')
        rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
        executor = SingleThreadedExecutor()
        monitor = StackMonitor(options.namespace, plan.compressed)
        model = read_metadata(plan.model)
        monitor.figures.model_id, monitor.figures.is_trained = model.model_id, model.trained
        executor.add_node(monitor)
        try:
            return StackRun(options, plan, monitor, executor, interrupted).run()
        finally:
            monitor.destroy_node()
            rclpy.try_shutdown()
