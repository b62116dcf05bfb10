from __future__ import annotations

import signal
import sys
import time

from spatial_rag_bringup.processes import ChildProcess

import pytest

DEAF = ("""
import faulthandler, signal, time
faulthandler.enable()
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def hanging():
    print("ready", flush=True)
    time.sleep(60)
hanging()
""", -signal.SIGABRT)
DEAF_TO_ALL = (DEAF[0].replace('faulthandler.enable()',
                               'signal.signal(signal.SIGABRT, signal.SIG_IGN)'),
               -signal.SIGKILL)


@pytest.mark.parametrize(('program', 'code'), [DEAF, DEAF_TO_ALL])
def test_a_child_that_does_not_end_is_killed_and_shows_where_it_hung(
        program: str, code: int) -> None:
    lines: list[str] = []
    child = ChildProcess('deaf', [sys.executable, '-c', program], lines.append)
    deadline = time.monotonic() + 30.0
    while not lines and time.monotonic() < deadline:
        time.sleep(0.01)
    child.request_stop()
    assert not child.wait_stopped(time.monotonic() + 0.2)
    assert child.exit_code() == code
    assert any('in hanging' in line for line in lines) == (code == -signal.SIGABRT)


def test_a_child_that_ends_when_it_is_asked_is_not_killed() -> None:
    child = ChildProcess('good', [sys.executable, '-c', 'import time; time.sleep(60)'],
                         lambda line: None)
    child.request_stop()
    assert child.wait_stopped(time.monotonic() + 30.0)
    assert child.exit_code() == -signal.SIGTERM
