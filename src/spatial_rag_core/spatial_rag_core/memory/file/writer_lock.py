"""One writer at a time: a lock beside the memory file that dies with its holder."""

from __future__ import annotations

import contextlib
from datetime import datetime, timezone
import fcntl
import json
import os
from pathlib import Path
import socket
import sys

from spatial_rag_core.errors import JournalInUseError
from spatial_rag_core.memory.file.high_water_mark import HighWaterMark, parsed_mark

_MAX_BYTES = 4096
_MARK_AT = 512  # [bytes] into the lock file
_MARK_BYTES = 96


class WriterLock:
    """
    Held from its making until `release` or the death of the process.

    `<path>.lock` stays behind: were it removed, a process that has it open could lock the removed
    file beside another that made it anew. Its content, JSON, tells who holds it, and how far the
    file had come.
    left: what the last holder noted; None: nothing.
    Raises JournalInUseError where another holds it, in this process or any other, and OSError.
    """

    def __init__(self, path: Path, holder: str = '') -> None:
        self.path = lock_path(path)
        self._descriptor: int | None = os.open(
            self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            message = _in_use(path, os.pread(self._descriptor, _MAX_BYTES, 0))
            self.release()
            raise JournalInUseError(message) from error
        except BaseException:
            self.release()
            raise
        self.left = noted(path)
        self._introduce(holder)

    def release(self) -> None:
        """Let another write; once is enough."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _introduce(self, holder: str) -> None:
        """Say who holds it; a full disk does not keep the lock from being held."""
        assert self._descriptor is not None
        facts = json.dumps({
            'program': (holder or Path(sys.argv[0]).name or 'python')[:40], 'pid': os.getpid(),
            'host': socket.gethostname(),
            'since': datetime.now(timezone.utc).isoformat(timespec='seconds')})
        with contextlib.suppress(OSError):
            os.pwrite(self._descriptor, facts[:-1].encode().ljust(_MARK_AT) + _tail(self.left), 0)
            os.ftruncate(self._descriptor, _MARK_AT + _MARK_BYTES)

    def note(self, mark: HighWaterMark) -> None:
        """Say how far the file has come; where the disk refuses, the last word stands."""
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.pwrite(self._descriptor, _tail(mark), _MARK_AT)


def noted(path: Path) -> HighWaterMark | None:
    """How far a memory file had come by its last writer's word; None: that said nothing."""
    try:
        return parsed_mark(lock_path(path).read_bytes())
    except OSError:
        return None


def _tail(mark: HighWaterMark | None) -> bytes:
    """The end of the JSON text, always of one length."""
    return f', "stored": {json.dumps(mark)}}}'.encode().ljust(_MARK_BYTES)


def lock_path(path: Path) -> Path:
    """Where the lock of a memory file lies; the same for every name of the file."""
    real = path.resolve()
    return real.with_name(real.name + '.lock')


def _remedy(program: str) -> str:
    # A node's name begins with a slash; what it offers is better than an end of the recording.
    return ('to forget, call its service spatial_rag/forget_memories, for all else end it'
            if program.startswith('/') else 'end it')


def _in_use(path: Path, content: bytes) -> str:
    try:
        facts = json.loads(content)
        pid = int(facts['pid'])
        here = ', this process' if pid == os.getpid() else ''
        who = f"{facts['program']} (pid {pid} on {facts['host']}{here}) since {facts['since']}"
        remedy = 'close it first' if here else _remedy(str(facts['program']))
    except (ValueError, TypeError, KeyError):
        who, remedy = 'another program', 'end it'
    return f'{path} is being written by {who}; {remedy}, or name another memory_path'
