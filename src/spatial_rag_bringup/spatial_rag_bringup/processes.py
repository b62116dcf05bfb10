"""Child processes whose output is forwarded and that never outlive this one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import shutil
import signal
import subprocess
import threading
import time

STOP_TIMEOUT_SEC = 8.0
ABORT_TIMEOUT_SEC = 2.0


class ChildProcess:
    """
    A process in a session of its own, so that Ctrl-C reaches it only through `stop`.

    Each line that it prints goes to `forward`, after its name. Should this process be killed,
    the kernel ends the child too (where setpriv is at hand).
    """

    def __init__(self, name: str, command: Sequence[str], forward: Callable[[str], None]) -> None:
        self.name = name
        self.stopping = False
        setpriv = shutil.which('setpriv')
        guard = [setpriv, '--pdeathsig', 'TERM'] if setpriv else []
        self._process = subprocess.Popen(
            [*guard, *command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, errors='replace', start_new_session=True)
        self._forward = forward
        self._reader = threading.Thread(target=self._read, name=f'log of {name}', daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.poll()

    def request_stop(self) -> None:
        """Ask it to end."""
        self.stopping = True
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)

    def wait_stopped(self, deadline: float) -> bool:
        """
        Wait until it has ended, kill it at the deadline; False where that was needed.

        A node that is aborted prints first where each of its threads hangs (faulthandler).
        """
        graceful = self._ends_within(deadline - time.monotonic())
        if not graceful:
            self._process.send_signal(signal.SIGABRT)
            if not self._ends_within(ABORT_TIMEOUT_SEC):
                self._process.kill()
                self._process.wait()
        self._reader.join(2.0)
        return graceful

    def _ends_within(self, seconds: float) -> bool:
        try:
            self._process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._forward(f'[{self.name}] {line.rstrip()}')


def stop_all(children: Sequence[ChildProcess]) -> list[str]:
    """End them all at once; returns the names of those that had to be killed."""
    for child in children:
        child.request_stop()
    deadline = time.monotonic() + STOP_TIMEOUT_SEC
    return [child.name for child in children if not child.wait_stopped(deadline)]
