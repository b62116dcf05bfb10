"""How a process of a pool of workers behaves; give `behave` as the pool's initializer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading


def behave() -> None:
    """Leave Ctrl-C to the parent, which says so in one line, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_follow_the_parent, name='follow-parent', daemon=True).start()


def _follow_the_parent() -> None:
    """End when the parent was killed: a worker that waits for work would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
