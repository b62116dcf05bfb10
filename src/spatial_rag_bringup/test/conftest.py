"""What tests of the whole stack share: real `run_stack` processes."""

from __future__ import annotations

from collections.abc import Callable
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest

NODES = {'encoder': 'encoder_node', 'memory_writer': 'memory_writer_node',
         'retriever': 'retriever_node', 'transition_predictor': 'transition_predictor_node'}


class Stack:
    """A `run_stack` process in a lab, with a memory file of its own unless one is named."""

    def __init__(self, lab: Any, model: Path, *words: object) -> None:
        self._mark = f'ROS_HOME={lab.environment["ROS_HOME"]}'.encode()
        self.process = lab.start('run_stack', '--model', model, *words)

    @property
    def output(self) -> str:
        return str(self.process.output)

    @property
    def summary(self) -> dict[str, Any]:
        """The one line RUN SUMMARY, which is the last."""
        lines = self.output.splitlines()
        assert [line for line in lines if line.startswith('RUN SUMMARY ')] == lines[-1:]
        return dict(json.loads(lines[-1].removeprefix('RUN SUMMARY '), parse_constant=pytest.fail))

    def wait_running(self) -> None:
        """Until latents come and status lines are shown."""
        self.process.wait_for_output(' s | latent ', 60.0)

    def end(self, timeout_sec: float = 60.0) -> int:
        """Exit code of a run that ends or was told to; checks that it left a clean place."""
        code = int(self.process.wait(timeout_sec))
        self.check_clean()
        return code

    def check_clean(self) -> None:
        """Nothing is left behind, nothing ugly was printed."""
        assert self.processes() == {}
        for ugly in ('Traceback', 'internal error', 'did not end by itself', 'rclpy._rclpy'):
            assert ugly not in self.output, self.output

    def processes(self) -> dict[int, str]:
        """Process id → executable's name, of all that live in this lab."""
        found = {}
        for folder in Path('/proc').glob('[0-9]*'):
            with contextlib.suppress(OSError):
                if self._mark in (folder / 'environ').read_bytes().split(b'\0'):
                    words = (folder / 'cmdline').read_bytes().decode().split('\0')
                    found[int(folder.name)] = next(
                        (Path(word).name for word in words if Path(word).name in _OURS),
                        ' '.join(words))
        return found

    def pid(self, node: str) -> int | None:
        """Process id of a node, None while it does not live."""
        return next((pid for pid, name in self.processes().items() if name == NODES[node]), None)


_OURS = {*NODES.values(), 'composed', 'simulated_robot_node', 'bag_replay_node', 'run_stack'}


@pytest.fixture
def shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the bundle that ships would be, for this test: nothing is there yet."""
    pytest.importorskip('ament_index_python.packages')
    path = tmp_path / 'share' / 'encoder_transition.pt'
    monkeypatch.setattr('spatial_rag_bringup.defaults.shipped_model', lambda: path)
    monkeypatch.setenv('ROS_HOME', str(tmp_path / 'ros_home'))
    for name in ('WM_CHECKPOINT_PATH', 'Z_DIM', 'ACTION_DIM', 'IMAGE_SIZE', 'USE_TINY_MODELS'):
        monkeypatch.delenv(name, raising=False)
    return path


@pytest.fixture
def start_stack(lab: Any, bundle_path: Path) -> Callable[..., Stack]:
    """start_stack('--duration', 5) → Stack, in the test's own lab."""
    return lambda *words: Stack(lab, bundle_path, *words)


@pytest.fixture(scope='module')
def start_module_stack(module_lab: Any, bundle_path: Path) -> Callable[..., Stack]:
    """The same in the module's lab."""
    return lambda *words: Stack(module_lab, bundle_path, *words)
