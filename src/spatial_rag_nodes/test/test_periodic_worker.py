"""A thread that does something again and again, until it is closed, whatever it does then."""

from __future__ import annotations

import threading
import time

from spatial_rag_nodes.periodic_worker import PeriodicWorker

ENOUGH_SEC = 20.0


def test_closing_interrupts_the_work_at_hand_and_ends_the_thread() -> None:
    has_begun, is_interrupted = threading.Event(), threading.Event()

    def work() -> None:
        has_begun.set()
        assert is_interrupted.wait(ENOUGH_SEC)
    worker = PeriodicWorker(work, 0.001, 'subject', is_interrupted.set)
    assert has_begun.wait(ENOUGH_SEC)
    worker.close()
    assert 'subject' not in {thread.name for thread in threading.enumerate()}


def test_work_that_hangs_holds_up_no_end() -> None:
    has_begun, may_end = threading.Event(), threading.Event()

    def work() -> None:
        has_begun.set()
        may_end.wait(ENOUGH_SEC)
    worker = PeriodicWorker(work, 0.001, 'subject', lambda: None)
    assert has_begun.wait(ENOUGH_SEC)
    begun = time.monotonic()
    worker.close(0.1)
    assert time.monotonic() - begun < ENOUGH_SEC / 2
    may_end.set()
