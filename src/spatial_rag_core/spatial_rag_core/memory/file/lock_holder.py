"""Who writes to a memory file now."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from pathlib import Path
import socket
from typing import NamedTuple

from spatial_rag_core.memory.file.writer_lock import lock_path

_MAX_BYTES = 4096


class Holder(NamedTuple):
    """A program that writes, since when (ISO 8601); None where it did not introduce itself."""

    program: str | None = None
    pid: int | None = None
    host: str | None = None
    since: str | None = None


def holder_of(path: Path) -> Holder | None:
    """Return the program that holds the writer's lock of a memory file; None: nobody does."""
    try:
        descriptor = os.open(lock_path(path), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        holder = _introduced(os.pread(descriptor, _MAX_BYTES, 0))
        # Asking takes the lock for microseconds: not where the last holder is known to be dead.
        return None if _is_dead(holder) or not _is_locked(descriptor) else holder
    finally:
        os.close(descriptor)


def _introduced(content: bytes) -> Holder:
    with contextlib.suppress(ValueError, TypeError, KeyError):
        facts = json.loads(content)
        return Holder(str(facts['program']), int(facts['pid']), str(facts['host']),
                      str(facts['since']))
    return Holder()


def _is_dead(holder: Holder) -> bool:
    if holder.pid is None or holder.host != socket.gethostname():
        return False
    try:
        os.kill(holder.pid, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    return False
