"""What tests across real processes share: a ROS domain of one's own, processes, a probe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
import contextlib
import fcntl
import functools
import os
from pathlib import Path
import random
import signal
import subprocess
import tempfile
import time
from typing import Any

import pytest

# A shell that starts this in the background has Ctrl-C ignored, also by all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

LAST_DOMAIN = 101  # above it, DDS ports meet the ephemeral ports of Linux
RECORDING = Path(__file__).parents[2] / 'shared' / 'data' / 'redkitchen_a'


def _domains_in_use() -> set[int]:
    """Domains in which something runs now, a person's own nodes for instance (DDSI 9.6.1.1)."""
    ports = {int(line.split()[1].rpartition(':')[2], 16)
             for line in Path('/proc/net/udp').read_text().splitlines()[1:]}
    return {(port - 7400) // 250 for port in ports if port >= 7400}


@contextlib.contextmanager
def claimed_domain() -> Iterator[int]:
    """A ROS_DOMAIN_ID that no other test on this machine has, also not in another run."""
    numbers = list(range(1, LAST_DOMAIN + 1))
    random.SystemRandom().shuffle(numbers)
    taken = _domains_in_use()
    numbers = [number for number in numbers if number not in taken]
    for number in numbers:
        lock = Path(tempfile.gettempdir()) / f'spatial_rag_domain_{number}.lock'
        with lock.open('w') as file, contextlib.suppress(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield number
            return
    pytest.fail('all ROS domains are taken by other tests')


class Process:
    """A program in a session of its own, its output in a file."""

    def __init__(self, command: list[str], log: Path, environment: dict[str, str]) -> None:
        self.log = log
        with log.open('w') as output:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
                start_new_session=True, env=environment)
        self.pid = self._process.pid

    @property
    def output(self) -> str:
        return self.log.read_text(errors='replace')

    def is_running(self) -> bool:
        return self._process.poll() is None

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def wait(self, timeout_sec: float = 30.0) -> int:
        """Exit code; fails the test, with the output, where it does not end."""
        try:
            return self._process.wait(timeout_sec)
        except subprocess.TimeoutExpired:
            pytest.fail(f'pid {self.pid} has not ended after {timeout_sec} s:\n{self.output}')

    def wait_for_output(self, text: str, timeout_sec: float = 30.0) -> str:
        """The whole output, once it holds text."""
        wait_until(lambda: text in self.output or not self.is_running(), timeout_sec,
                   lambda: f'{text!r} is not in the output:\n{self.output}')
        assert text in self.output
        return self.output

    def end(self) -> None:
        """Kill its session."""
        if self.is_running():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
        self._process.wait(10)


def wait_until(condition: Callable[[], bool], timeout_sec: float,
               message: Callable[[], str] = lambda: 'condition not met',
               step: Callable[[], object] = lambda: time.sleep(0.02)) -> None:
    """Fail the test where the condition is not met in time."""
    end = time.monotonic() + timeout_sec
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f'after {timeout_sec} s: {message()}')
        step()


class Probe:
    """A node of the test itself: publishes, listens, calls, all in the test's own thread."""

    def __init__(self, domain: int) -> None:
        import rclpy
        from rclpy.executors import SingleThreadedExecutor
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=domain,
                   signal_handler_options=rclpy.signals.SignalHandlerOptions.NO)
        self.node = rclpy.create_node('probe', context=self.context)
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self.node)

    def listen(self, kind: type, topic: str, depth: int = 100) -> list[Any]:
        """A list that fills with the messages of the topic while the probe spins."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, depth)
        return messages

    def publisher(self, kind: type, topic: str, subscribers: int = 1) -> Any:
        """A reliable publisher that has its subscribers."""
        publisher = self.node.create_publisher(kind, topic, 50)
        self.until(lambda: publisher.get_subscription_count() >= subscribers,
                   message=lambda: f'nobody listens to {topic}')
        return publisher

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._executor.spin_once(timeout_sec=left)

    def until(self, condition: Callable[[], bool], timeout_sec: float = 30.0,
              message: Callable[[], str] = lambda: 'condition not met') -> None:
        """Spin until the condition holds, or fail the test."""
        wait_until(condition, timeout_sec, message,
                   step=lambda: self._executor.spin_once(timeout_sec=0.05))

    def call(self, kind: type, name: str, request: Any, timeout_sec: float = 20.0) -> Any:
        """The service's answer."""
        client = self.node.create_client(kind, name)
        self.until(client.service_is_ready, message=lambda: f'no service {name}')
        future = client.call_async(request)
        self.until(future.done, timeout_sec, lambda: f'{name} does not answer')
        self.node.destroy_client(client)
        return future.result()

    def close(self) -> None:
        self._executor.shutdown()
        self.node.destroy_node()
        self.context.try_shutdown()


class Diagnostics:
    """What nodes say of themselves on /diagnostics, the newest of each."""

    def __init__(self, probe: Probe) -> None:
        from diagnostic_msgs.msg import DiagnosticArray
        self._probe = probe
        self._messages = probe.listen(DiagnosticArray, '/diagnostics')

    def statuses(self, node: str) -> list[Any]:
        return [status for message in self._messages for status in message.status
                if status.name == f'spatial_rag: {node}']

    def wait(self, node: str, condition: Callable[[Any, dict[str, str]], bool],
             timeout_sec: float = 20.0) -> dict[str, str]:
        """The values of the first status of the node that fulfils the condition."""
        found: list[dict[str, str]] = []

        def look() -> bool:
            for status in self.statuses(node):
                values = {item.key: item.value for item in status.values}
                if condition(status, values):
                    found.append(values)
                    return True
            return False
        self._probe.until(look, timeout_sec, lambda: f'{node} says {self.statuses(node)[-1:]}')
        return found[0]

    def wait_ready(self, *nodes: str) -> None:
        """Until each of them has told its state."""
        for node in nodes:
            self.wait(node, lambda *_: True, 60.0)


class Lab:
    """A ROS domain with a probe in it and processes that end with it."""

    def __init__(self, domain: int, folder: Path) -> None:
        self.domain, self.folder = domain, folder
        self.environment = {'ROS_DOMAIN_ID': str(domain), 'ROS_HOME': str(folder / 'ros_home'),
                            'ROS_AUTOMATIC_DISCOVERY_RANGE': 'LOCALHOST'}
        self._processes: list[Process] = []

    @functools.cached_property
    def probe(self) -> Probe:
        return Probe(self.domain)

    @functools.cached_property
    def diagnostics(self) -> Diagnostics:
        return Diagnostics(self.probe)

    def start(self, *command: object) -> Process:
        """Start a program in this domain."""
        name = f'{len(self._processes)}-{Path(str(command[0])).name}.log'
        self._processes.append(Process([str(word) for word in command], self.folder / name,
                                       {**os.environ, **self.environment}))
        return self._processes[-1]

    def start_node(self, executable: str, *ros_args: str, **parameters: object) -> Process:
        """
        start_node('encoder_node', publish_rate=20.0, …).

        Its poses and actions come reliably: a test sends each but once, and a best-effort reader
        that has not found the sender yet would miss it.
        """
        words = ['--ros-args', *ros_args]
        for topic in ('/pose', '/actions'):
            words += ['-p', f'qos_overrides.{topic}.subscription.reliability:=reliable']
        for name, value in parameters.items():
            text = str(value).lower() if isinstance(value, bool) else str(value)
            words += ['-p', f'{name}:={text}']
        return self.start(executable, *words)

    def close(self) -> None:
        for process in self._processes:
            process.end()
        if 'probe' in self.__dict__:
            self.probe.close()


@contextlib.contextmanager
def _open_lab(folder: Path) -> Iterator[Lab]:
    pytest.importorskip('rclpy', reason='rclpy is absent: no ROS and no wheels of it')
    with claimed_domain() as domain, contextlib.closing(Lab(domain, folder)) as lab:
        yield lab


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A domain of the test's own."""
    with _open_lab(tmp_path) as lab:
        yield lab


@pytest.fixture(scope='module')
def module_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A domain that the tests of one module share, for nodes that take long to start."""
    with _open_lab(tmp_path_factory.mktemp('lab')) as lab:
        yield lab


@pytest.fixture
def ros_domain(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> int:
    """The lab's ROS_DOMAIN_ID, in the environment of this process, too."""
    for name, value in lab.environment.items():
        monkeypatch.setenv(name, value)
    return lab.domain


@pytest.fixture
def start_process(lab: Lab) -> Callable[..., Process]:
    """start_process(command…) → Process; all are killed at the end of the test."""
    return lab.start


@pytest.fixture
def start_node(lab: Lab) -> Callable[..., Process]:
    """start_node('encoder_node', publish_rate=20.0, …) → Process."""
    return lab.start_node


@pytest.fixture
def probe(lab: Lab) -> Probe:
    """The test's own node, in its own domain."""
    return lab.probe


@pytest.fixture
def diagnostics(lab: Lab) -> Diagnostics:
    """What the nodes say of themselves."""
    return lab.diagnostics


@pytest.fixture(scope='session')
def bundle_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained tiny bundle."""
    from spatial_rag_core.models.untrained import create_untrained_bundle
    from spatial_rag_core.settings import Settings
    path = tmp_path_factory.mktemp('bundle') / 'encoder_transition.pt'
    create_untrained_bundle(path, Settings())
    return path


@pytest.fixture
def recording() -> Path:
    """The real recording; it stands beside the project, not in it."""
    if not RECORDING.exists():
        pytest.skip(f'the real recording is absent: no ../shared/data/{RECORDING.name}')
    return RECORDING
