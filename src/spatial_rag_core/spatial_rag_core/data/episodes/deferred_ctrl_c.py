"""Ctrl-C that waits for the end of what must not be torn."""

from __future__ import annotations

from collections.abc import Iterator
import contextlib
import signal
import threading
from types import FrameType


@contextlib.contextmanager
def ctrl_c_deferred() -> Iterator[None]:
    """
    Let a Ctrl-C in the block take effect when the block has ended.

    Within HDF5 it would be lost, or taken for a fault of the disk. Other threads than the main
    one never get it anyway.
    """
    if (threading.current_thread() is not threading.main_thread()
            or signal.getsignal(signal.SIGINT) is None):  # one that is not Python's
        yield
        return
    came: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        came.append(number)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        signal.raise_signal(signal.SIGINT)
